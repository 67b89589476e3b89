"""What an interpreter does not read, taken out of a converted network.

A network of 60 tensors carries about 2 kB of it: nothing beside a large model's weights, but as much as a tenth of the
gzip of a small pruned one (`benchmarks/sizes.py` shows both). Answers stay the same to the bit.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters.graph_form import code_of

_CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
_BIAS = 2  # place among their operands

RUNTIME_ENTRY = b"min_runtime_version"
"""The one entry of a network's metadata that framestep reads."""


def slim(model: Any) -> None:
    """Take out names, notes of the converter, empty tables, and whatever stands there twice or unused.

    Args:
        model: a network's object form. Inputs, outputs and states keep the names that its signature gives them.
    """
    model.description = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name == RUNTIME_ENTRY]
    for graph in model.subgraphs:
        graph.name = None
        _drop_tensors(model, graph)
        for tensor in graph.tensors:
            tensor.name = None
            tensor.quantization = _spoken(tensor.quantization)
        _follow_weights(model, graph)
        for operator in graph.operators:
            operator.mutatingVariableInputs = operator.mutatingVariableInputs or None
            operator.intermediates = operator.intermediates or None
    _drop_codes(model)
    _share_buffers(model)


def _spoken(quantization: Any) -> Any:
    """Return what a quantisation says to an interpreter; None where that is nothing.

    Minimum and maximum are of the training that they were taken from; scale and zero point are what counts.
    """
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None
    quantization.min = quantization.max = None
    return quantization


def _follow_weights(model: Any, graph: Any) -> None:
    """Let the biases of convolutions have the very scales of the weights.

    A bias is in steps of input scale times weight scale, and every interpreter takes them from there; of the bias's own
    scales it wants the right number, one for each output, and no more. They cost 12 bytes an output, which in mobilenet
    is a ninth of the file; the same vector again costs nothing.
    """
    for operator in graph.operators:
        if code_of(model, operator) not in _CONVOLUTIONS or len(operator.inputs) <= _BIAS:
            continue
        weights, number = graph.tensors[operator.inputs[1]], int(operator.inputs[_BIAS])
        # Where there is one scale for all outputs, it is checked.
        if number < 0 or weights.quantization is None or len(weights.quantization.scale) == 1:
            continue
        own = graph.tensors[number].quantization
        if own is not None and len(own.scale) == len(weights.quantization.scale):
            own.scale = weights.quantization.scale


def _drop_tensors(model: Any, graph: Any) -> None:
    """Leave out tensors that nothing uses; the others get new numbers."""
    used = {int(number) for number in (*graph.inputs, *graph.outputs)}
    for operator in graph.operators:
        used |= {int(number) for each in _uses(operator) for number in each}
    number = model.subgraphs.index(graph)
    maps = [
        each
        for signature in model.signatureDefs or []
        if signature.subgraphIndex == number
        for each in (*signature.inputs, *signature.outputs)
    ]
    kept = sorted((used | {int(each.tensorIndex) for each in maps}) - {-1})  # -1: an operand that is left out
    places = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in kept]
    graph.inputs, graph.outputs = ([places[int(old)] for old in each] for each in (graph.inputs, graph.outputs))
    for operator in graph.operators:
        operator.inputs, operator.outputs, intermediates = (
            [places[int(old)] for old in each] for each in _uses(operator)
        )
        operator.intermediates = intermediates
    for each in maps:
        each.tensorIndex = places[int(each.tensorIndex)]


def _uses(operator: Any) -> tuple[Any, Any, Any]:
    """Give the numbers of the tensors that an operator takes, gives, and works in."""
    inputs, outputs, intermediates = operator.inputs, operator.outputs, operator.intermediates
    return tuple([] if each is None else each for each in (inputs, outputs, intermediates))


def _drop_codes(model: Any) -> None:
    """Leave out operators that do not occur."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    kept = sorted({operator.opcodeIndex for operator in operators})
    places = {old: new for new, old in enumerate(kept)}
    model.operatorCodes = [model.operatorCodes[old] for old in kept]
    for operator in operators:
        operator.opcodeIndex = places[operator.opcodeIndex]


def _share_buffers(model: Any) -> None:
    """Keep each content once, and one buffer for all that have none.

    Buffer 0 is empty by the format's rule, and stands for no content.
    """
    places = {b"": 0}
    buffers = [schema.BufferT()]
    for holder in (*(tensor for graph in model.subgraphs for tensor in graph.tensors), *model.metadata):
        buffer = model.buffers[holder.buffer]
        content = b"" if buffer.data is None else bytes(buffer.data)
        if content not in places:
            places[content] = len(buffers)
            buffers.append(buffer)
        holder.buffer = places[content]
    model.buffers = buffers
