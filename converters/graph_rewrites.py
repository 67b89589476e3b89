"""Exact changes to a converted step network, so that the delegate takes it whole, and of nothing but what it needs.

Each works on the FlatBuffer's object form and leaves every answer as it is, or nearer to the float model's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.graph_form import code_of, read_form, write_form
from converters.slimming import RUNTIME_ENTRY, slim

_OP = schema.BuiltinOperator
_SMALLEST_DYNAMIC = 1024  # weights; the converter's own bound, under which int8 saves nothing
_SMALLEST_SCALE = 1e-9  # of a channel whose weights are all zero
_DYNAMIC_RUNTIME = "2.4.0"  # the first with both versions below
_DYNAMIC_VERSIONS = {_OP.CONV_2D: 5, _OP.FULLY_CONNECTED: 9}  # what the converter itself writes for int8 weights


def rewrite(network: bytes) -> bytes:
    """Apply all rewrites to a FlatBuffer."""
    model = read_form(network)
    for graph in model.subgraphs:
        _casts_first(model, graph)
        _float_softmax(model, graph)
    slim(model)
    return write_form(model)


def dynamic_range(network: bytes) -> bytes:
    """Store the weights of convolutions and dense layers that are float as int8; inputs are quantised on the fly.

    Symmetric, `max|w| / 127`: one scale a matrix, one an output channel of a convolution. The converter's own dynamic
    range also takes depthwise convolutions, which the delegate then leaves out: mobilenet falls into 11 partitions.
    """
    model = read_form(network)
    for graph in model.subgraphs:
        for operator in graph.operators:
            if code_of(model, operator) in _DYNAMIC_VERSIONS:
                _store_int8(model, graph, operator)
    _raise_runtime(model, _DYNAMIC_RUNTIME)
    return write_form(model)


def _store_int8(model: Any, graph: Any, operator: Any) -> None:
    weights = graph.tensors[operator.inputs[1]]
    data = model.buffers[weights.buffer].data
    if weights.type != schema.TensorType.FLOAT32 or data is None or len(data) < 4 * _SMALLEST_DYNAMIC:
        return
    code = code_of(model, operator)
    values = np.frombuffer(bytes(data), np.float32)
    rows = values.reshape(weights.shape[0] if code == _OP.CONV_2D else 1, -1)
    scales = np.maximum(np.abs(rows).max(1), _SMALLEST_SCALE) / np.float32(127)
    model.buffers[weights.buffer].data = np.rint(rows / scales[:, None]).astype(np.int8).view(np.uint8).ravel()
    weights.type, weights.quantization = schema.TensorType.INT8, schema.QuantizationParametersT()
    weights.quantization.scale = scales.tolist()
    weights.quantization.zeroPoint = [0] * len(scales)
    if code == _OP.FULLY_CONNECTED:
        operator.builtinOptions.asymmetricQuantizeInputs = True
    entry = model.operatorCodes[operator.opcodeIndex]
    entry.version = max(entry.version, _DYNAMIC_VERSIONS[code])


def smallest_runtime(network: bytes) -> str | None:
    """Return the oldest TensorFlow Lite version that runs the network, as the converter noted it."""
    model = schema.Model.GetRootAs(network, 0)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == RUNTIME_ENTRY:
            return str(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().rstrip(b"\0").decode("ascii"))
    return None


def _raise_runtime(model: Any, oldest: str) -> None:
    """Note the oldest TensorFlow Lite version that runs the network, unless a newer one is noted."""
    for entry in model.metadata or []:
        if entry.name == RUNTIME_ENTRY:
            buffer = model.buffers[entry.buffer]
            noted = bytes(buffer.data).rstrip(b"\0").decode("ascii")
            if _version(noted) < _version(oldest):
                buffer.data = np.frombuffer(oldest.encode("ascii").ljust(len(buffer.data), b"\0"), np.uint8)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _casts_first(model: Any, graph: Any) -> None:
    """Put the frame's CAST before all else.

    XNNPACK has no CAST. Where the converter sets a state's product before it, the delegate would run that product as
    a partition of its own.
    """
    inputs = {int(tensor) for tensor in graph.inputs}
    graph.operators.sort(
        key=lambda each: not (code_of(model, each) == _OP.CAST and all(int(t) in inputs for t in each.inputs))
    )


def _float_softmax(model: Any, graph: Any) -> None:
    """Turn SOFTMAX (int8), DEQUANTIZE into DEQUANTIZE, SOFTMAX (float).

    XNNPACK leaves an int8 SOFTMAX out, and its answers come in steps of 1/256.
    """
    for operator in list(graph.operators):
        if code_of(model, operator) != _OP.SOFTMAX:
            continue
        quantised = int(operator.outputs[0])
        if graph.tensors[quantised].type != schema.TensorType.INT8:
            continue
        readers = [each for each in graph.operators if quantised in [int(t) for t in each.inputs]]
        if len(readers) != 1 or code_of(model, readers[0]) != _OP.DEQUANTIZE:
            continue
        dequantize = readers[0]
        tensor = graph.tensors[quantised]
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
        final = int(dequantize.outputs[0])
        dequantize.inputs, dequantize.outputs = list(operator.inputs), [quantised]
        operator.inputs, operator.outputs = [quantised], [final]
        first, second = sorted((graph.operators.index(operator), graph.operators.index(dequantize)))
        graph.operators[first], graph.operators[second] = dequantize, operator
