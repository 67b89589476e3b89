from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow as tf

from toolkit.data.dataset import Clip
from toolkit.models.config import ModelConfig
from toolkit.training.baselines import Baselines
from toolkit.training.schedule import TrainConfig

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset


@pytest.fixture
def baselines(bars: tuple[Dataset, Dataset]) -> Baselines:
    tf.config.experimental.enable_op_determinism()
    return Baselines(
        model=ModelConfig(preset="tiny", width=16, height=16, classes=2, units=8),
        train=TrainConfig(epochs=20, batch_size=8, learning_rate=0.01),
        clips=bars[0].clips,
        held=bars[1].clips,
    )


def test_a_single_frame_does_not_tell_which_way_a_bar_travels(baselines: Baselines) -> None:
    assert baselines.single_frame().accuracy < 0.8


def test_a_single_frame_tells_what_it_shows(baselines: Baselines) -> None:
    def clip(number: int) -> Clip:
        frames = np.full((6, 16, 16, 1), 255 * (number % 2), np.uint8)
        return Clip(name=f"{number}", label=number % 2, group=f"{number}", frames=frames)

    clips = [clip(i) for i in range(16)]
    assert replace(baselines, clips=clips, held=clips).single_frame().accuracy == 1


def test_shuffled_order_does_not_tell_which_way_a_bar_travels(baselines: Baselines) -> None:
    baseline = replace(baselines, train=replace(baselines.train, epochs=4)).shuffled_order()
    assert 0 <= baseline.accuracy <= 0.9
    assert baseline.seconds > 0
