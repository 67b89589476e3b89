"""What the bounded layers become in an integer network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tf_keras

from converters.convert import network_of
from converters.layers import BoundedActivation, BoundedConvLSTM2D
from converters.step_model import build_step_model
from runtime.flatbuffer import read_network
from runtime.interpreter import open_interpreter

BOUNDS = {"pre": 3.0, "from_h": 1.0, "c": 1.0}


def model_of(activation: Any) -> Any:
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    stack = [
        layers.TimeDistributed(layers.Conv2D(4, 3, strides=2)),
        layers.TimeDistributed(BoundedActivation(activation, bound=1.5)),
        BoundedConvLSTM2D(4, 3, bounds=BOUNDS, padding="same", return_sequences=True, name="cell"),
        layers.TimeDistributed(layers.GlobalAveragePooling2D()),
    ]
    return tf_keras.Sequential([layers.Input((None, 12, 12, 1)), *stack, layers.Dense(3, activation="softmax")])


@pytest.mark.parametrize("activation", ["elu", "tanh"])
def test_a_bounded_conv_lstm_is_true_in_eight_bits(activation: str) -> None:
    step = build_step_model(model_of(activation), scale=1 / 255, offset=0.0)
    ranges = {tap.name: tap.bound or tap.fixed or (-1.0, 1.0) for tap in step.taps}
    content = network_of(step, "int8", ranges=ranges)
    assert {op.name for op in read_network(content).ops} & {"MINIMUM", "MAXIMUM"} == set()
    interpreter: Any = open_interpreter(content).interpreter
    runner = interpreter.get_signature_runner("step")
    frames = np.random.default_rng(0).integers(0, 255, (20, 12, 12, 1)).astype(np.uint8)
    expected, _ = step.roll_out(frames, step.initial_states())
    states = dict(step.initial_states())
    for frame, answer in zip(frames, expected, strict=True):
        given = runner(frame=frame[None], **states)
        states = {name: given[name] for name in states}
        # A step of the pre-activations is 6/255, and the cell's gates change by up to a fifth of it.
        np.testing.assert_allclose(given["probabilities"][0], answer, atol=0.02)
