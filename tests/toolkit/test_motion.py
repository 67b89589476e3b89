from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig
from toolkit.training.batches import ClipBatches
from toolkit.training.loop import Loop
from toolkit.training.motion import LAG_FRAMES, MotionTask, _ways, moving_part
from toolkit.training.network import Network
from toolkit.training.schedule import TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.data.dataset import Dataset

ONE_STEP = TrainConfig(epochs=1, learning_rate=0.01, motion=0.5)


def travelling_dot(columns: list[int]) -> Any:
    """One bright pixel in the middle of 9 rows and 32 columns, [1, time, 9, 32, 1]."""
    pictures = np.zeros((1, len(columns), 9, 32, 1), np.float32)
    pictures[0, np.arange(len(columns)), 4, columns] = 1
    return tf.constant(pictures)


def network_of(cell: Any) -> Network:
    tf_keras.utils.set_random_seed(0)
    config = ModelConfig(preset="tiny", width=16, height=16, classes=2, units=8, cell=cell)
    return Network(build_model(config), scale=config.scale, offset=config.offset)


def test_the_way_of_the_motion_is_that_of_its_middle() -> None:
    ways = _ways(travelling_dot([4, 5, 6, 7, 8])).numpy()
    # Two columns of 32 are one part of 16 of the picture.
    np.testing.assert_allclose(ways[0], [[1, 0]] * (5 - LAG_FRAMES), atol=0.02)


def test_a_jump_counts_as_a_way_that_is_just_too_long() -> None:
    ways = _ways(travelling_dot([1, 1, 30, 30])).numpy()
    np.testing.assert_allclose(ways[0], [[3, 0], [3, 0]], atol=1e-5)


def test_without_motion_there_is_no_way() -> None:
    assert not _ways(tf.zeros([2, 5, 4, 4, 1])).numpy().any()


def test_of_pictures_the_motion_is_what_changes() -> None:
    pictures = travelling_dot([3, 3, 9])
    moving = moving_part(pictures, is_difference=False).numpy()
    assert [float(frame.sum()) for frame in moving[0]] == [0, 0, 2]
    assert moving_part(pictures, is_difference=True) is pictures


def test_the_task_is_learnt_from_outputs_that_tell_the_way() -> None:
    columns = [3, 5, 6, 9, 9, 14, 15, 17]
    moving, task = travelling_dot(columns), MotionTask(1)
    ways = _ways(moving)
    outputs = tf.pad(ways[..., :1], [[0, 0], [LAG_FRAMES, 0], [0, 0]])
    before = float(task.loss(moving, outputs))
    task.restore([np.array([[1, 0]], np.float32), np.zeros(2, np.float32)])
    assert float(task.loss(moving, outputs)) < 0.02 < before


@pytest.mark.usefixtures("eagerly")
def test_the_task_trains_what_comes_before_the_cells_outputs_and_not_the_classes(bars: tuple[Dataset, Dataset]) -> None:
    batches = ClipBatches(clips=bars[0].clips, batch_size=24, seed=0)
    kernels = []
    for motion in (0.0, 0.5):
        network = network_of("gru")
        loop = Loop(network, batches, (), replace(ONE_STEP, motion=motion, averaging=0.0, clip_norm=1e6))
        if loop._motion is not None:
            loop._motion.restore([np.ones((8, 2), np.float32), np.zeros(2, np.float32)])
        loop.run()
        layers = (network.model.get_layer("logits"), network.model.get_layer("cell").cell)
        kernels.append([layer.kernel.numpy() for layer in layers])
    (logits, cell), (logits_asked, cell_asked) = kernels
    np.testing.assert_array_equal(logits, logits_asked)
    assert not np.array_equal(cell, cell_asked)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("cell", ["none", "convlstm"])
def test_what_has_no_plain_memory_is_not_asked(bars: tuple[Dataset, Dataset], cell: Any) -> None:
    batches = ClipBatches(clips=bars[0].clips, batch_size=24, seed=0)
    loop = Loop(network_of(cell), batches, (), ONE_STEP)
    assert loop._motion is None
    assert len(loop.run().history) == 1


def test_the_task_fades_to_nothing() -> None:
    shares = [ONE_STEP.motion_at(step, 100) for step in range(100)]
    assert shares[0] == 0.5
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < 0.01


@pytest.mark.usefixtures("eagerly")
def test_a_stopped_training_goes_on_with_the_task_where_it_was(bars: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    batches = ClipBatches(clips=bars[0].clips, batch_size=8, seed=0)
    config, path = replace(ONE_STEP, epochs=2), tmp_path / "train.npz"
    through = network_of("gru")
    Loop(through, batches, (), config).run()

    class Stops(Exception):  # noqa: N818 - it is no error
        pass

    def stop(done: int) -> None:
        if done == len(batches) + 1:
            raise Stops

    with pytest.raises(Stops):
        Loop(network_of("gru"), batches, (), config, checkpoint=path, after_step=stop).run()
    resumed = network_of("gru")
    Loop(resumed, batches, (), config, checkpoint=path).run()
    for one, other in zip(through.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
