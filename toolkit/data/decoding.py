"""From a film or pictures on the disk to frames in the cache, through the device's own clock and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.clock import FrameClock
from runtime.errors import DatasetError, FrameError, SourceError
from runtime.preprocess import Preprocessor
from runtime.sources.film import FilmSource
from runtime.sources.pictures import JPEG_SUFFIXES, PictureSource, list_pictures
from toolkit.data.cache import CachedFilm, FilmNote, cache_path, caching, read_cached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runtime.frame import Pixels
    from runtime.spec import InputSpec
    from toolkit.data.cache import CacheWriter

MAP_FROM_BYTES = 1 << 20
"""Smaller films are read whole: a map costs a file descriptor for as long as it lives."""


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
        map_from_bytes: see `MAP_FROM_BYTES`.
    """

    spec: InputSpec
    fps: float
    map_from_bytes: int = MAP_FROM_BYTES

    def film(self, path: Path) -> CachedFilm:
        """Give a film's frames at the wanted rate.

        Raises:
            SourceError: where nothing of it can be read.
            DatasetError: where the cache cannot be written.
        """
        return self._through_cache([path], lambda writer: self._write(FilmSource(path), writer))

    def folder(self, folder: Path) -> CachedFilm:
        """Give the frames of a folder's pictures, each one frame.

        Raises:
            SourceError: where none of them can be read.
            DatasetError: where the cache cannot be written.
        """
        return self._through_cache(
            list_pictures(folder), lambda writer: self._write(PictureSource(folder, fps=self.fps), writer)
        )

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
            cached = read_cached(place, self.spec.shape[1:], map_from_bytes=self.map_from_bytes)
            if cached is not None:
                return cached
            with caching(place, self.spec.shape[1:]) as writer:
                writer.finish(write(writer))
        raise DatasetError(f"{place} was written and cannot be read back. Point FRAMESTEP_CACHE at a sound disk.")

    def _write(self, source: FilmSource | PictureSource, writer: CacheWriter) -> FilmNote:
        prepare = Preprocessor(self.spec)
        clock = FrameClock(self.fps)
        indices: list[int] = []
        cuts: list[int] = []
        broken = 0
        with source:
            for tick in clock.select(source.frames()):
                try:
                    writer.append(prepare(tick.frame.picture))
                except FrameError:
                    broken += 1
                    continue
                indices.append(tick.index)
                if tick.gap:
                    cuts.append(len(indices) - 1)
        if not indices:
            raise SourceError(f"{source.path} has no frame that can be decoded. Name other data.")
        problems = [*source.problems, *([f"{broken} broken pictures were left out."] if broken else [])]
        plain = indices == list(range(len(indices)))
        return FilmNote(
            frames=max(clock.frames, indices[-1] + 1),
            damage=" ".join(problems) or None,
            indices=None if plain else indices,
            cuts=cuts,
        )


def _read_picture(path: Path, prepare: Preprocessor) -> Pixels:
    if path.suffix.lower() in JPEG_SUFFIXES:
        try:
            return prepare(path.read_bytes())
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}. Check it.") from None
    with FilmSource(path) as film:
        return prepare(next(film.frames()).picture)
