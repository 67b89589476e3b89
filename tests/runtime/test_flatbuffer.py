"""The reader of networks, against the schema's own and against any bytes."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ArtifactError
from runtime.flatbuffer import DTYPES, Op, TensorInfo, read_network
from runtime.operators import ALLOWED, BUILTIN, OPTIONS, SIZES
from runtime.trailer import read_trailer

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

GOLDEN = ("tiny", "lstm-int8", "gru-float32")


def content_of(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: read_trailer(data).start]


@pytest.mark.parametrize("name", GOLDEN)
def test_counts_are_the_schemas_own(golden: Path, name: str) -> None:
    content = content_of(golden / f"{name}.tflite")
    network, model = read_network(content), schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    assert network.subgraphs == len(model.subgraphs)
    assert network.tensors == len(graph.tensors)
    assert network.operators == len(graph.operators) == sum(op.count for op in network.ops)
    assert network.buffers_bytes == sum(len(each.data) for each in model.buffers if each.data is not None)
    assert (network.variables, network.sparse, network.outside) == (0, 0, False)
    assert set(network.graph_inputs) == set(graph.inputs)


@pytest.mark.parametrize("name", GOLDEN)
def test_operators_are_the_schemas_own(golden: Path, name: str) -> None:
    content = content_of(golden / f"{name}.tflite")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    uses: dict[tuple[int, int], int] = {}
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        key = (max(code.builtinCode, code.deprecatedBuiltinCode), code.version)
        uses[key] = uses.get(key, 0) + 1
    expected = {Op(name=BUILTIN[number], version=version, count=count) for (number, version), count in uses.items()}
    assert set(read_network(content).ops) == expected


@pytest.mark.parametrize("name", GOLDEN)
def test_the_interface_is_the_interpreters_own(golden: Path, name: str) -> None:
    content = content_of(golden / f"{name}.tflite")
    network = read_network(content)
    runner = Interpreter(model_content=content).get_signature_runner("step")
    for ours, theirs in ((network.inputs, runner.get_input_details()), (network.outputs, runner.get_output_details())):
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert tensor.index == theirs[key]["index"]
            assert tensor.shape == tuple(theirs[key]["shape"])
            assert np.dtype(tensor.dtype) == theirs[key]["dtype"]


def test_scale_and_zero_point_are_read(drawing: ModuleType) -> None:
    def quantise(draft: Any, inputs: dict[str, int], _: dict[str, int]) -> None:
        inputs["extra"] = draft.tensor("extra", (1, 4), "int8", scale=0.25, zero_point=-7)

    tensor = read_network(drawing.tiny(quantise)).inputs["extra"]
    assert tensor == TensorInfo(index=tensor.index, shape=(1, 4), dtype="int8", scale=0.25, zero_point=-7)


def test_a_custom_operator_goes_by_its_own_name(drawing: ModuleType) -> None:
    content = drawing.tiny(lambda draft, inputs, _: draft.op("CUSTOM", [inputs["total"]], [], "FlexErf"))
    assert Op(name="FlexErf", version=1, count=1, custom=True) in read_network(content).ops


def test_another_programs_network_has_no_interface_but_can_be_looked_at(drawing: ModuleType) -> None:
    network = read_network(drawing.tiny(signature="serving_default"))
    assert (network.signatures, network.inputs, network.outputs) == (("serving_default",), {}, {})
    assert network.operators == 7


def test_the_names_of_operators_and_types_are_the_schemas() -> None:
    operators = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert dict(enumerate(BUILTIN)) == operators
    types = {number: name.lower() for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    assert dict(enumerate(DTYPES)) == types


def test_what_is_allowed_exists() -> None:
    assert set(BUILTIN) >= ALLOWED
    assert {*OPTIONS, *SIZES} <= ALLOWED


def test_the_numbers_of_the_options_are_the_schemas() -> None:
    shared = {"Pool2D", "Reducer", "L2Norm"}  # L2_NORMALIZATION has a short name, the others serve several operators
    for op, number in OPTIONS.items():
        (name,) = (key.removesuffix("Options") for key, each in vars(schema.BuiltinOptions).items() if each == number)
        assert name in shared or name.lower() == op.replace("_", "").lower()


@pytest.mark.parametrize("op", ["WHILE", "IF", "CALL", "CALL_ONCE", "CUSTOM", "VAR_HANDLE", "READ_VARIABLE"])
def test_control_flow_variables_and_foreign_code_are_not_allowed(op: str) -> None:
    assert op not in ALLOWED


@given(data=st.data())
def test_a_network_with_bytes_changed_is_read_or_refused(data: st.DataObject, golden: Path) -> None:
    content = bytearray(content_of(golden / "tiny.tflite"))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(content))


@given(data=st.data())
def test_a_network_cut_short_is_read_or_refused(data: st.DataObject, golden: Path) -> None:
    content = content_of(golden / "tiny.tflite")
    _read_or_refuse(content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.binary(max_size=256))
def test_any_bytes_behind_the_identifier_are_read_or_refused(data: bytes) -> None:
    _read_or_refuse(b"\x10\0\0\0TFL3" + data)


def test_a_large_network_full_of_nothing_is_refused_before_it_costs_much() -> None:
    many = 1_000_000
    slots = struct.pack("<4H", 8, 8, 0, 4)  # of the model: its second slot, the operator codes, lies 4 bytes into it
    model = struct.pack("<iI", 8, 4)
    target = 28 + 4 * many  # one table, and each of a million entries is that table
    codes = np.arange(target - 28, 0, -4, dtype="<u4").tobytes()
    table = struct.pack("<iI", target - 8, 0)
    content = b"\x10\0\0\0TFL3" + slots + model + struct.pack("<I", many) + codes + table
    with pytest.raises(ArtifactError, match="hold more than 524288 entries"):
        read_network(content)


def _read_or_refuse(content: bytes) -> None:
    with contextlib.suppress(ArtifactError):
        read_network(content)
