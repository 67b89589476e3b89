"""Where frames come from: films, folders of pictures, cameras, and shapes drawn here.

A live source gives the newest frame and drops what nobody took in time; any other waits for its reader, never drops a
frame, and ends.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from runtime.frame import Frame
    from runtime.spec import Spec

SUPPORTED = "a camera's number (0), /dev/videoN, a film, a folder of pictures, or synthetic"


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


def open_source(text: str, spec: Spec | None = None) -> Source:
    """Open what a text names.

    Args:
        text: see `SUPPORTED`; `synthetic:7` draws from the seed 7.
        spec: of the model that will take the frames. Its rate is a folder's, and synthetic pictures come in its size
            and colour.

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
        from runtime.sources.camera import CameraSource

        return CameraSource(f"/dev/video{int(text)}" if text.isdecimal() else text)
    if not Path(text).exists() and ("://" in text or text == "picamera"):
        raise SourceError(f"The source {text} is not one that framestep reads. Give {SUPPORTED}.")
    if Path(text).is_dir():
        from runtime.sources.pictures import PictureSource

        return PictureSource(text) if spec is None else PictureSource(text, fps=spec.fps)
    from runtime.sources.film import FilmSource

    return FilmSource(text)
