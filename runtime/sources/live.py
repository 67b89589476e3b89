"""A source that is watched: read in a process of its own, and opened again for as long as it takes.

`Watch` decides; here is what it decides about: the reader's process, its answers, and time.
"""

from __future__ import annotations

import os
import selectors
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.frame import Frame
from runtime.sources.reader_process import COMMAND, ReaderProcess
from runtime.sources.redaction import redacted
from runtime.sources.watch import Change, Patience, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Self

    from runtime.sources.reader import Header
    from runtime.spec import Spec

_LOOK_S = 0.5  # how often an absent device is looked for
_PROBLEMS = 100  # kept; a source may be away for years


@dataclass(kw_only=True)
class Counts:
    """What a live source has come to.

    Attributes:
        pictures: handed over.
        broken: that could not be decoded.
        stale: that came too late, or again.
        openings: of the camera, the first one among them.
        stalls: silences.
    """

    pictures: int = 0
    broken: int = 0
    stale: int = 0
    openings: int = 0
    stalls: int = 0


class LiveSource:
    """Always the newest picture of a camera, at the model's size; none while there is none.

    It never ends by itself: a camera that is absent, fails or falls silent is opened again, after pauses that grow. The
    first frame after that begins anew: nobody knows what lay between, and nothing is put in its place.

    Args:
        address: a device's file, `rtsp://…` or `http://…`.
        spec: of the model that will take the frames.
        patience: see `Patience`.
        command: of the reader's process.
        clock_s: seconds that only grow.
        tell: is told each change of state, in a sentence.

    Attributes:
        live: True.
        name: the address, without its secrets.
        problems: the latest changes for the worse, a sentence each.
        counts: see `Counts`.
        watch: see `Watch`.
    """

    live = True

    def __init__(
        self,
        address: str,
        spec: Spec,
        *,
        patience: Patience | None = None,
        command: Sequence[str] = COMMAND,
        clock_s: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = redacted(address)
        self.problems: list[str] = []
        self.counts = Counts()
        self._open_command = {"open": address, "input": asdict(spec.input)}
        self._device = address if "://" not in address else None
        self._shape, self._command = spec.input.shape, command
        self._clock_s, self._tell = clock_s, tell
        self.watch = Watch(fps=spec.fps, now_s=clock_s(), patience=patience, tell=self._changed)
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._reader: ReaderProcess | None = None
        self._opened = self._asked = self._begins = self._stopped = False
        self._present = True
        self._offset = self._next_index = 0
        self._lost = (0, 0)

    def frames(self) -> Iterator[Frame]:
        """Give the newest frame, again and again, until it is stopped; numbers left out were not taken in time."""
        while not self._stopped:
            self._act()
            timeout_s = max(self.watch.deadline_s - self._clock_s(), 0.0)
            if self._device is not None and self.watch.state == "backing off":
                timeout_s = min(timeout_s, _LOOK_S)
            ready = [key.fd for key, _ in self._selector.select(timeout_s)]
            if self._reader is not None and self._reader.fileno() in ready:
                frame = self._receive(self._reader)
                if frame is not None:
                    yield frame

    def _act(self) -> None:
        """Do what time and state ask for, before waiting again."""
        now_s = self._clock_s()
        self._look(now_s)
        self.watch.expire(now_s)
        if self.watch.state == "stalled":
            self.counts.stalls += 1
            self._end_reader()
            self.watch.ended(now_s)
        elif self.watch.state == "connecting" and not self._opened:
            self._open()
        if self._opened and not self._asked and self._reader is not None:
            self._reader.send({"next": True})
            self._asked = True

    def _look(self, now_s: float) -> None:
        """See whether a device that was away is there again."""
        if self._device is None or self.watch.state != "backing off":
            return
        before, self._present = self._present, os.path.exists(self._device)  # noqa: PTH110  # a name, looked at often
        if self._present and not before:
            self.watch.came_back(now_s)

    def _open(self) -> None:
        if self._reader is None:
            self._reader = ReaderProcess(self._command)
            self._selector.register(self._reader.fileno(), selectors.EVENT_READ)
        self._reader.send(self._open_command)
        self.counts.openings += 1
        self._opened, self._asked = True, False
        self._begins = self.counts.pictures > 0
        self._offset, self._lost = self._next_index, (self.counts.broken, self.counts.stale)

    def _receive(self, reader: ReaderProcess) -> Frame | None:
        now_s = self._clock_s()
        try:
            answer = reader.receive()
        except EOFError:
            self._end_reader()
            self.watch.fail(now_s, "its reader ended")
            return None
        if answer is None:
            return None
        header, payload = answer
        self._asked = False
        self._take_counts(header)
        if header.failed:
            self._opened = False
            self.watch.fail(now_s, redacted(payload.decode(errors="replace")))
            return None
        self.watch.picture(now_s)
        self.counts.pictures += 1
        begins, self._begins = self._begins, False
        index = self._offset + header.index
        self._next_index = index + 1
        pixels = np.frombuffer(payload, np.uint8).reshape(self._shape)
        return Frame(picture=pixels, time_s=header.time_s, index=index, begins=begins)

    def _take_counts(self, header: Header) -> None:
        broken, stale = self._lost
        self.counts.broken, self.counts.stale = broken + header.broken, stale + header.stale

    def _end_reader(self) -> None:
        if self._reader is not None:
            self._selector.unregister(self._reader.fileno())
            self._reader.end()
        self._reader, self._opened, self._asked = None, False, False

    def _changed(self, change: Change) -> None:
        again = "" if change.wait_s is None else f"; another try in {change.wait_s:.1f} s"
        words = f"{self.name} is {change.state}: {change.reason}{again}."
        if change.state in ("stalled", "backing off"):
            self.problems = [*self.problems, words][-_PROBLEMS:]
        self._tell(words)

    def stop(self) -> None:
        """Let the frames end soon; safe in a signal handler."""
        self._stopped = True
        os.write(self._wake_in, b".")

    def close(self) -> None:
        """End the reader."""
        self._stopped = True
        self._end_reader()
        self._selector.close()
        for end in (self._wake_out, self._wake_in):
            os.close(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
