"""Conversion in a child process, and the rewrites of what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.graph_rewrites import rewrite, smallest_runtime
from converters.tflite import _last_words, convert_saved_model
from runtime.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def saved_step(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A step of one convolution and one recurrent product, with a range for every tensor."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel, w, u, head = (
        tf.constant(rng.normal(0, 0.3, shape), tf.float32) for shape in ((3, 3, 1, 4), (4, 8), (8, 8), (8, 3))
    )

    def ranged(x: Any, low: float, high: float) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(x, low, high)

    @tf.function(  # type: ignore[untyped-decorator]  # TensorFlow ships no types
        input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.uint8, "frame"), tf.TensorSpec((1, 8), tf.float32, "h")]
    )
    def step(frame: Any, h: Any) -> dict[str, Any]:
        x = ranged(tf.cast(frame, tf.float32) * (1 / 255), 0, 1)
        x = ranged(tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), (1, 2)), 0, 2)
        pre = ranged(ranged(x @ w, -4, 4) + ranged(ranged(h, -1, 1) @ u, -4, 4), -4, 4)
        h = ranged(tf.tanh(pre), -1, 127 / 128)
        return {"probabilities": tf.nn.softmax(ranged(h @ head, -4, 4)), "h": h}

    module = tf.Module()
    module.step = step
    folder = tmp_path_factory.mktemp("saved")
    tf.saved_model.save(module, str(folder), signatures={"step": step})
    return folder


@pytest.fixture(scope="module")
def int8_network(saved_step: Path) -> bytes:
    return convert_saved_model(saved_step, "int8")


def ops_of(network: bytes) -> list[str]:
    interpreter = Interpreter(model_content=network, num_threads=1)
    interpreter.allocate_tensors()
    return [op["op_name"] for op in interpreter._get_ops_details()]


def probabilities(network: bytes, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    interpreter = Interpreter(model_content=network, num_threads=1)
    runner = interpreter.get_signature_runner("step")
    answer: np.ndarray[Any, Any] = runner(frame=frame, h=np.zeros((1, 8), np.float32))["probabilities"]
    return answer


def test_a_rewritten_int8_network_is_one_partition(int8_network: bytes) -> None:
    ops = ops_of(rewrite(int8_network))
    assert ops.count("DELEGATE") == 1


def test_a_rewritten_int8_network_casts_first(int8_network: bytes) -> None:
    assert ops_of(rewrite(int8_network))[0] == "CAST"


def test_the_rewritten_softmax_is_float(int8_network: bytes) -> None:
    ops = ops_of(rewrite(int8_network))
    assert ops.index("DEQUANTIZE", ops.index("FULLY_CONNECTED")) < ops.index("SOFTMAX")


def test_rewriting_changes_no_answer_by_more_than_a_step_of_the_int8_softmax(int8_network: bytes) -> None:
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    before, after = probabilities(int8_network, frame), probabilities(rewrite(int8_network), frame)
    assert np.abs(before - after).max() <= 1 / 256


def test_rewriting_a_float_network_changes_nothing(saved_step: Path) -> None:
    network = convert_saved_model(saved_step, "float32")
    frame = np.full((1, 8, 8, 1), 77, np.uint8)
    np.testing.assert_array_equal(probabilities(network, frame), probabilities(rewrite(network), frame))


def test_the_oldest_runtime_is_read_from_the_network(int8_network: bytes) -> None:
    oldest = smallest_runtime(int8_network)
    assert oldest is not None
    assert smallest_runtime(rewrite(int8_network)) == oldest


def test_a_converter_that_fails_is_one_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"^The converter ended with exit status 1: .*SavedModel.*"):
        convert_saved_model(tmp_path / "nowhere", "float32")


def test_a_converter_that_hangs_is_ended(saved_step: Path) -> None:
    with pytest.raises(ConversionError, match=r"did not end within 0\.1 s"):
        convert_saved_model(saved_step, "float32", time_limit_s=0.1)


def test_a_crash_is_told_by_its_signal() -> None:
    assert _last_words(-11, "") == ("The converter ended with signal SIGSEGV: it said nothing. Try another precision.")
