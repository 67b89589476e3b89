"""Counts the instructions that one invoke of a network takes; runs INSIDE the emulated Pi (see count.sh).

Prints one JSON line. Needs PI_LAB_LOG, the file to which the plugin insn.c writes its counters at each marker: a
`getpriority()` call with an argument that no process has.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = 0x50694C00  # as in insn.c
CLASSES = ("int", "branch", "ldst", "simd", "dot")
LOAD_BEGIN, BEGIN, END, LOAD_END = range(4)

# The marker through ctypes, not os.getpriority(), which would raise an exception for the ESRCH: that costs more, and
# not always the same.
_getpriority = ctypes.CDLL(None).getpriority


class Counter:
    """The plugin's log, read between markers.

    Args:
        path: of the log.
    """

    def __init__(self, path: str) -> None:
        self._log = Path(path).open(encoding="ascii")  # noqa: SIM115  # for the process's life
        self._empty = [0] * (1 + len(CLASSES))
        # What two markers with nothing between them cost: the median of a few rounds, after Python's adaptive
        # interpreter has specialised the loop.
        self.regions(gc.isenabled, (), 20)
        self._empty = [statistics.median_low(column) for column in zip(*self.regions(gc.isenabled, (), 9), strict=True)]

    def regions(self, function: Callable[..., Any], arguments: tuple[Any, ...], times: int) -> list[list[int]]:
        """Call a function so many times; give what each call executed, less the markers' own: all, then by class."""
        self._log.seek(0, os.SEEK_END)
        begin, end = MAGIC + BEGIN, MAGIC + END
        for _ in range(times):
            _getpriority(0, begin)
            function(*arguments)
            _getpriority(0, end)
        rows = [[int(word) for word in line.split()] for line in self._log]
        if [row[0] for row in rows] != [BEGIN, END] * times:
            raise SystemExit(f"guest_count: the plugin's log has the markers {[row[0] for row in rows]}")
        pairs = zip(rows[::2], rows[1::2], strict=True)
        return [
            [b - a - empty for a, b, empty in zip(first[1:], last[1:], self._empty, strict=True)]
            for first, last in pairs
        ]

    def load(self) -> int:
        """Give what was executed between the two markers around loading."""
        self._log.seek(0)
        marks = [int(line.split()[1]) for line in self._log if int(line.split()[0]) in (LOAD_BEGIN, LOAD_END)]
        return marks[1] - marks[0]


def input_for(detail: dict[str, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Make a fixed pseudo-random input: the same in every run."""
    shape = [max(1, int(size)) for size in detail["shape"]]
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype in (np.int8, np.uint8, np.int16):
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return np.zeros(shape, dtype)  # indices, booleans: always valid


def plan(interpreter: Any) -> tuple[int | None, list[str] | None]:
    """Give the number of delegated parts and the operators outside them.

    The list of operators holds the original ones even where a delegate took them, so this walks back from the outputs.
    """
    try:
        ops = interpreter._get_ops_details()  # noqa: SLF001  # nothing public tells
    except (AttributeError, ValueError):
        return None, None
    delegated = [op["op_name"] == "DELEGATE" for op in ops]
    producer: dict[int, int] = {}
    for wanted in (False, True):  # a delegate's claim on a tensor wins
        for number, op in enumerate(ops):
            if delegated[number] == wanted:
                producer.update((int(tensor), number) for tensor in op["outputs"])
    waiting, running = [int(detail["index"]) for detail in interpreter.get_output_details()], set()
    while waiting:
        number = producer.get(waiting.pop(), -1)
        if number >= 0 and number not in running:
            running.add(number)
            waiting += [int(tensor) for tensor in ops[number]["inputs"]]
    return (
        sum(delegated[number] for number in running),
        sorted(ops[number]["op_name"] for number in running if not delegated[number]),
    )


def call_of(interpreter: Any, wanted: str) -> tuple[str | None, tuple[int, ...], Callable[[], Any]]:
    """Give the signature's name, the arguments of the C++ invoke, and a call with all that Python does around it."""
    rng = np.random.default_rng(0)
    if wanted in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(wanted)
        feeds = {name: input_for(detail, rng) for name, detail in runner.get_input_details().items()}
        return wanted, (runner._subgraph_index,), lambda: runner(**feeds)  # noqa: SLF001  # nothing public tells
    inputs = [(detail["index"], input_for(detail, rng)) for detail in interpreter.get_input_details()]
    outputs = interpreter.get_output_details()

    def call() -> dict[str, Any]:
        for index, value in inputs:
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in outputs}

    return None, (), call


def options() -> argparse.Namespace:
    """Read the command line; count.sh tells what it means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--cpu", required=True)
    parser.add_argument("--runtime", choices=("litert", "tflite"), required=True)
    parser.add_argument("--invokes", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--signature", default="step")
    parser.add_argument("--no-xnnpack", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Load, warm up, count, and print."""
    given = options()
    if given.runtime == "litert":
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    else:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    gc.collect()
    gc.disable()  # a collection at a varying moment would be noise
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if given.no_xnnpack else OpResolverType.AUTO
    _getpriority(0, MAGIC + LOAD_BEGIN)
    interpreter = Interpreter(given.model, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    _getpriority(0, MAGIC + LOAD_END)
    counter = Counter(os.environ["PI_LAB_LOG"])
    signature, arguments, call = call_of(interpreter, given.signature)
    answer: dict[str, Any] = {}
    for _ in range(max(1, given.warmup)):
        answer = call()  # sets the inputs, too
    calls = counter.regions(call, (), given.invokes)
    # Then the C++ Invoke() alone, on the inputs set by the last call. The public methods refuse while it is held.
    invoke = interpreter._interpreter.Invoke  # noqa: SLF001  # see above
    for _ in range(max(1, given.warmup)):
        invoke(*arguments)
    rows = sorted(counter.regions(invoke, arguments, given.invokes))
    del invoke
    middle = rows[(len(rows) - 1) // 2]
    delegated, rest = plan(interpreter)
    report = {
        "cpu": given.cpu,
        "runtime": given.runtime,
        "insn_per_invoke": middle[0],
        "insn_min": rows[0][0],
        "insn_max": rows[-1][0],
        "invokes": len(rows),
        "insn_classes": dict(zip(CLASSES, middle[1:], strict=True)),
        "insn_per_python_call": statistics.median_low(row[0] for row in calls),
        "insn_load": counter.load(),
        "signature": signature,
        "delegated": delegated,
        "undelegated_ops": rest,
        # These must not change between runs of the same network, CPU and runtime.
        "output_sums": {name: round(float(np.asarray(value, np.float64).sum()), 6) for name, value in answer.items()},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
