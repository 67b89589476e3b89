"""A V4L2 camera: always the newest frame."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runtime.decoders import load_pyav
from runtime.errors import SourceError
from runtime.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

T = TypeVar("T")

STALL_S = 10.0
"""How long a camera may give nothing before it counts as dead. Opening some takes seconds."""

_JOIN_S = 2.0
_WAKE_S = 0.2  # how often a waiting reader looks whether it was stopped


class NewestSlot(Generic[T]):
    """Hand things from one thread to another, of several always the newest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._ended = False

    def put(self, item: T) -> None:
        """Replace what was not taken yet."""
        with self._changed:
            self._item = item
            self._changed.notify()

    def end(self) -> None:
        """Say that nothing more comes; what was not taken yet still can be."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """Wait for the next thing; None where there is none in that time, or never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._ended, timeout_s)
            item, self._item = self._item, None
            return item

    @property
    def ended(self) -> bool:
        """Whether nothing more comes and nothing is left."""
        with self._changed:
            return self._ended and self._item is None


def open_v4l2(device: str) -> Any:
    """Open a camera as it is set up, its newest pictures first.

    Returns:
        PyAV's container.
    """
    return load_pyav("Reading a camera").open(device, format="v4l2")


class CameraSource:
    """Read a camera in a thread of its own and keep only the newest frame.

    A camera that gives JPEG hands on the bytes, undecoded; any other PyAV's `VideoFrame`. Capture times are the
    monotonic clock's, read when a frame arrives: setting the time of day does not touch them.

    Args:
        device: its file, such as `/dev/video0`.
        open_device: opens it, giving a PyAV container.
        clock_s: seconds that only grow.
        stall_s: how long it may give nothing.

    Raises:
        SourceError: where it cannot be opened.
        MissingDependencyError: where PyAV is not installed.

    Attributes:
        live: True.
        problems: what was lost on the way, a sentence each.
    """

    live = True

    def __init__(
        self,
        device: str,
        *,
        open_device: Callable[[str], Any] = open_v4l2,
        clock_s: Callable[[], float] = time.monotonic,
        stall_s: float = STALL_S,
    ) -> None:
        self.device = device
        self.problems: list[str] = []
        self._av = load_pyav("Reading a camera")
        self._clock_s = clock_s
        self._stall_s = stall_s
        self._slot: NewestSlot[Frame] = NewestSlot()
        self._stopped = False
        self._failure: str | None = None
        try:
            self._container = open_device(device)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"The camera {device} cannot be opened ({_reason(error)}). Plug it in, close what else uses it, and "
                "see that you are in the group video."
            ) from None
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"The camera {device} gives no pictures. Name another one.")
        self._thread = threading.Thread(target=self._read, name=f"camera {device}", daemon=True)

    def frames(self) -> Iterator[Frame]:
        """Give the newest frame, again and again; numbers that are left out were not taken in time.

        Raises:
            SourceError: where the camera fails or gives nothing for too long.
        """
        self._thread.start()
        heard_s = self._clock_s()
        while not self._stopped:
            frame = self._slot.take(_WAKE_S)
            if frame is not None:
                yield frame
                heard_s = self._clock_s()
            elif self._slot.ended:
                break
            elif self._clock_s() - heard_s > self._stall_s:
                raise SourceError(
                    f"The camera {self.device} gave no picture for {self._stall_s:g} s. Plug it in again."
                )
        if self._failure is not None and not self._stopped:
            raise SourceError(f"The camera {self.device} failed ({self._failure}). Plug it in again.")

    def _read(self) -> None:
        stream = self._container.streams.video[0]
        jpeg = stream.codec_context.name == "mjpeg"
        index = 0
        try:
            for packet in self._container.demux(stream):
                if self._stopped:
                    break
                time_s = self._clock_s()
                for picture in _undecoded(packet) if jpeg else self._decode(packet):
                    self._slot.put(Frame(picture=picture, time_s=time_s, index=index))
                    index += 1
            if index == 0:
                self._failure = "it ended without a picture"
        except (self._av.FFmpegError, OSError) as error:
            self._failure = _reason(error)
        finally:
            self._slot.end()

    def _decode(self, packet: Any) -> list[Any]:
        try:
            return [picture for picture in packet.decode() if not picture.is_corrupt]
        except self._av.InvalidDataError:  # one torn picture; the next may be whole
            return []

    def stop(self) -> None:
        """Let the frames end."""
        self._stopped = True

    def close(self) -> None:
        """End the reading thread and give the camera back."""
        self._stopped = True
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        # A driver that hangs keeps its thread; taking its memory away would end the process.
        if not self._thread.is_alive():
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _undecoded(packet: Any) -> list[bytes]:
    return [bytes(packet)] if packet.size else []


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
