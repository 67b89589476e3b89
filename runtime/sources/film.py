"""A film, in any container and codec that FFmpeg knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.decoders import load_pyav
from runtime.errors import SourceError
from runtime.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

_OPTIONS = {"protocol_whitelist": "file"}
"""A playlist that calls itself a film must not reach out to the network."""

_FALLBACK_FPS = 25.0
"""For a stream that tells neither times nor a rate."""


class FilmSource:
    """Read the frames of a film, from its beginning to its end.

    Frames hold PyAV's `VideoFrame` as it was decoded. A film that is cut short or damaged gives what can be decoded;
    `problems` then says what was lost.

    Args:
        path: of the file, or of a pipe.

    Raises:
        SourceError: where it cannot be opened or has no pictures.
        MissingDependencyError: where PyAV is not installed.

    Attributes:
        live: False; a film waits for its reader.
        fps: the average rate that the film announces, or None.
        announced: how many frames the film announces, or None.
        problems: what was lost on the way, a sentence each; complete once the frames have been read.
    """

    live = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.problems: list[str] = []
        self._stopped = False
        self._av = load_pyav("Reading a film")
        if not self.path.exists():
            raise SourceError(f"There is no file {self.path}. Name a film, a folder of pictures or a camera.")
        try:
            self._container = self._av.open(str(self.path), options=_OPTIONS)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self.path} cannot be read as a film ({_reason(error)}). Name another file.") from None
        if not self._container.streams.video:
            kinds = _kinds(self._container)
            self._container.close()
            raise SourceError(f"{self.path} has no pictures, only {kinds}. Name another file.")
        self._stream = self._container.streams.video[0]
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else None
        self.announced: int | None = self._stream.frames or None

    def frames(self) -> Iterator[Frame]:
        """Decode the film, once.

        Raises:
            SourceError: where not a single frame can be decoded.
        """
        index = broken = 0
        time_s = -1 / (self.fps or _FALLBACK_FPS)
        for picture in self._pictures():
            if self._stopped:
                return
            if picture is None or picture.is_corrupt:
                broken += 1
                continue
            time_s = picture.time if picture.time is not None else time_s + 1 / (self.fps or _FALLBACK_FPS)
            yield Frame(picture=picture, time_s=time_s, index=index)
            index += 1
        if index == 0:
            raise SourceError(f"{self.path} has no frame that can be decoded. Name another file.")
        if broken:
            self.problems.append(f"{self.path}: {broken} broken pictures were left out.")
        # One frame may be announced too many: packed MPEG-4 in AVI counts an empty packet at its end.
        if self.announced and index + broken + 1 < self.announced:
            self.problems.append(f"{self.path} ends early: it announces {self.announced} frames and has {index}.")

    def _pictures(self) -> Iterator[Any]:
        """Give decoded pictures, None for a packet that cannot be decoded."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (self._av.FFmpegError, OSError) as error:
                self.problems.append(f"{self.path} ends early: {_reason(error)}.")
                return
            try:
                yield from packet.decode()
            except self._av.EOFError:
                return
            except (self._av.FFmpegError, OSError):
                yield None

    def stop(self) -> None:
        """Let the frames end."""
        self._stopped = True

    def close(self) -> None:
        """Give the file back; the frames end."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _kinds(container: Any) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
