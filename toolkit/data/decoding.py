"""From a film or pictures on the disk to frames in the cache, through the device's own clock and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.clock import FrameClock
from runtime.errors import DatasetError, SourceError
from runtime.preprocess import Preprocessor
from runtime.sources.film import FilmSource
from toolkit.data.cache import CachedFilm, FilmNote, cache_path, caching, read_cached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runtime.frame import Pixels
    from runtime.spec import InputSpec
    from toolkit.data.cache import CacheWriter

MAP_FROM_BYTES = 1 << 20
"""Smaller films are read whole: a map costs a file descriptor for as long as it lives."""

_JPEG = (".jpg", ".jpeg")


def film_rate(path: Path) -> float:
    """Give a film's mean rate in frames a second, as its header tells it.

    Raises:
        SourceError: where it cannot be opened, or tells no rate.
    """
    with FilmSource(path) as film:
        if film.fps is None:
            raise SourceError(f"{path} tells no rate of frames. Give --fps.")
        return film.fps


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Brings films and pictures to one size and one rate; films and folders of pictures by way of the cache.

    Attributes:
        spec: size and colours.
        fps: frames a second.
    """

    spec: InputSpec
    fps: float

    def film(self, path: Path) -> CachedFilm:
        """Give a film's frames at the wanted rate.

        Raises:
            SourceError: where nothing of it can be read.
            DatasetError: where the cache cannot be written.
        """
        return self._through_cache([path], lambda writer: self._write_film(path, writer))

    def folder(self, pictures: Sequence[Path]) -> CachedFilm:
        """Give the frames of pictures, each one frame.

        Raises:
            FrameError: where one of them is broken.
            SourceError: where one of them cannot be read.
            DatasetError: where the cache cannot be written.
        """
        return self._through_cache(pictures, lambda writer: self._write_pictures(pictures, writer))

    def picture(self, path: Path) -> CachedFilm:
        """Give the one frame of a picture.

        Raises:
            FrameError: where it is broken.
            SourceError: where it cannot be read.
        """
        frames = _read_picture(path, Preprocessor(self.spec)).copy()
        frames.flags.writeable = False
        return CachedFilm(frames=frames, note=FilmNote(frames=1))

    def _through_cache(self, files: Sequence[Path], write: Callable[[CacheWriter], FilmNote]) -> CachedFilm:
        try:
            place = cache_path(files, self.spec, self.fps)
        except OSError as error:
            raise SourceError(f"{files[0]} cannot be read: {error.strerror}. Check it.") from None
        for _ in range(2):
            cached = read_cached(place, self.spec.shape[1:], map_from_bytes=MAP_FROM_BYTES)
            if cached is not None:
                return cached
            with caching(place, self.spec.shape[1:]) as writer:
                writer.finish(write(writer))
        raise DatasetError(f"{place} was written and cannot be read back. Point FRAMESTEP_CACHE at a sound disk.")

    def _write_film(self, path: Path, writer: CacheWriter) -> FilmNote:
        prepare = Preprocessor(self.spec)
        clock = FrameClock(self.fps)
        indices: list[int] = []
        cuts: list[int] = []
        with FilmSource(path) as film:
            for tick in clock.select(film.frames()):
                writer.append(prepare(tick.frame.picture))
                indices.append(tick.index)
                if tick.gap:
                    cuts.append(len(indices) - 1)
            damage = " ".join(film.problems) or None
        plain = indices == list(range(len(indices)))
        return FilmNote(frames=clock.frames, damage=damage, indices=None if plain else indices, cuts=cuts)

    def _write_pictures(self, paths: Sequence[Path], writer: CacheWriter) -> FilmNote:
        prepare = Preprocessor(self.spec)
        for path in paths:
            writer.append(_read_picture(path, prepare))
        return FilmNote(frames=len(paths))


def _read_picture(path: Path, prepare: Preprocessor) -> Pixels:
    if path.suffix.lower() in _JPEG:
        try:
            return prepare(path.read_bytes())
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}. Check it.") from None
    with FilmSource(path) as film:
        return prepare(next(film.frames()).picture)
