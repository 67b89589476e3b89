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
    """A builder that stores equal vectors of numbers once, and aligns the data of buffers.

    Nothing else in a network is a vector of bytes. Vectors of offsets are relative to where they stand, so equal ones
    do not mean the same.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._stored: dict[tuple[int, bytes], int] = {}
        self._before: int | None = None
        self._alignment = self._size = 0
        self._numbers = True

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803  # its names
        self._before, self._numbers = self._head(), True
        self._alignment = _DATA_ALIGNMENT if elemSize == 1 else alignment
        self._size = 4 + elemSize * numElems
        return super().StartVector(elemSize, numElems, self._alignment)

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802  # its name
        self._numbers = False
        super().PrependUOffsetTRelative(off)

    def EndVector(self, *arguments: Any) -> Any:  # noqa: N802  # its name
        offset, before = super().EndVector(*arguments), self._before
        self._before = None  # a string also ends here, and has not begun above
        if before is None or not self._numbers:
            return offset
        head = self._head()
        key = (self._alignment, bytes(self.Bytes[head : head + self._size]))
        if key in self._stored:
            self.head = before  # what was just written is written over
        return self._stored.setdefault(key, offset)

    def _head(self) -> int:
        return int(self.Head())
