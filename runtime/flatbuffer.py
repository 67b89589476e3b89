"""What a TensorFlow Lite file holds, read without trusting it.

Only what an artifact is judged by is read: operators, the interface of the signature `step`, counts and sizes. Every
offset is checked against the file, every vector against a budget, so that any bytes at all end in a `Network` or in an
`ArtifactError` after time in proportion to their number. Slots are those of TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ArtifactError
from runtime.operators import BUILTIN, OPTIONS, SIZES
from runtime.tables import Source, Table, damaged

SIGNATURE = "step"
IDENTIFIER = b"TFL3"
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


LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int32": (-(1 << 31), (1 << 31) - 1)}
"""Lowest and highest value of the types that can be quantised."""


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
        dtypes: of all tensors.
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
    dtypes: frozenset[str]
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
    source = Source(content)
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
        dtypes=frozenset().union(*(graph.dtypes for graph in graphs)),
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


def _operator_code(table: Table) -> tuple[str, int, bool]:
    # Two fields, because the first is one byte long and ran out at 127.
    number = max(table.number(0, "<b", 0), table.number(3, "<i", 0))
    version = table.number(2, "<i", 1)
    if not 0 <= number < len(BUILTIN):
        return f"BUILTIN_{number}", version, False
    if BUILTIN[number] == "CUSTOM":
        return table.text(1), version, True
    return BUILTIN[number], version, False


def _interface(signature: Table, graphs: list[_Graph]) -> dict[str, Any]:
    number = signature.number(4, "<I", 0)
    if number >= len(graphs):
        raise damaged(f"signature {SIGNATURE!r} is of subgraph {number} of {len(graphs)}")
    graph = graphs[number]
    sides: dict[str, Any] = {"graph_inputs": graph.inputs, "graph_outputs": graph.outputs}
    for side, slot in (("inputs", 0), ("outputs", 1)):
        maps = [(table.text(0), table.number(1, "<I", 0)) for table in signature.tables(slot)]
        sides[side] = {name: graph.tensor(index) for name, index in maps}
        if len(sides[side]) != len(maps):
            raise damaged(f"signature {SIGNATURE!r} names one of its {side} twice")
    return sides


class _Graph:
    """One subgraph, its indices checked."""

    def __init__(self, table: Table, codes: list[tuple[str, int, bool]], filled: list[bool]) -> None:
        self.tensors = table.tables(0)
        self.inputs = self._indices(table, 1)
        self.outputs = self._indices(table, 2)
        self.uses: Counter[tuple[str, int, bool]] = Counter()
        self.variables = self.sparse = self.unsized = 0
        self.outside = False
        self.dtypes: set[str] = set()
        self._left = MAX_ELEMENTS
        self._fixed = [self._check_tensor(tensor, filled) for tensor in self.tensors]
        for operator in table.tables(3):
            self._check_operator(operator, codes)

    def _check_tensor(self, tensor: Table, filled: list[bool]) -> bool:
        """Count what is special of a tensor; whether its content is a constant."""
        self.variables += tensor.number(5, "<?", default=False)
        self.sparse += tensor.holds(6)
        self.outside |= bool(tensor.number(10, "<I", 0))
        dtype, shape = _dtype(tensor), tensor.numbers(0, "i")
        self.dtypes.add(dtype)
        elements = math.prod(shape[:MAX_RANK])
        self._left -= elements
        if len(shape) > MAX_RANK or min(shape, default=1) < 0 or self._left < 0:
            raise damaged(f"a tensor has the shape {list(shape[:MAX_RANK])}")
        _check_quantisation(tensor, dtype, shape)
        buffer = tensor.number(2, "<I", 0)
        if buffer >= max(len(filled), 1):
            raise damaged(f"a tensor is of buffer {buffer} of {len(filled)}")
        return elements == 0 or (bool(filled) and filled[buffer])

    def _check_operator(self, operator: Table, codes: list[tuple[str, int, bool]]) -> None:
        number = operator.number(0, "<I", 0)
        if number >= len(codes):
            raise damaged(f"an operator is of code {number} of {len(codes)}")
        name = codes[number][0]
        if name in OPTIONS and (operator.number(3, "<B", 0) != OPTIONS[name] or not operator.holds(4)):
            raise damaged(f"an operator {name} lacks its options")
        self.uses[codes[number]] += 1
        self.outside |= bool(operator.number(9, "<Q", 0) or operator.number(10, "<Q", 0))
        inputs, *_ = (self._indices(operator, slot, lowest=-1) for slot in (1, 2, 8))
        sizes = [inputs[place] for place in SIZES.get(name, ()) if place < len(inputs)]
        self.unsized += any(index >= 0 and not self._fixed[index] for index in sizes)

    def _indices(self, table: Table, slot: int, lowest: int = 0) -> tuple[int, ...]:
        indices = table.numbers(slot, "i")
        if indices and not (lowest <= min(indices) and max(indices) < len(self.tensors)):
            raise damaged(f"tensors {min(indices)} to {max(indices)} are used of {len(self.tensors)}")
        return indices

    def tensor(self, index: int) -> TensorInfo:
        """Tell all of one tensor."""
        if index >= len(self.tensors):
            raise damaged(f"signature {SIGNATURE!r} uses tensor {index} of {len(self.tensors)}")
        table = self.tensors[index]
        dtype = _dtype(table)
        scales, points = _quantisation(table, dtype)
        if len(scales) > 1:
            raise damaged(f"tensor {index} of the interface has {len(scales)} scales")
        return TensorInfo(
            index=index,
            shape=table.numbers(0, "i"),
            dtype=dtype,
            scale=scales[0] if scales else None,
            zero_point=points[0] if scales else None,
        )


def _dtype(tensor: Table) -> str:
    number = tensor.number(1, "<b", 0)
    if not 0 <= number < len(DTYPES):
        raise damaged(f"a tensor has type {number}")
    return DTYPES[number]


def _quantisation(tensor: Table, dtype: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Give scales and zero points, both empty where the tensor is not quantised."""
    if dtype not in LIMITS or not tensor.holds(4):
        return (), ()
    parameters = tensor.table(4)
    return parameters.numbers(2, "f"), parameters.numbers(3, "q")


def _check_quantisation(tensor: Table, dtype: str, shape: tuple[int, ...]) -> None:
    # Zero points out of range ended ai-edge-litert 2.3 with SIGSEGV, an int8 tensor without a scale with SIGABRT.
    scales, points = _quantisation(tensor, dtype)
    if not scales:
        if points or dtype == "int8":
            raise damaged(f"a tensor of {dtype} has {len(points)} zero points and no scale")
        return
    axis = tensor.table(4).number(6, "<i", 0)
    channels = shape[axis] if 0 <= axis < len(shape) else 1
    if len(points) != len(scales) or len(scales) not in (1, channels):
        raise damaged(
            f"a tensor {list(shape)} has {len(scales)} scales and {len(points)} zero points along axis {axis}"
        )
    lowest, highest = LIMITS[dtype]
    if not lowest <= min(points) <= max(points) <= highest:
        raise damaged(f"a tensor of {dtype} has zero points from {min(points)} to {max(points)}")
    if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        raise damaged(f"a tensor has scales from {min(scales)} to {max(scales)}")
