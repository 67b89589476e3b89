from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from runtime.errors import ConfigError
from toolkit.models.build import build_model
from toolkit.models.config import Bounds, ModelConfig
from toolkit.training.batches import ClipBatches
from toolkit.training.bounding import BoundingConfig, bounded_model, choose_bounds
from toolkit.training.network import Network

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset


def network_of(config: ModelConfig) -> Network:
    tf_keras.utils.set_random_seed(0)
    return Network(build_model(config), scale=config.scale, offset=config.offset)


def bounds_of(bars: tuple[Dataset, Dataset], **more: Any) -> tuple[Bounds, Network, ModelConfig]:
    config = ModelConfig(preset="tiny", width=16, height=16, classes=2, units=8, **more)
    network = network_of(config)
    batches = ClipBatches(clips=bars[0].clips, batch_size=8, seed=0)
    return choose_bounds(network, batches, config, BoundingConfig(percentile=99.0)), network, config


def test_an_activation_is_bounded_at_the_percentile_of_what_it_gives(bars: tuple[Dataset, Dataset]) -> None:
    bounds, network, _ = bounds_of(bars)
    frames = np.concatenate([clip.frames for clip in bars[0].clips]).astype(np.float32) / 255
    probe = tf_keras.Model(network.encoder.input, network.encoder.get_layer("conv1_activation").output)
    values = probe(frames).numpy()
    # Each clip is padded by a repeated frame, so the percentile is not exactly the clips' own.
    assert bounds.activations["conv1_activation"] == pytest.approx(np.percentile(values, 99), rel=0.1)
    assert set(bounds.activations) == {"conv1_activation", "conv2_activation", "features_activation"}


@pytest.mark.parametrize(
    ("cell", "pre", "has_c"),
    [
        ("lstm", 6.0, True),
        ("peephole", 6.0, True),
        ("gru", 6.0, False),
        ("convlstm", None, False),
        ("none", None, False),
    ],
)
def test_a_cell_is_bounded_where_it_can_be(
    bars: tuple[Dataset, Dataset], cell: Any, pre: float | None, *, has_c: bool
) -> None:
    bounds, _, _ = bounds_of(bars, cell=cell)
    assert bounds.pre == pre
    assert (bounds.c is not None) == has_c


def test_c_gets_at_least_the_smallest_bound(bars: tuple[Dataset, Dataset]) -> None:
    bounds, _, _ = bounds_of(bars)
    assert bounds.c == BoundingConfig().c_least


def test_a_layer_between_cell_and_classes_is_bounded_too(bars: tuple[Dataset, Dataset]) -> None:
    config = ModelConfig(preset="article", width=16, height=16, classes=2, units=4)
    batches = ClipBatches(clips=bars[0].clips[:4], batch_size=4, seed=0)
    bounds = choose_bounds(network_of(config), batches, config, BoundingConfig())
    assert "head_activation" in bounds.activations


def test_the_bounded_model_says_the_same_where_nothing_is_clipped(bars: tuple[Dataset, Dataset]) -> None:
    _, network, config = bounds_of(bars)
    clip = tf.constant(bars[1].clips[0].frames[None].astype(np.float32) / 255)
    wide = Bounds(activations={"conv1_activation": 1e6}, pre=1e6, c=1e6)
    model, bounded = bounded_model(network.model, config, wide)
    assert bounded.bounds == wide
    np.testing.assert_allclose(model(clip), network.model(clip), atol=1e-6)


def test_the_bounded_model_clips(bars: tuple[Dataset, Dataset]) -> None:
    _, network, config = bounds_of(bars)
    frames = bars[1].clips[0].frames.astype(np.float32) / 255
    model, _ = bounded_model(network.model, config, Bounds(activations={"conv1_activation": 0.01}))
    encoder = model.get_layer("per_frame").layer
    probe = tf_keras.Model(encoder.input, encoder.get_layer("conv1_activation").output)
    assert probe(frames).numpy().max() == np.float32(0.01)


def test_every_problem_of_a_bounding_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"pre is 0.*share is -1.*percentile is 101"):
        BoundingConfig(pre=0, share=-1, percentile=101)
