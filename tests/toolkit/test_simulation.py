from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from toolkit.compression import simulation
from toolkit.compression.eight_bits import rounded_kernel
from toolkit.compression.simulation import SimulatedNetwork
from toolkit.models.build import build_model
from toolkit.models.config import Bounds, ModelConfig
from toolkit.training.network import Network

NAMES = ("conv1", "conv2", "conv3", "features", "head")


def simulated_of(*, pruned: bool = False, **more: Any) -> tuple[SimulatedNetwork, Network]:
    bounds = Bounds(activations={f"{name}_activation": 3.0 for name in NAMES}, pre=4.0, c=2.0)
    config = ModelConfig(
        **{"preset": "tiny", "width": 16, "height": 16, "classes": 3, "units": 5, **more}, bounds=bounds
    )
    tf_keras.utils.set_random_seed(0)
    network = Network(build_model(config), scale=config.scale, offset=config.offset)
    if pruned:
        rng = np.random.default_rng(0)
        network.model.set_weights([w * (rng.random(w.shape) < 0.5) for w in network.model.get_weights()])
    return SimulatedNetwork(network, config, pruned=pruned), network


def frames_of(network: Network, length: int = 5) -> tuple[Any, Any, Any]:
    shape = network.encoder.input_shape[1:]
    frames = np.random.default_rng(0).integers(0, 255, (2, length, *shape)).astype(np.uint8)
    return frames, np.zeros((2, length), np.bool_), np.tile(np.arange(length, dtype=np.int32), (2, 1))


def logits(network: Network) -> Any:
    return network.logits(*frames_of(network), [], training=False)[0].numpy()


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm"},
        {"cell": "convlstm", "activation": "tanh"},
        {"cell": "peephole", "preset": "article", "activation": "elu"},
        {"cell": "none", "preset": "small"},
    ],
)
def test_every_weight_is_trained_through_the_rounding(options: dict[str, Any]) -> None:
    simulated, network = simulated_of(**options)
    with tf.GradientTape() as tape:
        answers, _ = simulated.logits(*frames_of(network), [], training=True)
        loss = tf.reduce_sum(answers**2)
    gradients = tape.gradient(loss, simulated.trainable)
    assert len(simulated.trainable) == len(network.trainable)
    assert all(gradient is not None for gradient in gradients)


def small_moves(network: Network, simulated: SimulatedNetwork, layer: str) -> tuple[float, float]:
    """How far answers move, rounded and plain, when a kernel moves by less than a step of 8 bits."""
    if layer == "conv1":
        plain: Any = network.encoder.get_layer("conv1").kernel
        rounded: Any = simulation._by_name(simulated.encoder.get_layer("quant_conv1"))["kernel"]
    else:
        holder = network.model.get_layer(layer)
        plain = rounded = holder.cell.kernel if layer == "cell" else holder.kernel
    # Every weight stands on a step, so that a small move rounds back to it; the largest, which is the scale, stays.
    whole = plain.numpy()
    highest = np.abs(whole).max(axis=tuple(range(whole.ndim - 1)))
    on_steps = np.round(whole / highest * 127) * highest / 127
    moves = []
    for variable, where in ((rounded, simulated), (plain, network)):
        limiter = network.model.get_layer("cell").cell
        before, limiter.limiter = limiter.limiter, (limiter.limiter if where is simulated else None)
        variable.assign(on_steps)
        first = logits(where)
        variable.assign(on_steps + np.where(np.abs(on_steps) < highest, 0.3 * highest / 127, 0))
        moves.append(float(np.abs(logits(where) - first).max()))
        variable.assign(whole)
        limiter.limiter = before
    return moves[0], moves[1]


@pytest.mark.parametrize("layer", ["conv1", "cell", "logits"])
def test_a_weight_counts_only_as_its_step_of_eight_bits(layer: str) -> None:
    simulated, network = simulated_of(cell="gru")
    rounded, plain = small_moves(network, simulated, layer)
    assert rounded == 0
    assert plain > 1e-5


def test_values_are_rounded_where_the_converter_rounds_them() -> None:
    simulated, network = simulated_of(cell="gru")
    probe = tf_keras.Model(simulated.encoder.input, simulated.encoder.get_layer("quant_conv1_activation").output)
    seen = network.seen(*frames_of(network))
    values = probe(seen[0], training=False).numpy() / 3.0 * 255
    assert np.abs(values - np.round(values)).max() < 1e-3
    assert not np.array_equal(logits(simulated), logits_without(network))


def logits_without(network: Network) -> Any:
    cell = network.model.get_layer("cell").cell
    limiter, cell.limiter = cell.limiter, None
    try:
        return logits(network)
    finally:
        cell.limiter = limiter


def one_step(simulated: SimulatedNetwork, network: Network) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(simulated.logits(*frames_of(network), [], training=True)[0] ** 2)
    gradients = tape.gradient(loss, simulated.trainable)
    for variable, gradient in zip(simulated.trainable, gradients, strict=True):
        variable.assign_sub(0.01 * gradient)


def test_at_the_end_the_plain_network_has_what_was_learnt() -> None:
    simulated, network = simulated_of(cell="lstm")
    before = network.model.get_weights()
    one_step(simulated, network)
    simulated.finish()
    names = {weight.name for weight in network.model.weights}
    assert not any("quant" in name for name in names)
    for variable, now, old in zip(network.model.weights, network.model.get_weights(), before, strict=True):
        assert (now != old).any(), variable.name
    learnt = simulation._by_name(simulated.encoder.get_layer("quant_features_norm"))
    np.testing.assert_array_equal(network.encoder.get_layer("features_norm").moving_mean, learnt["moving_mean"].numpy())
    assert network.model.get_layer("cell").cell.limiter is None


def test_zeros_stay_zero_under_the_rounding() -> None:
    simulated, network = simulated_of(cell="gru", pruned=True)
    kernels = [variable for variable in network.model.trainable_variables if "kernel" in variable.name]
    before = [kernel.numpy() == 0 for kernel in kernels]
    one_step(simulated, network)
    simulated.after_step(1)
    one_step(simulated, network)
    simulated.finish()
    for kernel, zeros in zip(kernels, before, strict=True):
        assert zeros.any()
        assert not kernel.numpy()[zeros].any(), kernel.name


def test_a_kernel_s_gradient_passes_as_if_nothing_was_rounded() -> None:
    kernel = tf.Variable(np.linspace(-1, 1, 7, dtype=np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rounded_kernel(kernel) * tf.range(7.0))
    np.testing.assert_allclose(tape.gradient(loss, kernel), np.arange(7.0))


def on_the_steps_of_one_scale(kernel: Any, rounded: Any) -> bool:
    steps = rounded / (np.abs(kernel).max() / 127)
    return float(np.abs(steps - np.round(steps)).max()) < 1e-3


def test_a_pruned_matrix_has_one_scale_and_any_other_kernel_one_for_each_output() -> None:
    rng = np.random.default_rng(0)
    dense = (rng.normal(size=(40, 6)) * np.geomspace(0.01, 1, 6)).astype(np.float32)
    pruned = dense * (rng.random(dense.shape) < 0.3)
    assert on_the_steps_of_one_scale(pruned, rounded_kernel(tf.constant(pruned)).numpy())
    assert not on_the_steps_of_one_scale(dense, rounded_kernel(tf.constant(dense)).numpy())
    picture = pruned.reshape(2, 2, 10, 6)
    assert not on_the_steps_of_one_scale(picture, rounded_kernel(tf.constant(picture)).numpy())


def test_a_pruned_dense_layer_is_rounded_as_the_file_that_it_is_folded_into() -> None:
    simulated, network = simulated_of(cell="gru", pruned=True)
    layer = network.encoder.get_layer("features")
    kernel = layer.kernel.numpy() * (np.random.default_rng(1).random(layer.kernel.shape) < 0.5)
    layer.kernel.assign(kernel)
    norm = network.encoder.get_layer("features_norm")
    norm.gamma.assign(np.geomspace(0.05, 2, norm.gamma.shape[0]))
    variance = np.geomspace(3, 0.5, norm.gamma.shape[0])
    norm.moving_variance.assign(variance)
    simulated = SimulatedNetwork(network, ModelConfig(preset="tiny", width=16, height=16, classes=3), pruned=True)
    rounding = simulated.encoder.get_layer("quant_features").quantize_config.rounding
    factor = norm.gamma.numpy() / np.sqrt(variance + norm.epsilon)
    assert on_the_steps_of_one_scale(
        kernel * factor, rounding(layer.kernel, training=True, weights={}).numpy() * factor
    )
