"""TensorFlow Lite networks drawn by hand, tensor by tensor, and artifacts made of any network.

What a converter writes only by accident has to be drawn: outputs that are inputs, states in two scales, sizes known
only while the network runs, operators that an artifact may not hold.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from runtime.spec import InputSpec, Spec, StateSpec

SIZE = (2, 3)
LABELS = ("still", "left", "right")
TYPES = {"float32": "FLOAT32", "uint8": "UINT8", "int8": "INT8", "int16": "INT16", "int32": "INT32"}
OPTIONS = {"FULLY_CONNECTED": "FullyConnectedOptions", "SUB": "SubOptions"}
OPTIONS |= {
    name: f"{name.capitalize()}Options" for name in ("ADD", "MUL", "SOFTMAX", "CAST", "RESHAPE", "WHILE", "GATHER")
}


class Drawing:
    """One network in the making."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], b"main"
        self.model = schema.ModelT()
        self.model.version, self.model.description = 3, b"drawn"
        self.model.subgraphs, self.model.operatorCodes = [self.graph], []
        self.model.buffers = [schema.BufferT()]

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str = "float32", **quantisation: Any) -> int:
        """Add a tensor; its number."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(shape)
        tensor.type, tensor.buffer = getattr(schema.TensorType, TYPES[dtype]), 0
        if quantisation:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [quantisation["scale"]]
            tensor.quantization.zeroPoint = [quantisation["zero_point"]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: Any, dtype: str = "float32") -> int:
        """Add a tensor with a content; its number."""
        array = np.asarray(values, dtype)
        number = self.tensor(name, array.shape, dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors[number].buffer = len(self.model.buffers) - 1
        return number

    def op(self, kind: str, inputs: list[int], outputs: list[int], custom: str | None = None) -> None:
        """Add an operator with default options."""
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, "CUSTOM" if custom else kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        code.customCode = custom.encode() if custom else None
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        if kind in OPTIONS:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, OPTIONS[kind])
            operator.builtinOptions = getattr(schema, f"{OPTIONS[kind]}T")()
            if kind == "SOFTMAX":
                operator.builtinOptions.beta = 1.0
        self.graph.operators.append(operator)

    def content(self, inputs: dict[str, int], outputs: dict[str, int], signature: str = "step") -> bytes:
        """Finish the FlatBuffer."""
        self.graph.inputs, self.graph.outputs = list(inputs.values()), list(outputs.values())
        step = schema.SignatureDefT()
        step.signatureKey, step.subgraphIndex = signature.encode(), 0
        step.inputs, step.outputs = _maps(inputs), _maps(outputs)
        self.model.signatureDefs = [step]
        builder = flatbuffers.Builder(4096)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _maps(tensors: dict[str, int]) -> list[Any]:
    maps = []
    for name, index in tensors.items():
        one = schema.TensorMapT()
        one.name, one.tensorIndex = name.encode(), index
        maps.append(one)
    return maps


def unsized(draft: Drawing, inputs: dict[str, int], outputs: dict[str, int]) -> None:
    """Change `tiny` so that the values of `total` are the shape of its next value."""
    flat, sizes, shaped = (
        draft.tensor("row", (6,)),
        draft.tensor("sizes", (6,), "int32"),
        draft.tensor("shaped", (1, 6)),
    )
    draft.op("RESHAPE", [inputs["total"], draft.constant("as_row", [6], "int32")], [flat])
    draft.op("CAST", [flat], [sizes])
    draft.op("RESHAPE", [outputs["total"], sizes], [shaped])
    outputs["total"] = shaped


def head(drawing: Drawing, features: int) -> int:
    """Add fixed weights and a softmax over what six features tell; the tensor of the probabilities."""
    weights = drawing.constant("weights", np.linspace(-1, 1, 18).reshape(3, 6) / 64)
    bias = drawing.constant("bias", [0.1, 0.0, -0.1])
    logits, probabilities = drawing.tensor("logits", (1, 3)), drawing.tensor("probabilities", (1, 3))
    drawing.op("FULLY_CONNECTED", [features, weights, bias], [logits])
    drawing.op("SOFTMAX", [logits], [probabilities])
    return probabilities


def tiny(change: Any = None, **content: Any) -> bytes:
    """Draw a step: `total` is half of itself plus the frame's difference to `previous`, which is the frame before.

    Args:
        change: called with the drawing, its inputs and its outputs before it is finished.
        content: see `Drawing.content`.
    """
    drawing = Drawing()
    frame = drawing.tensor("frame", (1, *SIZE, 1), "uint8")
    previous, total = drawing.tensor("previous", (1, *SIZE, 1)), drawing.tensor("total", (1, 6))
    picture, difference = drawing.tensor("picture", (1, *SIZE, 1)), drawing.tensor("difference", (1, *SIZE, 1))
    flat, half, following = (drawing.tensor(name, (1, 6)) for name in ("flat", "half", "following"))
    drawing.op("CAST", [frame], [picture])
    drawing.op("SUB", [picture, previous], [difference])
    drawing.op("RESHAPE", [difference, drawing.constant("six", [1, 6], "int32")], [flat])
    drawing.op("MUL", [total, drawing.constant("decay", [0.5])], [half])
    drawing.op("ADD", [half, flat], [following])
    inputs = {"frame": frame, "previous": previous, "total": total}
    outputs = {"probabilities": head(drawing, following), "previous": picture, "total": following}
    if change is not None:
        change(drawing, inputs, outputs)
    return drawing.content(inputs, outputs, **content)


TINY_STATES = (StateSpec(name="previous", shape=(1, *SIZE, 1)), StateSpec(name="total", shape=(1, 6)))


def spec_for(content: bytes, **changes: Any) -> Spec:
    """Make a spec; of `tiny` where nothing else is said."""
    picture = InputSpec(height=SIZE[0], width=SIZE[1], channels=1, colour="gray", scale=1.0)
    values: dict[str, Any] = {
        "name": "tiny", "input": picture, "fps": 10.0, "states": TINY_STATES, "labels": LABELS,
        "precision": "float32", "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    return Spec(**(values | changes))


def artifact(content: bytes, spec: Spec | None = None, *, members: dict[str, bytes] | None = None) -> bytes:
    """Put a spec behind a network, or any other members."""
    spec = spec or spec_for(content)
    labels = "".join(f"{label}\n" for label in spec.labels)
    members = members or {"framestep.json": spec.to_json().encode(), "labels.txt": labels.encode()}
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()
