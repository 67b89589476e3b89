from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import DatasetError
from runtime.spec import InputSpec
from toolkit.data.cache import FilmNote, cache_folder, cache_path, caching, read_cached
from toolkit.data.decoding import MAP_FROM_BYTES, Decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeFilm = Callable[..., Any]

SPEC = InputSpec(width=16, height=12, channels=1, colour="gray")
SHAPE = (12, 16, 1)


@pytest.fixture
def film(tmp_path: Path, make_film: MakeFilm) -> Path:
    make_film(tmp_path / "film.mp4")
    return tmp_path / "film.mp4"


def cached_files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_a_film_is_decoded_once(film: Path, cache: Path) -> None:
    decoder = Decoder(spec=SPEC, fps=15)
    decoder.film(film)
    (file,) = cached_files(cache)
    written = file.stat().st_mtime_ns
    decoder.film(film)
    assert file.stat().st_mtime_ns == written


def test_what_comes_back_is_what_was_decoded(film: Path) -> None:
    decoder = Decoder(spec=SPEC, fps=15)
    assert np.array_equal(decoder.film(film).frames, decoder.film(film).frames)
    assert decoder.film(film).note == FilmNote(frames=8)


def test_numpy_reads_a_cached_film(film: Path, cache: Path) -> None:
    frames = Decoder(spec=SPEC, fps=15).film(film).frames
    assert np.array_equal(np.load(cached_files(cache)[0]), frames)


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "header"])
def test_a_damaged_file_is_made_again(film: Path, cache: Path, damage: str) -> None:
    decoder = Decoder(spec=SPEC, fps=15)
    frames = np.array(decoder.film(film).frames)
    (file,) = cached_files(cache)
    content = file.read_bytes()
    damaged = {"cut": content[:-700], "longer": content + b"x", "empty": b"", "header": b"x" + content[1:]}
    file.write_bytes(damaged[damage])
    assert np.array_equal(decoder.film(film).frames, frames)
    assert file.read_bytes() == content


def test_an_interrupted_decoding_leaves_nothing(cache: Path) -> None:
    def interrupted() -> None:
        with caching(cache / "films" / "a.npy", SHAPE) as writer:
            writer.append(np.zeros(SHAPE, np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cached_files(cache) == []


def test_another_size_rate_or_film_has_another_name(film: Path) -> None:
    names = {cache_path([film], SPEC, 15), cache_path([film], SPEC, 10)}
    names.add(cache_path([film], InputSpec(width=12, height=16, channels=1, colour="gray"), 15))
    os.utime(film, ns=(1, 1))
    names.add(cache_path([film], SPEC, 15))
    assert len(names) == 4


def test_a_cache_that_cannot_be_written_is_an_error(film: Path, cache: Path) -> None:
    (cache / "films").write_text("in the way")
    with pytest.raises(DatasetError, match=r"Decoded films cannot be kept in .*FRAMESTEP_CACHE at another folder"):
        Decoder(spec=SPEC, fps=15).film(film)


def test_a_full_disk_is_an_error_and_leaves_nothing(cache: Path) -> None:
    def filling() -> None:
        with caching(cache / "a.npy", SHAPE) as writer, Path("/dev/full").open("wb", buffering=0) as full:
            writer._file.close()
            writer._file = full
            writer.append(np.zeros(SHAPE, np.uint8))

    with pytest.raises(DatasetError, match="No space left"):
        filling()
    assert cached_files(cache) == []


def test_large_films_are_mapped_and_small_ones_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with caching(path, SHAPE) as writer:
        writer.append(np.zeros(SHAPE, np.uint8))
        writer.finish(FilmNote(frames=1))
    small, large = (read_cached(path, SHAPE, map_from_bytes=size) for size in (MAP_FROM_BYTES, 0))
    assert small is not None
    assert large is not None
    assert not isinstance(small.frames, np.memmap)
    assert isinstance(large.frames, np.memmap)
    assert not small.frames.flags.writeable
    assert not large.frames.flags.writeable


@given(
    frames=st.integers(1, 5), indices=st.none() | st.lists(st.integers(0, 99), max_size=9), damage=st.none() | st.text()
)
def test_a_note_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, frames: int, indices: list[int] | None, damage: str | None
) -> None:
    path = tmp_path_factory.mktemp("law") / "a.npy"
    note = FilmNote(frames=frames, indices=indices, damage=damage, cuts=[1])
    with caching(path, SHAPE) as writer:
        for i in range(frames):
            writer.append(np.full(SHAPE, i, np.uint8))
        writer.finish(note)
    film = read_cached(path, SHAPE, map_from_bytes=MAP_FROM_BYTES)
    assert film is not None
    assert film.note == note
    assert film.frames[:, 0, 0, 0].tolist() == list(range(frames))


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESTEP_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("FRAMESTEP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/framestep")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "framestep"
