"""Where frames come from: films, folders of pictures, cameras, and shapes drawn here.

A live source gives the newest frame and drops what nobody took in time; any other waits for its reader, never drops a
frame, and ends.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runtime.errors import SourceError
from runtime.sources.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from runtime.frame import Frame
    from runtime.sources.live import LiveSource
    from runtime.spec import Spec

SUPPORTED = (
    "a camera's number (0), /dev/videoN or /dev/v4l/by-id/NAME, rtsp://…, http://…, a film, a folder of pictures, or "
    "synthetic"
)


class Source(Protocol):
    """Frames of one stream, once.

    Attributes:
        live: whether it goes on without its reader.
        problems: what was lost on the way, a sentence each.
    """

    live: bool
    problems: list[str]

    def frames(self) -> Iterator[Frame]:
        """Give the frames in the order of their capture; to be called once."""

    def stop(self) -> None:
        """Let the frames end soon; safe in a signal handler."""

    def close(self) -> None:
        """Give back what was opened."""

    def __enter__(self) -> Self:
        """Keep it open until the block ends."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


def open_source(text: str, spec: Spec | None = None, *, tell: Callable[[str], None] = lambda _: None) -> Source:
    """Open what a text names.

    Args:
        text: see `SUPPORTED`; `synthetic:7` draws from the seed 7.
        spec: of the model that will take the frames. Its rate is a folder's, synthetic pictures come in its size and
            colour, and a live source needs it.
        tell: is told what becomes of a live source, a sentence at each change.

    Raises:
        SourceError: where there is no such thing, or it cannot be read.
        MissingDependencyError: where it needs a decoder that is not installed.
    """
    name, _, seed = text.partition(":")
    if name == "synthetic" and not Path(text).exists():
        from runtime.sources.synthetic import SyntheticSource

        if seed and not seed.isdecimal():
            raise SourceError(f"The source {text} has the seed {seed!r}; it must be a whole number, as in synthetic:7.")
        return SyntheticSource.for_model(spec, seed=int(seed or 0))
    if text.isdecimal() or re.match(r"/dev/(video|v4l/)", text):
        return _live(f"/dev/video{int(text)}" if text.isdecimal() else text, spec, tell)
    if text.startswith(("rtsp://", "http://", "https://")):
        return _live(text, spec, tell)
    if not Path(text).exists() and ("://" in text or text == "picamera"):
        raise SourceError(f"The source {redacted(text)} is not one that framestep reads. Give {SUPPORTED}.")
    if Path(text).is_dir():
        from runtime.sources.pictures import PictureSource

        return PictureSource(text) if spec is None else PictureSource(text, fps=spec.fps)
    from runtime.sources.film import FilmSource

    return FilmSource(text)


def _live(address: str, spec: Spec | None, tell: Callable[[str], None]) -> LiveSource:
    from runtime.decoders import load_pyav
    from runtime.sources.live import LiveSource

    if spec is None:
        raise SourceError(f"{redacted(address)} is live, and its pictures are made for one model. Give a film instead.")
    load_pyav("Reading a camera")  # where it is missing, no try would ever do
    return LiveSource(address, spec, tell=tell)
