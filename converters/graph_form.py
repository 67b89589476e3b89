"""A converted network as objects that can be changed: read from a FlatBuffer, and written to one again."""

from __future__ import annotations

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
_DATA_ALIGNMENT = 16  # bytes; the schema's force_align of a buffer's data, which the generated writer passes over


def read_form(network: bytes) -> Any:
    """Give a FlatBuffer's object form."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(network, 0))


def write_form(model: Any) -> bytes:
    """Give the FlatBuffer of an object form; the same form gives the same bytes."""
    builder = _Builder(1 << 16)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def code_of(model: Any, operator: Any) -> int:
    """Return which builtin operator stands somewhere: a `schema.BuiltinOperator`."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Codes under 127 also stand in the older, one-byte field.
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers ships no types
    """A builder that aligns the data of buffers; nothing else in a network is a long vector of bytes."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803  # its names
        return super().StartVector(elemSize, numElems, _DATA_ALIGNMENT if elemSize == 1 else alignment)
