"""The process in which a live source is read: a call that never returns ends with it, and so does a decoder's crash.

Run by `runtime.sources.live` as `python -m runtime.sources.reader`. Commands come on standard input, a line of JSON
each, so that no address stands in the list of processes:

    {"open": ADDRESS, "input": INPUT_SPEC}   first, and again after a failure
    {"next": true}                           the newest picture, once there is one that was not given yet

Each `next` is answered on standard output by a `Header` and its payload: a picture at the model's size, or the words of
a failure. Nothing is sent unasked, so the newest picture never waits behind an older one.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from runtime.errors import FrameError, FramestepError
from runtime.preprocess import Preprocessor
from runtime.sources import captures
from runtime.sources.freshness import Freshness
from runtime.sources.newest import NewestSlot
from runtime.spec import InputSpec, from_plain

if TYPE_CHECKING:
    from typing_extensions import Self

    from runtime.sources.captures import Capture, Shot

_RECENT = 30
"""Pictures of which at most half may be broken."""

_WAKE_S = 0.5
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What goes before each payload.

    Attributes:
        failed: whether the payload is the words of a failure.
        index: the camera's count of pictures since it was opened.
        time_s: capture time, of the monotonic clock, which all processes share.
        broken: pictures that could not be decoded, since it was opened.
        stale: pictures that came too late, or again.
        decode_us: that decoding and scaling this one took.
        size: of the payload in bytes.
    """

    failed: bool
    index: int = 0
    time_s: float = 0.0
    broken: int = 0
    stale: int = 0
    decode_us: int = 0
    size: int = 0

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<?QdIIII")
    LENGTH: ClassVar[int] = _LAYOUT.size

    def pack(self) -> bytes:
        """As bytes."""
        return self._LAYOUT.pack(
            self.failed, self.index, self.time_s, self.broken, self.stale, self.decode_us, self.size
        )

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read `pack`'s bytes."""
        names = ("failed", "index", "time_s", "broken", "stale", "decode_us", "size")
        return cls(**dict(zip(names, cls._LAYOUT.unpack(data), strict=True)))


class Reader:
    """One open camera, read in a thread of its own.

    Args:
        capture: the camera.
        picture: what the model takes.
    """

    def __init__(self, capture: Capture, picture: InputSpec) -> None:
        self._capture = capture
        self._preprocess = Preprocessor(picture)
        self._slot: NewestSlot[tuple[int, float, Shot]] = NewestSlot()
        self._freshness = Freshness()
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._broken = 0
        self._failure = "it ended"
        threading.Thread(target=self._read, name="camera", daemon=True).start()

    def _read(self) -> None:
        try:
            for index, shot in enumerate(self._capture.shots()):
                if shot.picture is None:
                    self._count(broken=True)
                    continue
                time_s = self._freshness.captured_s(shot.presented_s, shot.arrived_s)
                if time_s is not None:
                    self._slot.put((index, time_s, shot))
        except FramestepError as error:
            self._failure = str(error)
        finally:
            self._slot.end()

    def _count(self, *, broken: bool) -> None:
        self._broken += broken
        self._recent.append(broken)

    def answer(self) -> tuple[Header, bytes]:
        """Wait for the newest picture, and give it; or the failure that ended them."""
        while not self._slot.ended:
            if 2 * sum(self._recent) > _RECENT:
                return self._failed("most of its pictures are broken")
            taken = self._slot.take(_WAKE_S)
            if taken is None:
                continue
            index, time_s, shot = taken
            start_ns = time.perf_counter_ns()
            try:
                pixels = self._preprocess(shot.picture).tobytes()
            except FrameError:
                self._count(broken=True)
                continue
            self._count(broken=False)
            header = Header(
                failed=False,
                index=index,
                time_s=time_s,
                broken=self._broken,
                stale=self._freshness.stale,
                decode_us=(time.perf_counter_ns() - start_ns) // 1000,
                size=len(pixels),
            )
            return header, pixels
        return self._failed(self._failure)

    def _failed(self, words: str) -> tuple[Header, bytes]:
        text = words.encode()
        return Header(failed=True, broken=self._broken, stale=self._freshness.stale, size=len(text)), text

    def close(self) -> None:
        """Give the camera back."""
        self._capture.close()


def serve(commands: BinaryIO, answers: BinaryIO) -> None:
    """Obey until the commands end."""
    reader: Reader | None = None
    words = "it is not open"
    for line in commands:
        command = json.loads(line)
        if "open" in command:
            if reader is not None:
                reader.close()
            reader = None
            try:
                picture = from_plain(InputSpec, command["input"], "input")
                reader = Reader(captures.open_capture(command["open"]), picture)
            except FramestepError as error:
                words = str(error)
            continue
        header, payload = (
            (Header(failed=True, size=len(words.encode())), words.encode()) if reader is None else reader.answer()
        )
        answers.write(header.pack() + payload)
        answers.flush()


def main() -> None:
    """Run as a child, and never outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches children too: the parent decides
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
