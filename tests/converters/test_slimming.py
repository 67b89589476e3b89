"""A network without what no interpreter reads answers as before, and is smaller."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from converters.calibration import calibrate, ranges_for
from converters.convert import network_of
from converters.graph_form import read_form, write_form
from converters.graph_rewrites import rewrite, smallest_runtime
from converters.slimming import slim
from converters.step_model import build_step_model
from runtime.artifact import check_network
from runtime.flatbuffer import read_network
from runtime.interpreter import open_interpreter
from runtime.spec import ResetSpec
from toolkit.data.digits import DigitsConfig, DigitsStream
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERPRETERS = ("litert", "tensorflow", *(("tflite",) if sys.version_info < (3, 12) else ()))


@pytest.fixture(scope="module")
def networks() -> dict[str, bytes]:
    """The step of a small model as the converter gives it, by precision."""
    config = ModelConfig(preset="tiny", width=16, height=16, classes=3, units=8, cell="gru")
    step_model = build_step_model(build_model(config), scale=config.scale, offset=config.offset)
    stream = DigitsStream(config=DigitsConfig(width=16, height=16))
    ranges = ranges_for(calibrate(step_model, stream, reset=ResetSpec(), frames=60), percentile=97).ranges
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("converters.convert.convert_saved_model", _convert_here)
        return {
            precision: network_of(step_model, precision, ranges=ranges if precision == "int8" else None, plain=True)
            for precision in ("float32", "dynamic", "int8")
        }


def _convert_here(folder: Any, recipe: str) -> bytes:
    from converters import tflite

    output = folder / "network.tflite"
    tflite._convert(str(folder), str(output), recipe)
    content: bytes = output.read_bytes()
    return content


def slimmed(network: bytes) -> bytes:
    model = read_form(network)
    slim(model)
    return write_form(model)


def answers(network: bytes, choice: Any) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Step through ten frames of noise, the states carried."""
    interpreter: Any = open_interpreter(network, choice=choice).interpreter
    runner = interpreter.get_signature_runner("step")
    states = {
        name: np.zeros(detail["shape"], np.float32)
        for name, detail in runner.get_input_details().items()
        if name != "frame"
    }
    rng = np.random.default_rng(0)
    for _ in range(10):
        outputs = runner(frame=rng.integers(0, 256, (1, 16, 16, 1), dtype=np.uint8), **states)
        yield outputs
        states = {name: outputs[name] for name in states}


@pytest.mark.parametrize("precision", ["float32", "dynamic", "int8"])
@pytest.mark.parametrize("choice", INTERPRETERS)
def test_a_slimmed_network_answers_to_the_bit_as_before(
    networks: dict[str, bytes], precision: str, choice: str
) -> None:
    network = networks[precision]
    for before, after in zip(answers(network, choice), answers(slimmed(network), choice), strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(value, after[name])


@pytest.mark.parametrize("precision", ["float32", "dynamic", "int8"])
def test_what_is_judged_of_a_network_stays(networks: dict[str, bytes], precision: str) -> None:
    before, after = read_network(networks[precision]), read_network(slimmed(networks[precision]))
    check_network(after)
    assert after.ops == before.ops
    assert {name: (info.shape, info.dtype) for name, info in after.inputs.items()} == {
        name: (info.shape, info.dtype) for name, info in before.inputs.items()
    }
    assert smallest_runtime(slimmed(networks[precision])) == smallest_runtime(networks[precision])


@pytest.mark.parametrize("precision", ["float32", "dynamic", "int8"])
def test_slimming_takes_bytes_off_the_file_and_off_its_gzip(networks: dict[str, bytes], precision: str) -> None:
    before, after = networks[precision], slimmed(networks[precision])
    assert len(after) < len(before)
    assert len(gzip.compress(after, mtime=0)) < len(gzip.compress(before, mtime=0))


def test_slimming_twice_changes_nothing_more(networks: dict[str, bytes]) -> None:
    once = slimmed(networks["int8"])
    assert slimmed(once) == once


def test_a_rewritten_network_is_slim(networks: dict[str, bytes]) -> None:
    network = rewrite(networks["int8"])
    assert network == slimmed(network)


def test_equal_contents_are_stored_once_and_what_nothing_uses_is_not(networks: dict[str, bytes]) -> None:
    model = read_form(networks["float32"])
    content = np.arange(300, dtype=np.uint8)
    for _ in range(2):
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = content
    heads = [tensor for tensor in model.subgraphs[0].tensors if model.buffers[tensor.buffer].data is None][:2]
    for number, tensor in enumerate(heads):
        tensor.buffer = len(model.buffers) - 2 + number
    unused = schema.TensorT()
    unused.shape, unused.buffer = [1], 0
    model.subgraphs[0].tensors.insert(0, unused)
    _move_by_one(model)
    count = len(model.subgraphs[0].tensors)
    slim(model)
    contents = [bytes(buffer.data) for buffer in model.buffers if buffer.data is not None]
    assert contents.count(content.tobytes()) == 1
    assert len(model.subgraphs[0].tensors) == count - 1
    assert len(contents) == len(set(contents)) == len(model.buffers) - 1


def _move_by_one(model: Any) -> None:
    """Renumber what uses tensors, after one was put before all others."""
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = graph.inputs + 1, graph.outputs + 1
    for operator in graph.operators:
        operator.inputs = operator.inputs + (operator.inputs >= 0)  # -1 is an operand that is left out
        operator.outputs = operator.outputs + 1
    for signature in model.signatureDefs:
        for each in (*signature.inputs, *signature.outputs):
            each.tensorIndex += 1


def tensors_of(network: bytes, kind: int) -> list[Any]:
    return [tensor for tensor in read_form(network).subgraphs[0].tensors if tensor.type == kind]


def test_a_bias_of_many_scales_has_those_of_the_weights_and_one_of_one_scale_its_own(
    networks: dict[str, bytes],
) -> None:
    before, after = (
        tensors_of(each, schema.TensorType.INT32) for each in (networks["int8"], slimmed(networks["int8"]))
    )
    weights = {tensor.quantization.scale.tobytes() for tensor in tensors_of(networks["int8"], schema.TensorType.INT8)}
    scales = [tensor.quantization.scale for tensor in after if tensor.quantization is not None]
    assert any(len(each) > 1 for each in scales)
    assert all(each.tobytes() in weights for each in scales if len(each) > 1)
    own = [tensor.quantization.scale for tensor in before if tensor.quantization is not None]
    assert all(
        each.tolist() in [scale.tolist() for scale in own if scale is not None] for each in scales if len(each) == 1
    )


@given(vectors=st.lists(st.lists(st.integers(-3, 3), max_size=4), max_size=12))
def test_equal_vectors_are_stored_once_and_read_as_they_were(vectors: list[list[int]]) -> None:
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.subgraphs, graph.tensors = [graph], []
    for vector in vectors:
        tensor = schema.TensorT()
        tensor.shape, tensor.quantization = vector, schema.QuantizationParametersT()
        tensor.quantization.zeroPoint, tensor.quantization.scale = vector, [float(each) for each in vector]
        graph.tensors.append(tensor)
    content = write_form(model)
    for tensor, vector in zip(read_form(content).subgraphs[0].tensors or [], vectors, strict=True):
        assert list(tensor.shape if vector else []) == vector
        assert list(tensor.quantization.zeroPoint if vector else []) == vector
        assert list(tensor.quantization.scale if vector else []) == vector
    model.subgraphs[0].tensors = graph.tensors * 2
    assert len(write_form(model)) - len(content) <= 40 * len(vectors)  # tables alone


def test_a_kernel_that_was_pruned_has_one_scale_for_all_its_outputs() -> None:
    config = ModelConfig(preset="tiny", width=16, height=16, classes=3, units=8, cell="gru")
    model = build_model(config)
    model.set_weights(
        [weight * (np.arange(weight.size).reshape(weight.shape) % 5 == 0) for weight in model.get_weights()]
    )
    step_model = build_step_model(model, scale=config.scale, offset=config.offset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("converters.convert.convert_saved_model", _convert_here)
        names = {op.name for op in read_network(network_of(step_model, "float32")).ops}
    assert "FULLY_CONNECTED" in names


def test_the_data_of_buffers_is_aligned_as_the_format_asks(networks: dict[str, bytes]) -> None:
    network = slimmed(networks["int8"])
    model = schema.Model.GetRootAs(network, 0)
    for number in range(model.BuffersLength()):
        data = model.Buffers(number).DataAsNumpy()
        if not isinstance(data, int):
            assert (data.__array_interface__["data"][0] - _address(network)) % 16 == 0


def _address(content: bytes) -> int:
    return int(np.frombuffer(content, np.uint8).__array_interface__["data"][0])
