"""Dense layers and cells: in 8 bits, every output has a weight scale of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.convert import network_of
from converters.step_model import build_step_model
from converters.step_rules.linear import dense_product

if TYPE_CHECKING:
    from converters.step_model import StepModel
    from runtime.spec import Precision

pytestmark = pytest.mark.usefixtures("converter_in_this_process")

WIDTH = 32


@pytest.fixture(scope="module")
def dense_and_cell() -> StepModel:
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((None, 8, 8, 1)),
            layers.TimeDistributed(layers.Flatten()),
            layers.Dense(WIDTH, activation="relu", name="features"),
            layers.GRU(WIDTH, return_sequences=True, name="cell"),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    return build_step_model(model, scale=1 / 255, offset=-0.5)


def ranges_of(step: StepModel, frames: Any) -> dict[str, tuple[float, float]]:
    trace, _ = step.observe(frames, step.initial_states())
    low, high = trace.lowest.min(0), trace.highest.max(0)
    return {tap.name: tap.fixed or (min(float(low[i]), 0.0), float(high[i])) for i, tap in enumerate(step.taps)}


def frames_of(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8, 1), np.uint8)


def converted(step: StepModel, precision: Precision) -> Interpreter:
    ranges = ranges_of(step, frames_of(64)) if precision in ("int8", "mixed") else None
    return Interpreter(model_content=network_of(step, precision, ranges=ranges))


@given(inputs=st.integers(1, 9), outputs=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_product_is_that_of_matrices(inputs: int, outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, inputs)).astype(np.float32)
    kernel = rng.normal(size=(inputs, outputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    np.testing.assert_allclose(dense_product(tf.constant(x), kernel, None), x @ kernel, atol=1e-5)
    np.testing.assert_allclose(dense_product(tf.constant(x), kernel, bias), x @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("precision", ["dynamic", "mixed", "int8"])
def test_every_output_has_a_weight_scale_of_its_own(dense_and_cell: StepModel, precision: Precision) -> None:
    interpreter = converted(dense_and_cell, precision)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    products = [op for op in interpreter._get_ops_details() if op["op_name"] == "CONV_2D"]
    kernels = [details[op["inputs"][1]] for op in products]
    assert len(products) == 4
    rounded = [kernel for kernel in kernels if kernel["dtype"] == np.int8]
    # The head is too small to be worth rounding where nothing else asks for it.
    assert len(rounded) == (4 if precision == "int8" else 3)
    assert all(len(kernel["quantization_parameters"]["scales"]) == kernel["shape"][0] for kernel in rounded)
