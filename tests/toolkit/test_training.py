from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from converters.stream import NO_LABEL
from runtime.errors import ConfigError
from toolkit.data.dataset import Clip, Dataset, LabelledStream
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig
from toolkit.training.batches import ClipBatches, padded
from toolkit.training.loop import Loop
from toolkit.training.network import Network
from toolkit.training.schedule import TrainConfig
from toolkit.training.warping import WarpConfig, warped
from toolkit.training.weighting import risen, risen_after
from toolkit.training.windows import WindowBatches, WindowConfig

if TYPE_CHECKING:
    from toolkit.training.batches import Batch
    from toolkit.training.session import TrainRequest


def network_of(config: ModelConfig) -> Network:
    tf_keras.utils.set_random_seed(0)
    return Network(build_model(config), scale=config.scale, offset=config.offset)


def small(**more: Any) -> ModelConfig:
    return ModelConfig(preset="tiny", width=16, height=16, classes=2, units=8, **more)


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)


def recording(length: int = 60) -> LabelledStream:
    frames = np.broadcast_to(np.arange(length, dtype=np.uint8)[:, None, None, None], (length, 16, 16, 1))
    labels = np.array([NO_LABEL] * 5 + [0] * 30 + [1] * (length - 35))
    return LabelledStream(name="recording", frames=frames, labels=labels)


def test_every_clip_comes_once_an_epoch(bars: tuple[Dataset, Dataset]) -> None:
    clips = bars[0].clips
    batches = ClipBatches(clips=clips, batch_size=5, seed=1)
    firsts = [frame.tobytes() for i in range(len(batches)) for frame in batches.batch(4, i).frames[:, 0]]
    assert sorted(firsts) == sorted(clip.frames[0].tobytes() for clip in clips)


def test_a_batch_is_the_same_whenever_it_is_made(bars: tuple[Dataset, Dataset]) -> None:
    clips = bars[0].clips
    windows = WindowConfig(frames=20)
    for make in (
        lambda: ClipBatches(clips=clips, batch_size=5, seed=1, shuffled=True, warp=WarpConfig()),
        lambda: WindowBatches(
            clips=clips, streams=[recording()], batch_size=5, seed=1, config=windows, warp=WarpConfig()
        ),
    ):
        assert same(make().batch(2, 1), make().batch(2, 1))
        assert not same(make().batch(2, 1), make().batch(3, 1))


def test_padding_repeats_the_last_frame_and_weighs_nothing() -> None:
    rows = [
        (np.full((length, 2, 2, 1), length, np.uint8), 1, np.arange(length, dtype=np.int32), None) for length in (2, 4)
    ]
    batch = padded(rows, rise_frames=2)
    np.testing.assert_array_equal(batch.weights, [[0.5, 1, 0, 0], [0.5, 1, 1, 1]])
    assert (batch.frames[0] == 2).all()


@given(st.integers(1, 40), st.integers(1, 20))
def test_weights_rise_to_one(length: int, rise: int) -> None:
    weights = risen(length, rise)
    assert (np.diff(weights) >= 0).all()
    assert weights[0] == np.float32(1) / np.float32(rise)
    assert (weights[rise - 1 :] == 1).all()


def test_weights_rise_anew_after_a_border() -> None:
    borders = np.array([True, False, False, True, False])
    np.testing.assert_allclose(risen_after(borders, 2), [0.5, 1, 1, 0.5, 1])


def test_a_window_of_clips_is_whole_clips_after_the_first(bars: tuple[Dataset, Dataset]) -> None:
    whole = WindowConfig(frames=40, shortest=1, speed=0, rise_frames=1)
    batches = WindowBatches(clips=bars[0].clips, batch_size=4, seed=0, config=whole)
    batch = batches.batch(0, 0)
    known = {clip.frames.tobytes(): clip.label for clip in bars[0].clips}
    for row in range(4):
        # A frame that is no continuation is a bar that moved by more than one column.
        columns = batch.frames[row, :, 0, :, 0].argmax(-1)
        joins = np.flatnonzero(np.isin((np.diff(columns) + 1) % 16, (0, 2), invert=True)) + 1
        for first, last in itertools.pairwise(joins):
            if (part := batch.frames[row, first:last].tobytes()) in known:
                assert (batch.labels[row, first:last] == known[part]).all()
    assert batch.still.any()
    assert (batch.weights == 1).all()


def test_a_window_of_a_recording_has_its_labels_and_no_weight_where_there_is_none() -> None:
    stream = recording()
    config = WindowConfig(frames=50, rise_frames=1)
    batch = WindowBatches(clips=[], streams=[stream], batch_size=8, seed=0, config=config).batch(0, 0)
    places = batch.frames[:, :, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(np.where(batch.weights > 0, batch.labels, NO_LABEL), stream.labels[places])
    assert not batch.still.any()


def test_a_part_of_a_clip_is_long_enough_and_within_it(bars: tuple[Dataset, Dataset]) -> None:
    config = WindowConfig(shortest=0.5, speed=0.5)
    batches = WindowBatches(clips=bars[0].clips, batch_size=1, seed=0, config=config)
    for seed in range(200):
        places = batches._part(20, np.random.default_rng(seed))
        assert 0 <= places[0] <= places[-1] < 20
        assert len(places) >= 10 or places[-1] - places[0] >= 9
        assert (np.diff(places) >= 0).all()


@given(st.integers(0, 1000), st.integers(1, 9))
def test_a_warp_without_limits_changes_nothing(seed: int, frames: int) -> None:
    still: dict[str, Any] = dict.fromkeys(("rotation_deg", "zoom", "aspect", "shear", "shift", "drift", "gain"), 0.0)
    change = WarpConfig(**still).draw(np.random.default_rng(seed), frames, 8, 6)
    np.testing.assert_allclose(change, [[1, 0, 0, 0, 1, 0, 0, 0, 1]] * frames, atol=1e-6)


def test_a_warp_is_the_same_for_all_frames_but_for_its_drift() -> None:
    change = WarpConfig(drift=0).draw(np.random.default_rng(1), 5, 8, 6)
    assert (change == change[0]).all()
    assert not np.allclose(change[0], WarpConfig(drift=0).draw(np.random.default_rng(2), 5, 8, 6)[0])


def test_a_warped_picture_is_moved_and_gained_and_clipped() -> None:
    pictures = np.zeros((1, 1, 3, 4, 1), np.float32)
    pictures[0, 0, 1, 1] = 0.6
    moved_right = np.array([[[1, 0, -1, 0, 1, 0, 0, 0, 2]]], np.float32)
    changed = warped(tf.constant(pictures), tf.constant(moved_right), 1.0).numpy()
    assert changed[0, 0, 1, 2, 0] == 1
    assert changed.sum() == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_warped_pictures_are_those_of_tensorflows_own_transform(channels: int) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.random((2, 3, 9, 12, channels), np.float32)
    changes = np.stack([WarpConfig(drift=0.2).draw(rng, 3, 12, 9) for _ in range(2)])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures.reshape(6, 9, 12, channels),
        transforms=changes.reshape(6, 9)[:, :8],
        output_shape=[9, 12],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    expected = np.minimum(moved.numpy().reshape(pictures.shape) * changes[:, :, 8, None, None, None], 1)
    np.testing.assert_allclose(warped(tf.constant(pictures), tf.constant(changes), 1.0), expected, atol=1e-5)


def test_warps_reach_what_the_encoder_sees(bars: tuple[Dataset, Dataset]) -> None:
    network = network_of(small(input="difference"))
    batch = ClipBatches(clips=bars[0].clips, batch_size=4, seed=0, warp=WarpConfig()).batch(0, 0)
    plain = network.seen(batch.frames, batch.still, batch.order).numpy()
    seen = network.seen(batch.frames, batch.still, batch.order, batch.warps).numpy()
    assert not np.allclose(plain, seen)
    assert (seen[:, 0] == 0).all()


@pytest.mark.usefixtures("eagerly")
def test_the_weights_kept_are_a_running_mean(bars: tuple[Dataset, Dataset]) -> None:
    config = TrainConfig(epochs=1, averaging=0.99, learning_rate=0.01)
    batches = ClipBatches(clips=bars[0].clips, batch_size=24, seed=0)
    kernels = []
    for averaging in (0.99, 0.0):
        network = network_of(small())
        before = network.model.get_layer("logits").kernel.numpy()
        Loop(network, batches, (), replace(config, averaging=averaging)).run()
        kernels.append(network.model.get_layer("logits").kernel.numpy())
    mean, last = kernels
    # One step: the mean remembers a tenth of the weights before it.
    np.testing.assert_allclose(mean, 0.1 * before + 0.9 * last, atol=1e-6)


def test_some_windows_start_from_a_state_of_the_batch_before(bars: tuple[Dataset, Dataset]) -> None:
    batches = WindowBatches(clips=bars[0].clips, batch_size=64, seed=0, config=WindowConfig(frames=4))
    start = batches.batch(0, 0).start
    assert 0.3 < (start >= 0).mean() < 0.7
    assert len(set(start[start >= 0])) == (start >= 0).sum()


def test_windows_without_anything_to_cut_from_are_refused() -> None:
    with pytest.raises(ConfigError, match="need clips, or recordings"):
        WindowBatches(clips=[], streams=[recording(40)], batch_size=1, seed=0, config=WindowConfig(frames=41))


@pytest.mark.parametrize("cell", ["lstm", "convlstm", "none"])
def test_the_parts_say_what_the_model_says(bars: tuple[Dataset, Dataset], cell: Any) -> None:
    network = network_of(small(cell=cell, input="difference"))
    answers = network.answers(bars[1].clips)
    for clip, said in zip(bars[1].clips, answers.probabilities, strict=True):
        expected = network.model(clip.frames[None].astype(np.float32) / 255)[0]
        np.testing.assert_allclose(said, expected, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "peephole"])
def test_a_state_carried_over_continues_the_clip(bars: tuple[Dataset, Dataset], cell: Any) -> None:
    network = network_of(small(cell=cell))
    frames = np.stack([clip.frames[:8] for clip in bars[0].clips[:3]])

    def logits(part: slice, states: list[Any]) -> tuple[Any, list[Any]]:
        count = frames[:, part].shape[1]
        still, order = np.zeros((3, count), np.bool_), np.tile(np.arange(count), (3, 1))
        return network.logits(frames[:, part], still, order, states, training=False)

    whole, _ = logits(slice(0, 8), network.initial_states(3))
    _, states = logits(slice(0, 5), network.initial_states(3))
    rest, _ = logits(slice(5, 8), states)
    np.testing.assert_allclose(rest, whole[:, 5:], atol=1e-5)


def test_input_difference_shows_nothing_at_a_hidden_join(bars: tuple[Dataset, Dataset]) -> None:
    network = network_of(small(input="difference"))
    frames = bars[0].clips[0].frames[None, :4]
    still = np.array([[False, False, True, False]])
    seen = network.seen(frames, still, np.arange(4)[None]).numpy()
    assert [bool(frame.any()) for frame in seen[0]] == [False, True, False, True]


def test_shuffling_gives_the_cell_the_same_frames_in_another_order(bars: tuple[Dataset, Dataset]) -> None:
    network = network_of(small(cell="none", input="difference"))
    clips = bars[1].clips[:1]
    straight = network.answers(clips).probabilities[0]
    shuffled = network.answers(clips, shuffled_seed=0).probabilities[0]
    assert not np.allclose(straight, shuffled)
    np.testing.assert_allclose(np.sort(straight[:, 0]), np.sort(shuffled[:, 0]), atol=1e-6)


def test_the_loop_learns_which_way_a_bar_travels(bars: tuple[Dataset, Dataset]) -> None:
    train, held = bars
    tf.config.experimental.enable_op_determinism()
    batches = WindowBatches(clips=train.clips, batch_size=8, seed=0, config=WindowConfig(frames=20, rise_frames=3))
    config = TrainConfig(epochs=50, batch_size=8, learning_rate=0.01)
    fitted = Loop(network_of(small()), batches, held.clips, config).run()
    assert fitted.kept == "last"
    assert fitted.history[-1].val_accuracy == 1


@pytest.mark.usefixtures("eagerly")
def test_training_stops_where_nothing_gets_better_and_keeps_the_best(bars: tuple[Dataset, Dataset]) -> None:
    network = network_of(small())
    batches = ClipBatches(clips=bars[0].clips, batch_size=24, seed=0)
    # So large a rate that the loss held out soon grows.
    config = TrainConfig(epochs=30, learning_rate=0.5, patience=2, warm_up=0, averaging=0)
    fitted = Loop(network, batches, bars[1].clips, config).run()
    losses = [row.val_loss for row in fitted.history if row.val_loss is not None]
    assert fitted.kept == "best"
    assert len(losses) < 30
    assert network.answers(bars[1].clips).loss == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_a_loss_that_is_no_number_ends_the_training_with_advice(bars: tuple[Dataset, Dataset]) -> None:
    network = network_of(small())
    network.model.set_weights([np.full_like(each, np.nan) for each in network.model.get_weights()])
    batches = ClipBatches(clips=bars[0].clips, batch_size=24, seed=0)
    with pytest.raises(ConfigError, match=r"The loss is nan in epoch 1.*--learning-rate below 0.01"):
        Loop(network, batches, (), TrainConfig(epochs=1, learning_rate=0.01)).run()


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_rate_stays_between_a_hundredth_and_the_highest(steps: int, warm_up: float) -> None:
    config = TrainConfig(epochs=1, learning_rate=1.0, warm_up=warm_up)
    rates = [config.rate(step, steps) for step in range(steps)]
    assert max(rates) <= 1
    assert min(rates) > 0
    assert rates.index(max(rates)) <= warm_up * steps + 1


@given(st.integers(1, 200), st.integers(1, 50))
def test_the_clips_held_out_are_looked_at_evenly_and_after_the_last_epoch(epochs: int, looks: int) -> None:
    config = TrainConfig(epochs=epochs, looks=looks)
    looked = [epoch for epoch in range(epochs) if config.looks_at(epoch)]
    assert looked[-1] == epochs - 1
    assert len(looked) == min(epochs, looks)
    assert all(replace(config, patience=1).looks_at(epoch) for epoch in range(epochs))


def test_every_problem_of_a_training_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"epochs is 0.*learning_rate is -1.*optimizer is adan"):
        TrainConfig(epochs=0, learning_rate=-1, optimizer="adan")  # type: ignore[arg-type]  # the point


@pytest.mark.usefixtures("eagerly")
def test_clips_of_one_frame_train_without_a_memory(bars_request: TrainRequest) -> None:
    frames = np.random.default_rng(0).integers(256, size=(16, 1, 16, 16, 1), dtype=np.uint8)
    clips = [Clip(name=f"{i}", label=i % 2, group=f"{i}", frames=each) for i, each in enumerate(frames)]
    config = replace(bars_request.train, epochs=1)
    batches = ClipBatches(clips=clips, batch_size=8, seed=0)
    fitted = Loop(network_of(small(cell="none")), batches, clips, config).run()
    assert len(fitted.history) == 1
