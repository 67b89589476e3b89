"""The interpreters of TensorFlow Lite, whichever is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast

from runtime.errors import ArtifactError, ConfigError, InterpreterNotFoundError

Choice: TypeAlias = Literal["litert", "tflite", "tensorflow"]


class Interpreter(Protocol):
    """What all three have in common."""

    def allocate_tensors(self) -> None:
        """Give each tensor its memory."""

    def invoke(self) -> None:
        """Run the network on what its inputs hold."""

    def tensor(self, tensor_index: int) -> Any:
        """Give a function that gives an array on the tensor's memory."""


@dataclass(frozen=True, kw_only=True)
class LoadedInterpreter:
    """An interpreter that holds a network.

    Attributes:
        name: which one, see `CHOICES`.
        version: of its distribution.
        interpreter: itself, its tensors not yet allocated.
    """

    name: Choice
    version: str
    interpreter: Interpreter


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """How a network is run.

    Attributes:
        partitions: parts that a delegate took over; 1 is best.
        outside: names of the operators that it left to the interpreter, each as often as it runs.
    """

    partitions: int
    outside: tuple[str, ...]


@dataclass(frozen=True)
class _Home:
    module: str
    attributes: tuple[str, ...]
    distribution: str


CHOICES: dict[Choice, _Home] = {
    "litert": _Home("ai_edge_litert.interpreter", ("Interpreter",), "ai-edge-litert"),
    "tflite": _Home("tflite_runtime.interpreter", ("Interpreter",), "tflite-runtime"),
    "tensorflow": _Home("tensorflow", ("lite", "Interpreter"), "tensorflow"),
}
"""In the order in which they are tried."""


def open_interpreter(content: bytes, *, choice: Choice | None = None, threads: int = 1) -> LoadedInterpreter:
    """Load a network into the first interpreter that is installed.

    Args:
        content: the FlatBuffer. It is loaded from memory: a file mapped by an interpreter and overwritten in place
            ends the process.
        choice: the only one to try.
        threads: that an invoke may use.

    Raises:
        InterpreterNotFoundError: where none can be imported; with every reason.
        ArtifactError: where it refuses the network.
        ConfigError: for less than one thread.
    """
    if threads < 1:
        raise ConfigError(f"threads is {threads}; it must be at least 1.")
    reasons = []
    for name in CHOICES if choice is None else (choice,):
        home = CHOICES[name]
        if name == "tflite" and home.module not in sys.modules and "tensorflow" in sys.modules:
            # Loaded in this order it takes TensorFlow's symbols for its own, and ends the process.
            reasons.append(f"{home.distribution}: TensorFlow was imported before it, and not the other way about")
            continue
        try:
            with warnings.catch_warnings():
                # TensorFlow announces that its interpreter moves to ai-edge-litert, which is tried first.
                warnings.simplefilter("ignore")
                made = importlib.import_module(home.module)
                for attribute in home.attributes:
                    made = getattr(made, attribute)
        except Exception as error:  # noqa: BLE001  # a wheel built for another numpy raises nearly anything
            reasons.append(f"{home.distribution}: {type(error).__name__}: {_first_line(error)}")
            continue
        version = importlib.metadata.version(home.distribution)
        return LoadedInterpreter(name=name, version=version, interpreter=_load(made, content, threads, name, version))
    raise InterpreterNotFoundError(
        f"No TensorFlow Lite interpreter can be imported ({'; '.join(reasons)}). Run: pip install ai-edge-litert"
    )


def _load(made: Any, content: bytes, threads: int, name: Choice, version: str) -> Interpreter:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cast("Interpreter", made(model_content=content, num_threads=threads))
    except (ValueError, RuntimeError) as error:
        raise refusal(name, version, error) from None


def refusal(name: Choice, version: str, error: Exception) -> ArtifactError:
    """Make the error for a network that an interpreter would not load, allocate or run."""
    return ArtifactError(
        f"{CHOICES[name].distribution} {version} refuses the network: {_first_line(error)}. "
        "Install a newer interpreter, or convert the model for this one."
    )


def delegation(interpreter: Interpreter, outputs: list[int]) -> Delegation | None:
    """Find out what a delegate took over.

    The interpreter's list of operators holds the original ones even where a delegate replaced them, so this walks back
    from the outputs and sees which ones really run.

    Args:
        interpreter: with its tensors allocated.
        outputs: the network's output tensors.

    Returns:
        None where the interpreter cannot tell.
    """
    try:
        ops = cast("Any", interpreter)._get_ops_details()  # noqa: SLF001  # nothing public tells
    except (AttributeError, ValueError):
        return None
    delegated = [op["op_name"] == "DELEGATE" for op in ops]
    producer: dict[int, int] = {}
    for wanted in (False, True):  # a delegate's claim on a tensor wins
        for number, op in enumerate(ops):
            if delegated[number] == wanted:
                producer.update((int(tensor), number) for tensor in op["outputs"])
    to_do, running = list(outputs), set()
    while to_do:
        number = producer.get(to_do.pop(), -1)
        if number >= 0 and number not in running:
            running.add(number)
            to_do += [int(tensor) for tensor in ops[number]["inputs"]]
    return Delegation(
        partitions=sum(delegated[number] for number in running),
        outside=tuple(ops[number]["op_name"] for number in sorted(running) if not delegated[number]),
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "no reason given"
