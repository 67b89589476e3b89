"""The ways to live pictures: a V4L2 camera, RTSP and HTTP. All run in the reader's process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from runtime.decoders import load_pyav
from runtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPEN_S, READ_S = 10.0, 5.0
"""Time-outs of FFmpeg's own; a call that outlasts them ends with its process."""

_RTSP = {
    # UDP loses packets without saying so, and does not pass most routers.
    "rtsp_transport": "tcp",
    "protocol_whitelist": "rtsp,rtp,tcp",
    "fflags": "nobuffer",
}
_HTTP = {"protocol_whitelist": "http,https,tls,tcp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture as it arrived.

    Attributes:
        picture: what `Preprocessor` understands; None for one that cannot be decoded.
        presented_s: the sender's time; None where it gives none.
        arrived_s: the monotonic clock.
    """

    picture: Any
    presented_s: float | None
    arrived_s: float


class Capture(Protocol):
    """An open camera."""

    def shots(self) -> Iterator[Shot]:
        """Give every picture as it arrives, until the camera ends."""

    def close(self) -> None:
        """Give the camera back."""


def open_capture(address: str) -> Capture:
    """Open a live source.

    Args:
        address: a device's file, `rtsp://…` or `http://…`.

    Raises:
        SourceError: where it cannot be opened.
        MissingDependencyError: where a library is missing.
    """
    if address.startswith("rtsp://"):
        return FFmpegCapture(address, options=_RTSP)
    if address.startswith(("http://", "https://")):
        return FFmpegCapture(address, options=_HTTP)
    return FFmpegCapture(address, form="v4l2")


class FFmpegCapture:
    """What FFmpeg reads: V4L2, RTSP, HTTP.

    Pictures of a camera that sends JPEG are handed on undecoded, since each stands alone and most may never be asked
    for; of any other codec every one must be decoded.

    Args:
        address: a device's file or a URL.
        form: FFmpeg's name of the format, where it is known beforehand.
        options: FFmpeg's.
        clock_s: seconds that only grow.
    """

    def __init__(
        self,
        address: str,
        *,
        form: str | None = None,
        options: dict[str, str] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._av = load_pyav("Reading a camera")
        self._clock_s = clock_s
        try:
            self._container = self._av.open(address, format=form, options=options or {}, timeout=(OPEN_S, READ_S))
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"it cannot be opened ({_reason(error)})") from None
        if not self._container.streams.video:
            self._container.close()
            raise SourceError("it gives no pictures")

    def shots(self) -> Iterator[Shot]:
        """See `Capture`.

        Raises:
            SourceError: where reading fails.
        """
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE"  # frame threads hold pictures back
        jpeg = stream.codec_context.name == "mjpeg"
        # Pictures over HTTP have no times of their own: FFmpeg makes some up, at a rate that is nobody's.
        timed = stream.time_base is not None and "mpjpeg" not in self._container.format.name
        try:
            for packet in self._container.demux(stream):
                arrived_s = self._clock_s()
                if packet.size == 0:
                    continue
                for picture, pts in [(bytes(packet), packet.pts)] if jpeg else self._decoded(packet):
                    presented_s = float(pts * stream.time_base) if timed and pts is not None else None
                    yield Shot(picture=picture, presented_s=presented_s, arrived_s=arrived_s)
        except (self._av.FFmpegError, OSError) as error:
            raise SourceError(f"it failed ({_reason(error)})") from None

    def _decoded(self, packet: Any) -> list[tuple[Any, int | None]]:
        try:
            return [(None if each.is_corrupt else each, each.pts) for each in packet.decode()]
        except self._av.InvalidDataError:
            return [(None, packet.pts)]

    def close(self) -> None:
        """See `Capture`."""
        self._container.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
