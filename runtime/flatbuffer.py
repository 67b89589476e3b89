"""What a TensorFlow Lite file holds, read without trusting it.

Only what an artifact is judged by is read: operators, the interface of the signature `step`, counts and sizes. Every
offset is checked against the file, every vector against a budget, so that any bytes at all end in a `Network` or in an
`ArtifactError` after time in proportion to their number. Slots are those of TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ArtifactError
from runtime.operators import BUILTIN, OPTIONS, SIZES

SIGNATURE = "step"
IDENTIFIER = b"TFL3"
MAX_ENTRIES = 1 << 18
"""Entries of all vectors together. A large network has ten thousand; vectors may overlap, so bytes bound nothing."""
MAX_RANK = 8
MAX_ELEMENTS = 1 << 28
"""Of all tensors of a subgraph; 1 GiB in float32."""

# fmt: off
DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4",
    "float8_e4m3fn", "float8_e5m2",
)
# fmt: on
"""Names by number: `TensorType` of the schema, in numpy's words where numpy has one."""


@dataclass(frozen=True, kw_only=True)
class Op:
    """An operator that the network uses.

    Attributes:
        name: the schema's name, or a custom operator's own.
        version: of the operator; an interpreter knows each up to some version.
        count: how often it stands in the network.
        custom: whether it is none of TensorFlow Lite's own.
    """

    name: str
    version: int
    count: int
    custom: bool = False


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """A tensor of the interface.

    Attributes:
        index: the interpreter's number for it.
        shape: as the file declares it.
        dtype: numpy's name.
        scale: of a quantised tensor, else None.
        zero_point: of a quantised tensor, else None.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a TensorFlow Lite file holds.

    Attributes:
        ops: each operator and version once, by name; of all subgraphs.
        signatures: names of all signatures.
        inputs: of the signature `step`, by name; empty where the file has none.
        outputs: the same for its outputs.
        graph_inputs: tensors that the signature's subgraph takes.
        graph_outputs: tensors that it gives.
        subgraphs: their number.
        operators: their number, in all subgraphs.
        tensors: their number, in all subgraphs.
        variables: tensors that keep their content from one call to the next.
        sparse: tensors stored as sparse.
        unsized: operators whose output has a size that is computed while the network runs.
        outside: whether some data stands outside the FlatBuffer.
        buffers_bytes: weights and constants.
    """

    ops: tuple[Op, ...]
    signatures: tuple[str, ...]
    inputs: dict[str, TensorInfo] = field(default_factory=dict)
    outputs: dict[str, TensorInfo] = field(default_factory=dict)
    graph_inputs: tuple[int, ...] = ()
    graph_outputs: tuple[int, ...] = ()
    subgraphs: int
    operators: int
    tensors: int
    variables: int
    sparse: int
    unsized: int
    outside: bool
    buffers_bytes: int


def read_network(content: bytes) -> Network:
    """Read a FlatBuffer.

    Args:
        content: the FlatBuffer, without a trailer.

    Raises:
        ArtifactError: where it is not one, or points outside itself.
    """
    if content[4:8] != IDENTIFIER:
        raise ArtifactError(
            f"the file's identifier is {content[4:8]!r}; a TensorFlow Lite file has {IDENTIFIER!r}. "
            "Give the file that framestep convert wrote."
        )
    source = _Source(content)
    model = source.table(source.number("<I", 0))
    codes = [_operator_code(code) for code in model.tables(1)]
    buffers = model.tables(4)
    filled = [bool(table.length(0)) for table in buffers]
    graphs = [_Graph(table, codes, filled) for table in model.tables(2)]
    uses: Counter[tuple[str, int, bool]] = sum((graph.uses for graph in graphs), Counter())
    signatures = {table.text(2): table for table in model.tables(7)}
    interface: dict[str, Any] = {}
    if SIGNATURE in signatures:
        interface = _interface(signatures[SIGNATURE], graphs)
    return Network(
        ops=tuple(Op(name=n, version=v, count=count, custom=c) for (n, v, c), count in sorted(uses.items())),
        signatures=tuple(signatures),
        subgraphs=len(graphs),
        operators=uses.total(),
        tensors=sum(len(graph.tensors) for graph in graphs),
        variables=sum(graph.variables for graph in graphs),
        sparse=sum(graph.sparse for graph in graphs),
        unsized=sum(graph.unsized for graph in graphs),
        outside=bool(model.length(9))
        or any(table.number(1, "<Q", 0) or table.number(2, "<Q", 0) for table in buffers)
        or any(graph.outside for graph in graphs),
        buffers_bytes=sum(table.length(0) for table in buffers),
        **interface,
    )


def _operator_code(table: _Table) -> tuple[str, int, bool]:
    # Two fields, because the first is one byte long and ran out at 127.
    number = max(table.number(0, "<b", 0), table.number(3, "<i", 0))
    version = table.number(2, "<i", 1)
    if not 0 <= number < len(BUILTIN):
        return f"BUILTIN_{number}", version, False
    if BUILTIN[number] == "CUSTOM":
        return table.text(1), version, True
    return BUILTIN[number], version, False


def _interface(signature: _Table, graphs: list[_Graph]) -> dict[str, Any]:
    number = signature.number(4, "<I", 0)
    if number >= len(graphs):
        raise _damaged(f"signature {SIGNATURE!r} is of subgraph {number} of {len(graphs)}")
    graph = graphs[number]
    sides: dict[str, Any] = {"graph_inputs": graph.inputs, "graph_outputs": graph.outputs}
    for side, slot in (("inputs", 0), ("outputs", 1)):
        maps = [(table.text(0), table.number(1, "<I", 0)) for table in signature.tables(slot)]
        sides[side] = {name: graph.tensor(index) for name, index in maps}
        if len(sides[side]) != len(maps):
            raise _damaged(f"signature {SIGNATURE!r} names one of its {side} twice")
    return sides


class _Graph:
    """One subgraph, its indices checked."""

    def __init__(self, table: _Table, codes: list[tuple[str, int, bool]], filled: list[bool]) -> None:
        self.tensors = table.tables(0)
        self.inputs = self._indices(table, 1)
        self.outputs = self._indices(table, 2)
        self.uses: Counter[tuple[str, int, bool]] = Counter()
        self.variables = self.sparse = self.unsized = 0
        self.outside = False
        self._left = MAX_ELEMENTS
        self._fixed = [self._check_tensor(tensor, filled) for tensor in self.tensors]
        for operator in table.tables(3):
            self._check_operator(operator, codes)

    def _check_tensor(self, tensor: _Table, filled: list[bool]) -> bool:
        """Count what is special of a tensor; whether its content is a constant."""
        self.variables += tensor.number(5, "<?", default=False)
        self.sparse += tensor.holds(6)
        self.outside |= bool(tensor.number(10, "<I", 0))
        shape = tensor.numbers(0, "i")
        elements = math.prod(shape[:MAX_RANK])
        self._left -= elements
        if len(shape) > MAX_RANK or min(shape, default=1) < 0 or self._left < 0:
            raise _damaged(f"a tensor has the shape {list(shape[:8])}")
        buffer = tensor.number(2, "<I", 0)
        if buffer >= max(len(filled), 1):
            raise _damaged(f"a tensor is of buffer {buffer} of {len(filled)}")
        return elements == 0 or (bool(filled) and filled[buffer])

    def _check_operator(self, operator: _Table, codes: list[tuple[str, int, bool]]) -> None:
        number = operator.number(0, "<I", 0)
        if number >= len(codes):
            raise _damaged(f"an operator is of code {number} of {len(codes)}")
        name = codes[number][0]
        if name in OPTIONS and (operator.number(3, "<B", 0) != OPTIONS[name] or not operator.holds(4)):
            raise _damaged(f"an operator {name} lacks its options")
        self.uses[codes[number]] += 1
        self.outside |= bool(operator.number(9, "<Q", 0) or operator.number(10, "<Q", 0))
        inputs, *_ = (self._indices(operator, slot, lowest=-1) for slot in (1, 2, 8))
        sizes = [inputs[place] for place in SIZES.get(name, ()) if place < len(inputs)]
        self.unsized += any(index >= 0 and not self._fixed[index] for index in sizes)

    def _indices(self, table: _Table, slot: int, lowest: int = 0) -> tuple[int, ...]:
        indices = table.numbers(slot, "i")
        if indices and not (lowest <= min(indices) and max(indices) < len(self.tensors)):
            raise _damaged(f"tensors {min(indices)} to {max(indices)} are used of {len(self.tensors)}")
        return indices

    def tensor(self, index: int) -> TensorInfo:
        if index >= len(self.tensors):
            raise _damaged(f"signature {SIGNATURE!r} uses tensor {index} of {len(self.tensors)}")
        table = self.tensors[index]
        kind = table.number(1, "<b", 0)
        if not 0 <= kind < len(DTYPES):
            raise _damaged(f"tensor {index} has type {kind}")
        scales: tuple[float, ...] = ()
        points: tuple[int, ...] = ()
        if table.holds(4) and not DTYPES[kind].startswith("float"):
            scales, points = table.table(4).numbers(2, "f"), table.table(4).numbers(3, "q")
        if len(scales) > 1 or len(points) > 1:
            raise _damaged(f"tensor {index} of the interface has {len(scales)} scales and {len(points)} zero points")
        return TensorInfo(
            index=index,
            shape=table.numbers(0, "i"),
            dtype=DTYPES[kind],
            scale=scales[0] if scales else None,
            zero_point=(points[0] if points else 0) if scales else None,
        )


class _Source:
    """The bytes, and what may still be read of them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.left = MAX_ENTRIES

    def number(self, form: str, at: int) -> Any:
        # A negative place would count from the end.
        if at < 0 or at + struct.calcsize(form) > len(self.content):
            raise _damaged(f"byte {at} of {len(self.content)} is pointed at")
        return struct.unpack_from(form, self.content, at)[0]

    def vector(self, at: int, width: int) -> tuple[int, int]:
        """Give (place of the first entry, number of entries) of a vector that lies within the file."""
        length = self.number("<I", at)
        if at + 4 + length * width > len(self.content):
            raise _damaged(f"a vector of {length} entries at byte {at} ends after byte {len(self.content)}")
        return at + 4, length

    def spend(self, entries: int) -> None:
        self.left -= entries
        if self.left < 0:
            raise _damaged(f"its vectors hold more than {MAX_ENTRIES} entries")

    def table(self, at: int) -> _Table:
        return _Table(self, at)


class _Table:
    """A table: fields by slot, each with a default for where it is left out."""

    __slots__ = ("_at", "_size", "_slots", "_slots_end", "_source")

    def __init__(self, source: _Source, at: int) -> None:
        source.spend(1)
        self._source = source
        self._at = at
        self._slots = at - source.number("<i", at)
        self._slots_end = self._slots + source.number("<H", self._slots)
        self._size = source.number("<H", self._slots + 2)

    def _place(self, slot: int, width: int) -> int | None:
        at = self._slots + 4 + 2 * slot
        if at + 2 > self._slots_end:
            return None
        offset: int = self._source.number("<H", at)
        if offset and offset + width > self._size:
            raise _damaged(f"a field of the table at byte {self._at} lies outside it")
        return self._at + offset if offset else None

    def _pointer(self, slot: int) -> int | None:
        place = self._place(slot, 4)
        return None if place is None else place + int(self._source.number("<I", place))

    def holds(self, slot: int) -> bool:
        return self._pointer(slot) is not None

    def number(self, slot: int, form: str, default: int) -> int:
        place = self._place(slot, struct.calcsize(form))
        return default if place is None else int(self._source.number(form, place))

    def table(self, slot: int) -> _Table:
        place = self._pointer(slot)
        if place is None:
            raise _damaged(f"the table at byte {self._at} lacks its field {slot}")
        return self._source.table(place)

    def tables(self, slot: int) -> list[_Table]:
        place = self._pointer(slot)
        if place is None:
            return []
        first, length = self._source.vector(place, 4)
        self._source.spend(length)
        places = range(first, first + 4 * length, 4)
        return [self._source.table(each + self._source.number("<I", each)) for each in places]

    def numbers(self, slot: int, kind: str) -> tuple[Any, ...]:
        place = self._pointer(slot)
        if place is None:
            return ()
        first, length = self._source.vector(place, struct.calcsize(f"<{kind}"))
        self._source.spend(length)
        return struct.unpack_from(f"<{length}{kind}", self._source.content, first)

    def length(self, slot: int) -> int:
        """Give the size of a vector of bytes."""
        place = self._pointer(slot)
        return 0 if place is None else self._source.vector(place, 1)[1]

    def text(self, slot: int) -> str:
        place = self._pointer(slot)
        if place is None:
            return ""
        first, length = self._source.vector(place, 1)
        if length > 256:
            raise _damaged(f"a name has {length} bytes")
        return self._source.content[first : first + length].decode("utf-8", "backslashreplace")


def _damaged(what: str) -> ArtifactError:
    return ArtifactError(f"the network is damaged: {what}. Convert the model again.")
