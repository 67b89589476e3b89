"""What the workshop's tests share: a cache of their own, and small films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest

from toolkit.data.digits_files import write_film

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


class MakeFilm(Protocol):
    """Writes a film, its folders too, and gives what its frames are."""

    def __call__(
        self, path: Path, *, frames: int = 8, fps: float = 15, size: tuple[int, int] = (32, 24), level: int = 100
    ) -> npt.NDArray[np.uint8]: ...


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of decoded films for each test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FRAMESTEP_CACHE", str(folder))
    return folder


@pytest.fixture
def make_film() -> MakeFilm:
    """Write small gray films whose frame i is `level + i` everywhere."""

    def make(
        path: Path, *, frames: int = 8, fps: float = 15, size: tuple[int, int] = (32, 24), level: int = 100
    ) -> npt.NDArray[np.uint8]:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        levels = (level + np.arange(frames)).astype(np.uint8)
        pixels = np.broadcast_to(levels[:, None, None, None], (frames, height, width, 1))
        write_film(path, pixels, fps=fps)
        return pixels

    return make
