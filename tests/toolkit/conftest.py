"""What the workshop's tests share: a cache of their own, and small films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest

from toolkit.data.digits_files import write_film

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from toolkit.data.dataset import Dataset
    from toolkit.training.session import TrainRequest


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


@pytest.fixture(scope="session")
def bars() -> tuple[Dataset, Dataset]:
    """Clips of a bar that travels left or right over 16x16, its borders wrapping: to train on, and held out."""
    from toolkit.data.dataset import Clip, Dataset

    def clip(number: int) -> Clip:
        label, length = number % 2, 8 + number % 3
        places = (3 * number + np.arange(length) * (1, -1)[label]) % 16
        frames = np.zeros((length, 16, 16, 1), np.uint8)
        frames[np.arange(length), :, places] = 255
        return Clip(name=f"clip {number}", label=label, group=f"{number}", frames=frames)

    def part(first: int, last: int) -> Dataset:
        return Dataset(labels=("right", "left"), fps=15.0, clips=tuple(map(clip, range(first, last))))

    return part(0, 24), part(24, 32)


@pytest.fixture(scope="session")
def bars_request(bars: tuple[Dataset, Dataset]) -> TrainRequest:
    """A training of a second on `bars`: two steps an epoch."""
    from toolkit.data.dataset import DataConfig
    from toolkit.models.config import ModelConfig
    from toolkit.training.bounding import BoundingConfig
    from toolkit.training.run_folder import DataRequest
    from toolkit.training.schedule import TrainConfig
    from toolkit.training.session import TrainRequest
    from toolkit.training.windows import WindowConfig

    class Given(DataRequest):
        def load(self) -> tuple[Dataset, Dataset]:
            return bars

    return TrainRequest(
        name="bars",
        data=Given(sources=("bars",), config=DataConfig(width=16, height=16)),
        model=ModelConfig(preset="tiny", width=16, height=16, classes=2, units=8),
        train=TrainConfig(epochs=2, batch_size=8, learning_rate=0.01, seed=3),
        stateful=True,
        window=WindowConfig(frames=14, rise_frames=4),
        bounding=BoundingConfig(percentiles=(99.5,), c=(1.0,), batches=1, compared=1, share=0.5),
        baseline_share=0.5,
    )


@pytest.fixture(scope="session")
def finished_bars(bars_request: TrainRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `bars_request`, which nobody stopped; not to be changed."""
    from toolkit.training.session import train_run

    folder = tmp_path_factory.mktemp("runs") / "bars"
    train_run(bars_request, folder, command="framestep train --data bars")
    return folder


@pytest.fixture
def eagerly() -> Iterator[None]:
    """TensorFlow without graphs: for a few steps, building them costs more than they save."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)  # noqa: FBT003  # TensorFlow's signature
    yield
    tf.config.run_functions_eagerly(False)  # noqa: FBT003  # TensorFlow's signature
