from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from converters.step_model import build_step_model
from runtime.errors import ConfigError
from toolkit.models.build import build_model
from toolkit.models.config import Bounds, ModelConfig
from toolkit.training.batches import ClipBatches
from toolkit.training.bounding import BoundingConfig, bound_network, bounded_network, choose_bounds
from toolkit.training.network import Network
from toolkit.training.observing import Observed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.data.dataset import Dataset
    from toolkit.training.loop import Row

EASY = BoundingConfig(batches=1, compared=1)


def network_of(config: ModelConfig) -> Network:
    tf_keras.utils.set_random_seed(0)
    model = build_model(config)
    rng = np.random.default_rng(0)
    # Freshly made kernels are small: nothing would ever reach a bound.
    model.set_weights(
        [w if "variance" in v.name else w * 3 + 0.1 * rng.normal(size=w.shape) for v, w in weights_of(model)]
    )
    return Network(model, scale=config.scale, offset=config.offset)


def weights_of(model: Any) -> list[tuple[Any, Any]]:
    return list(zip(model.weights, model.get_weights(), strict=True))


def batches_of(bars: tuple[Dataset, Dataset], clips: int = 8) -> ClipBatches:
    return ClipBatches(clips=bars[0].clips[:clips], batch_size=clips, seed=0)


def config_of(**more: Any) -> ModelConfig:
    return ModelConfig(**{"preset": "tiny", "width": 16, "height": 16, "classes": 2, "units": 8, **more})


def bounds_of(
    bars: tuple[Dataset, Dataset], percentile: float = 99.0, **more: Any
) -> tuple[Bounds, Network, ModelConfig]:
    config = config_of(**more)
    network = network_of(config)
    return choose_bounds(Observed(network, batches_of(bars), 1), config, only(percentile)), network, config


def only(percentile: float, c: float = 8.0, **more: Any) -> BoundingConfig:
    return BoundingConfig(percentiles=(percentile,), c=(c,), batches=1, compared=1, **more)


def test_an_activation_is_bounded_at_the_percentile_of_what_it_gives(bars: tuple[Dataset, Dataset]) -> None:
    bounds, network, _ = bounds_of(bars)
    frames = batches_of(bars).batch(0, 0).frames.reshape(-1, 16, 16, 1).astype(np.float32) / 255
    probe = tf_keras.Model(network.encoder.input, network.encoder.get_layer("conv1_activation").output)
    values = probe(frames).numpy()
    # The percentile is that of a sample.
    assert bounds.activations["conv1_activation"] == pytest.approx(np.percentile(values, 99), rel=0.1)
    assert set(bounds.activations) == {"conv1_activation", "conv2_activation", "features_activation"}


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("lstm", {"pre", "from_input", "from_h", "c"}),
        ("peephole", {"pre", "from_input", "from_h", "from_c", "c"}),
        ("gru", {"pre", "from_input", "from_h", "candidate"}),
        ("rnn", {"pre", "from_input", "from_h"}),
        ("convlstm", {"pre", "from_input", "from_h", "c"}),
        ("none", set()),
    ],
)
def test_every_cell_is_bounded_wherever_it_can_be(bars: tuple[Dataset, Dataset], cell: Any, names: set[str]) -> None:
    bounds, _, _ = bounds_of(bars, cell=cell)
    assert set(bounds.cell or {}) == names


def test_a_product_is_bounded_at_the_percentile_of_what_occurs(bars: tuple[Dataset, Dataset]) -> None:
    config = config_of(cell="gru")
    network = network_of(config)
    observed = Observed(network, batches_of(bars), 1)
    values = np.abs(observed.places["from_h"])
    bounds = choose_bounds(observed, config, only(90.0))
    assert bounds.from_h == pytest.approx(np.percentile(values, 90), abs=1e-3)
    assert choose_bounds(observed, config, only(90.0, pre=0.01)).from_h == 0.01


@pytest.mark.parametrize("kind", ["relu6", "elu", "tanh"])
def test_every_activation_that_the_presets_offer_is_bounded(bars: tuple[Dataset, Dataset], kind: Any) -> None:
    bounds, network, config = bounds_of(bars, activation=kind, cell="none")
    assert set(bounds.activations) == {"conv1_activation", "conv2_activation", "features_activation"}
    clipped, _ = bounded_network(network, config, bounds)
    step = build_step_model(clipped.model, scale=config.scale, offset=config.offset)
    taps = {tap.name: tap.bound or tap.fixed for tap in step.taps}
    assert taps["encoder/conv1_activation"] is not None
    if kind != "relu6":
        found = taps[f"encoder/conv1_activation/{kind}"]
        assert found is not None
        assert found[1] == bounds.activations["conv1_activation"]


def test_every_choice_is_looser_than_the_one_before(bars: tuple[Dataset, Dataset]) -> None:
    config = config_of()
    observed = Observed(network_of(config), batches_of(bars), 1)
    choices = [choose_bounds(observed, config, EASY, number) for number in range(3)]
    assert [each.c for each in choices] == [1.0, 2.0, pytest.approx(max(np.abs(observed.places["c"])), abs=1e-3)]
    for tighter, looser in itertools.pairwise(choices):
        assert all(looser.activations[name] >= bound for name, bound in tighter.activations.items())


def test_c_gets_at_least_the_smallest_bound(bars: tuple[Dataset, Dataset]) -> None:
    config = config_of()
    observed = Observed(network_of(config), batches_of(bars), 1)
    assert choose_bounds(observed, config, only(99.0, c=200.0, c_least=100.0)).c == 100.0


def test_a_layer_between_cell_and_classes_is_bounded_too(bars: tuple[Dataset, Dataset]) -> None:
    bounds, _, _ = bounds_of(bars, preset="article", units=4)
    assert "head_activation" in bounds.activations


@pytest.mark.parametrize("cell", ["lstm", "gru", "convlstm"])
def test_bounds_chosen_again_do_not_get_tighter(bars: tuple[Dataset, Dataset], cell: Any) -> None:
    first, network, config = bounds_of(bars, cell=cell, percentile=80.0)
    clipped, bounded = bounded_network(network, config, first)
    again = choose_bounds(Observed(clipped, batches_of(bars), 1), bounded, only(80.0))
    # The first layer meets the same pictures, whatever is clipped behind it.
    assert again.activations["conv1_activation"] == pytest.approx(first.activations["conv1_activation"], rel=0.05)
    assert clipped.model.get_layer("cell").cell.limiter is None


def test_the_bounded_network_says_the_same_where_nothing_is_clipped(bars: tuple[Dataset, Dataset]) -> None:
    _, network, config = bounds_of(bars)
    clip = tf.constant(bars[1].clips[0].frames[None].astype(np.float32) / 255)
    wide = Bounds(activations={"conv1_activation": 1e6}, pre=1e6, c=1e6)
    clipped, bounded = bounded_network(network, config, wide)
    assert bounded.bounds == wide
    np.testing.assert_allclose(clipped.model(clip), network.model(clip), atol=1e-6)


def test_the_bounded_network_clips(bars: tuple[Dataset, Dataset]) -> None:
    _, network, config = bounds_of(bars)
    frames = bars[1].clips[0].frames.astype(np.float32) / 255
    clipped, _ = bounded_network(network, config, Bounds(activations={"conv1_activation": 0.01}))
    probe = tf_keras.Model(clipped.encoder.input, clipped.encoder.get_layer("conv1_activation").output)
    assert probe(frames).numpy().max() == np.float32(0.01)


def test_a_choice_that_does_no_harm_is_the_last_that_is_tried(bars: tuple[Dataset, Dataset]) -> None:
    config = config_of(cell="gru")
    phases: list[str] = []

    def fit(_: Network, __: ModelConfig, phase: str) -> Sequence[Row]:
        phases.append(phase)
        return ()

    wide = BoundingConfig(batches=1, compared=1, percentiles=(100.0, 99.0), pre=1e6, candidate=1e6, c=(8.0, 8.0))
    found = bound_network(network_of(config), config, batches_of(bars), wide, fit)
    assert phases == ["bounded"]
    assert found.notes["percentile"] == 100.0
    assert [one["loss_change"] for one in found.notes["tried"]] == pytest.approx([0.0], abs=1e-6)


def test_where_every_choice_does_harm_the_one_that_does_least_is_taken(bars: tuple[Dataset, Dataset]) -> None:
    config = config_of(cell="gru")
    phases: list[str] = []

    def fit(clipped: Network, _: ModelConfig, phase: str) -> Sequence[Row]:
        phases.append(phase)
        # A training that goes wrong: worst the second time.
        size = {"bounded": 40.0, "bounded 2": 80.0, "bounded 3": 60.0}[phase]
        kernel, bias = clipped.model.get_layer("logits").get_weights()
        clipped.model.get_layer("logits").set_weights([kernel, bias + np.array([size, -size])])
        return ()

    found = bound_network(network_of(config), config, batches_of(bars), EASY, fit)
    assert phases == ["bounded", "bounded 2", "bounded 3"]
    assert found.notes["percentile"] == EASY.percentiles[0]
    assert found.model.bounds is not None


def test_every_problem_of_a_bounding_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"pre is 0.*share is -1.*percentiles is \(101,\).*c is \(0, 1\)"):
        BoundingConfig(pre=0, share=-1, percentiles=(101,), c=(0, 1))
