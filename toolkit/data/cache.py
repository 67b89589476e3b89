"""Decoded frames on the disk, one file a film, shared by every process of this user.

A file is a NumPy array (uint8 [t, height, width, channels]) and behind it, where NumPy does not look, a JSON object
about the film and that object's length. Files appear by renaming, so that an interrupt leaves none half written, and
their name is a digest of the film's place, size and time and of how it was brought to size: what changes gets another.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.atomic import replacing
from runtime.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from runtime.spec import InputSpec

VERSION = 1
"""Raised when the same film would be decoded to other frames."""

_HEADER_BYTES = 128
_END = struct.Struct("<I4s")
_MARK = b"FSDC"


@dataclass(frozen=True, kw_only=True)
class FilmNote:
    """What is remembered about a decoded film.

    Attributes:
        frames: how many the film itself gave.
        damage: what of it was lost; None where nothing was.
        indices: which of the film's frames each frame of the array is; None where it is frame i of the film.
        cuts: frames of the array before which a longer pause was.
    """

    frames: int
    damage: str | None = None
    indices: list[int] | None = None
    cuts: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class CachedFilm:
    """A decoded film.

    Attributes:
        frames: uint8 [t, height, width, channels], read-only.
        note: see `FilmNote`.
    """

    frames: npt.NDArray[np.uint8]
    note: FilmNote


def cache_folder() -> Path:
    """Tell where decoded films are kept: $FRAMESTEP_CACHE, $XDG_CACHE_HOME/framestep, or ~/.cache/framestep."""
    own = os.environ.get("FRAMESTEP_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "framestep"


def cache_path(files: Iterable[Path], spec: InputSpec, fps: float | None) -> Path:
    """Name the file for what these files (one film, or pictures in order) become.

    Raises:
        OSError: where one of them cannot be looked at.
    """
    things: list[Any] = [VERSION, asdict(spec), fps]
    for path in files:
        stat = path.stat()
        things.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
    digest = hashlib.sha256(json.dumps(things).encode()).hexdigest()
    return cache_folder() / "films" / digest[:2] / f"{digest}.npy"


class CacheWriter:
    """Takes frames one after another and writes them as one array, holding none of them.

    Args:
        file: open for writing in binary, at its beginning.
        shape: of a frame: height, width, channels.
    """

    def __init__(self, file: Any, shape: tuple[int, int, int]) -> None:
        self._file = file
        self._shape = shape
        self.frames = 0
        file.write(bytes(_HEADER_BYTES))

    def append(self, frame: npt.NDArray[np.uint8]) -> None:
        """Add one frame, uint8 of the shape, or with a leading 1."""
        self._file.write(np.ascontiguousarray(frame).data)
        self.frames += 1

    def finish(self, note: FilmNote) -> None:
        """Write what stands behind and before the frames."""
        text = json.dumps(asdict(note)).encode()
        self._file.write(text + _END.pack(len(text), _MARK))
        self._file.seek(0)
        self._file.write(_header((self.frames, *self._shape)))


@contextmanager
def caching(path: Path, shape: tuple[int, int, int]) -> Iterator[CacheWriter]:
    """Write a film into the cache; after an error nothing is left.

    Raises:
        DatasetError: where the cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            yield CacheWriter(file, shape)
    except OSError as error:
        if isinstance(error, DatasetError) or error.errno is None:
            raise
        raise DatasetError(
            f"Decoded films cannot be kept in {cache_folder()}: {error.strerror}. Make room there, or point "
            "FRAMESTEP_CACHE at another folder."
        ) from None


def read_cached(path: Path, shape: tuple[int, int, int], *, map_from_bytes: int) -> CachedFilm | None:
    """Read a film from the cache.

    Args:
        path: what `cache_path` named.
        shape: of a frame.
        map_from_bytes: from this size on a film is mapped instead of copied into memory.

    Returns:
        The film, or None where it is not there or is not whole.
    """
    try:
        with path.open("rb") as file:
            file.seek(-_END.size, os.SEEK_END)
            end = file.tell()
            length, mark = _END.unpack(file.read(_END.size))
            pixels, rest = divmod(end - length - _HEADER_BYTES, int(np.prod(shape)))
            if mark != _MARK or rest or pixels < 1:
                return None
            file.seek(0)
            if file.read(_HEADER_BYTES) != _header((pixels, *shape)):
                return None
            file.seek(end - length)
            note = FilmNote(**json.loads(file.read(length)))
            file.seek(_HEADER_BYTES)
            frames: npt.NDArray[np.uint8]
            if end >= map_from_bytes:
                frames = np.memmap(file, np.uint8, "r", _HEADER_BYTES, (pixels, *shape))
            else:
                frames = np.fromfile(file, np.uint8, pixels * int(np.prod(shape))).reshape(pixels, *shape)
                frames.flags.writeable = False
    except (OSError, ValueError, TypeError):
        return None
    return CachedFilm(frames=frames, note=note)


def _header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file of version 1.0, of a fixed length so that the shape can be filled in later."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", _HEADER_BYTES - 10)
    return start + text.ljust(_HEADER_BYTES - 11) + b"\n"
