"""A folder of pictures, one a frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.decoders import load_pyav
from runtime.errors import SourceError
from runtime.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
SUFFIXES = JPEG_SUFFIXES | {".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}

DEFAULT_FPS = 15.0
"""Where neither the caller nor a model says one."""


def list_pictures(folder: Path) -> list[Path]:
    """List a folder's pictures, hidden ones left out, numbers in their names ordered as numbers."""
    return sorted(
        (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")),
        key=_natural,
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts] + [(0, path.name)]


class PictureSource:
    """Read a folder's pictures in the order of their names.

    A JPEG is handed on as its file's bytes, since the model's size decides how much of it must be decoded; so a broken
    one is found by the preprocessing. Any other picture is a PyAV `VideoFrame`.

    Args:
        folder: where they lie; folders in it are ignored.
        fps: pictures a second.

    Raises:
        SourceError: where there is no such folder or it has no picture.

    Attributes:
        live: False.
        fps: as given.
        problems: what was left out, a sentence each; complete once the frames have been read.
    """

    live = False

    def __init__(self, folder: str | Path, *, fps: float = DEFAULT_FPS) -> None:
        self.path = Path(folder)
        self.fps = fps
        self.problems: list[str] = []
        self._stopped = False
        try:
            self._paths = list_pictures(self.path)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be listed ({error.strerror}). Name a folder of pictures.") from None
        if not self._paths:
            raise SourceError(
                f"{self.path} has no pictures. Name a folder that has some ({', '.join(sorted(SUFFIXES))})."
            )

    def __len__(self) -> int:
        return len(self._paths)

    def frames(self) -> Iterator[Frame]:
        """Read the pictures, one a frame; one that cannot be read is left out, its number and its time with it.

        Raises:
            SourceError: where not a single one can be read.
            MissingDependencyError: where one needs PyAV and it is not installed.
        """
        read = 0
        for index, path in enumerate(self._paths):
            if self._stopped:
                return
            picture = self._read(path)
            if picture is None:
                continue
            read += 1
            yield Frame(picture=picture, time_s=index / self.fps, index=index)
        if read == 0:
            raise SourceError(f"{self.path}: none of its {len(self._paths)} pictures can be read. Name another folder.")

    def _read(self, path: Path) -> Any:
        try:
            data = path.read_bytes()
        except OSError as error:
            self.problems.append(f"{path} cannot be read ({error.strerror}).")
            return None
        if path.suffix.lower() in JPEG_SUFFIXES:
            return data
        av = load_pyav(f"Reading {path.suffix} pictures")
        try:
            with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
                return next(container.decode(video=0))
        except (av.FFmpegError, OSError, ValueError, IndexError, StopIteration):
            self.problems.append(f"{path} is no picture that can be decoded.")
            return None

    def stop(self) -> None:
        """Let the frames end."""
        self._stopped = True

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
