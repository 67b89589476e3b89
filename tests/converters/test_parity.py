"""What parity measures, and that it would notice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.parity import PARITY_TOLERANCE, ParityReport, measure_parity
from converters.step_model import build_step_model
from runtime.errors import ConversionError


def test_a_step_that_forgets_is_noticed(family: Any) -> None:
    model = family.sequential(*family.features(), family.layers.LSTM(4, return_sequences=True))
    step = build_step_model(model, scale=1 / 255, offset=-0.25)
    whole = step.roll_out

    def forgetful(frames: Any, states: Any, resets: Any = None) -> Any:
        del resets
        return whole(frames, states, np.ones(len(frames), np.bool_))

    step.roll_out = forgetful  # type: ignore[method-assign]  # the fault under test
    assert measure_parity(model, step).max_error > 1e-3


def test_a_step_of_other_weights_is_noticed(family: Any) -> None:
    model = family.sequential(*family.features(), family.layers.LSTM(4))
    step = build_step_model(model, scale=1 / 255, offset=-0.25)
    measure_parity(model, step).check()  # from here on the step's weights are constants
    model.set_weights([weight * 0.9 for weight in model.get_weights()])
    assert measure_parity(model, step).max_error > 1e-3


@pytest.mark.parametrize("error", [1.1e-5, float("nan")])
def test_a_difference_above_the_tolerance_is_an_error(error: float) -> None:
    with pytest.raises(ConversionError, match="The step differs from the model by"):
        ParityReport(frames=30, max_error=error).check()


def test_a_difference_of_roundings_is_none() -> None:
    ParityReport(frames=30, max_error=PARITY_TOLERANCE).check()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_trained_in_mixed_precision_is_held_against_in_float32(family: Any, parity: Any, policy: str) -> None:
    mixed = family.keras.mixed_precision
    before = family.keras.config.dtype_policy() if family.name == "keras" else mixed.global_policy()
    change = mixed.set_dtype_policy if family.name == "keras" else mixed.set_global_policy
    change(policy)
    try:
        model = family.sequential(*family.features(), family.layers.GRU(4, return_sequences=True))
    finally:
        change(before)
    parity(model)


LAYERS = {
    "dense": lambda k: k.Dense(4, activation="relu"),
    "lstm": lambda k: k.LSTM(4, return_sequences=True),
    "gru": lambda k: k.GRU(4, return_sequences=True, reset_after=False),
    "causal": lambda k: k.Conv1D(4, 3, dilation_rate=2, padding="causal"),
    "batch": lambda k: k.BatchNormalization(),
    "layer": lambda k: k.LayerNormalization(),
    "relu": lambda k: k.ReLU(),
    "tanh": lambda k: k.Activation("tanh"),
}
MERGES = ("Add", "Subtract", "Average", "Maximum")

node = st.tuples(st.sampled_from([*LAYERS, *MERGES]), st.integers(0, 9), st.integers(0, 9))


@settings(max_examples=10)
@given(nodes=st.lists(node, min_size=2, max_size=7), third=st.booleans())
def test_any_small_graph_of_layers_is_its_step(nodes: list[tuple[str, int, int]], third: bool) -> None:  # noqa: FBT001 - drawn
    import keras
    import tf_keras

    family = keras if third else tf_keras
    layers = family.layers
    clips = layers.Input((None, 2, 2, 1))
    values = [layers.Reshape((-1, 4))(clips)]
    for kind, one, two in nodes:
        first, second = values[one % len(values)], values[two % len(values)]
        made = LAYERS[kind](layers)(first) if kind in LAYERS else getattr(layers, kind)()([first, second])
        values.append(made)
    ends = layers.Concatenate()([*values[-2:]])
    model = family.Model(clips, layers.Dense(3, activation="softmax")(ends))
    rng = np.random.default_rng(len(nodes))
    model.set_weights([rng.uniform(0.2, 0.8, weight.shape) for weight in model.get_weights()])
    measure_parity(model, build_step_model(model, scale=1 / 255, offset=-0.25)).check()
