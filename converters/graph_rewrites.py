"""Exact changes to a converted step network, so that the delegate takes it whole.

Each works on the FlatBuffer's object form and leaves every answer as it is, or nearer to the float model's.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
_OP = schema.BuiltinOperator


def rewrite(network: bytes) -> bytes:
    """Apply all rewrites to a FlatBuffer."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(network, 0))
    for graph in model.subgraphs:
        _casts_first(model, graph)
        _float_softmax(model, graph)
    builder = flatbuffers.Builder(len(network))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def smallest_runtime(network: bytes) -> str | None:
    """Return the oldest TensorFlow Lite version that runs the network, as the converter noted it."""
    model = schema.Model.GetRootAs(network, 0)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == b"min_runtime_version":
            return str(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().rstrip(b"\0").decode("ascii"))
    return None


def _code(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    # Codes under 127 also stand in the older, one-byte field.
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _casts_first(model: Any, graph: Any) -> None:
    """Put the frame's CAST before all else.

    XNNPACK has no CAST. Where the converter sets a state's product before it, the delegate would run that product as
    a partition of its own.
    """
    inputs = {int(tensor) for tensor in graph.inputs}
    graph.operators.sort(
        key=lambda each: not (_code(model, each) == _OP.CAST and all(int(t) in inputs for t in each.inputs))
    )


def _float_softmax(model: Any, graph: Any) -> None:
    """Turn SOFTMAX (int8), DEQUANTIZE into DEQUANTIZE, SOFTMAX (float).

    XNNPACK leaves an int8 SOFTMAX out, and its answers come in steps of 1/256.
    """
    for operator in list(graph.operators):
        if _code(model, operator) != _OP.SOFTMAX:
            continue
        quantised = int(operator.outputs[0])
        if graph.tensors[quantised].type != schema.TensorType.INT8:
            continue
        readers = [each for each in graph.operators if quantised in [int(t) for t in each.inputs]]
        if len(readers) != 1 or _code(model, readers[0]) != _OP.DEQUANTIZE:
            continue
        dequantize = readers[0]
        tensor = graph.tensors[quantised]
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
        final = int(dequantize.outputs[0])
        dequantize.inputs, dequantize.outputs = list(operator.inputs), [quantised]
        operator.inputs, operator.outputs = [quantised], [final]
        first, second = sorted((graph.operators.index(operator), graph.operators.index(dequantize)))
        graph.operators[first], graph.operators[second] = dequantize, operator
