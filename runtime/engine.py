"""An interpreter that holds an artifact, ready to be stepped.

A call through an interpreter's Python interface costs more than a small network: `set_tensor`, `get_tensor` and the
signature runner check, look up and copy each tensor anew. Here each tensor becomes an array once, on the memory that
the interpreter allocated for it. `invoke` refuses to run while someone holds an array that the interpreter made,
because it might move its memory. These arrays are made from addresses and hold nothing, which is sound because the
engine owns the interpreter, allocates once, and checks that nothing moved.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runtime.artifact import FRAME, PROBABILITIES, Artifact, read_artifact
from runtime.errors import ArtifactError
from runtime.interpreter import Choice, Delegation, Interpreter, delegation, open_interpreter, refusal

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy.typing as npt

    from runtime.flatbuffer import TensorInfo
    from runtime.stepper import Stepper

    Array: TypeAlias = npt.NDArray[Any]
    States: TypeAlias = dict[str, Array]


class Engine:
    """One interpreter with one artifact, for any number of streams, in one thread at a time.

    Args:
        artifact: what to run.
        interpreter: which one; None for the first that is installed.
        threads: that a step may use.

    Attributes:
        artifact: as given.
        spec: the artifact's.
        interpreter_name: the one that runs it.
        interpreter_version: of its distribution.
        threads: as given.
        frame: the network's picture, [height, width, channels]; write here.
        probabilities: of the last step, float32 [classes]; the next one overwrites them.
        states: the seated stream's states, where the network takes them; read after a step, they are the next ones.
        initial: their values after a reset.
        seated: the stream whose states these are.

    Raises:
        InterpreterNotFoundError: where no interpreter can be imported.
        ArtifactError: where the interpreter refuses the network, or does not hold the tensors that the spec tells.
        ConfigError: for less than one thread.
    """

    def __init__(self, artifact: Artifact, *, interpreter: Choice | None = None, threads: int = 1) -> None:
        loaded = open_interpreter(artifact.content, choice=interpreter, threads=threads)
        self.artifact = artifact
        self.spec = artifact.spec
        self.interpreter_name = loaded.name
        self.interpreter_version = loaded.version
        self.threads = threads
        self._interpreter = loaded.interpreter
        self._invoke = loaded.interpreter.invoke
        self._guarded(loaded.interpreter.allocate_tensors)
        network = artifact.network
        inputs = {name: _on_memory(self._interpreter, name, info) for name, info in network.inputs.items()}
        outputs = {name: _on_memory(self._interpreter, name, info) for name, info in network.outputs.items()}
        self.frame: Array = inputs.pop(FRAME)[0]
        self.states: States = inputs
        self.initial: States = {
            state.name: np.broadcast_to(np.asarray(state.initial, state.dtype), state.shape)
            for state in self.spec.states
        }
        self.seated: States | None = None
        self._try_once(outputs)
        self._moves, outputs = _moves(inputs, outputs)
        self._requantisations: list[tuple[Array, Array, Array]] = []
        for name, target in inputs.items():
            table = _requantisation(network.inputs[name], network.outputs[name])
            if table is not None:
                self._requantisations.append((table, outputs[name].view(_INDEX[table.itemsize]), target))
            elif not _same_memory(outputs[name], target):
                self._moves.append((_raw(target), _raw(outputs[name])))
        self.probabilities: Array = outputs[PROBABILITIES][0]

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, interpreter: Choice | None = None, threads: int = 1) -> Engine:
        """Read an artifact, check it, and load it."""
        return cls(read_artifact(path), interpreter=interpreter, threads=threads)

    def stepper(self) -> Stepper:
        """Begin a stream of its own, at the initial states."""
        from runtime.stepper import Stepper  # the two know each other

        return Stepper(self)

    def seat(self, stream: States) -> None:
        """Give the network to a stream: its states move in, those of the stream before out to where it keeps them."""
        if self.seated is not None:
            for name, kept in self.seated.items():
                kept[...] = self.states[name]
        for name, kept in stream.items():
            self.states[name][...] = kept
        self.seated = stream

    def advance(self) -> None:
        """Run the network once on `frame` and `states`; `probabilities` are then this step's, `states` the next."""
        try:
            self._invoke()
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from None
        for target, source in self._moves:
            target[:] = source
        for table, given, taken in self._requantisations:
            table.take(given, out=taken, mode="clip")

    def delegation(self) -> Delegation | None:
        """Find out what of the network a delegate took over; None where the interpreter cannot tell."""
        return delegation(self._interpreter, [info.index for info in self.artifact.network.outputs.values()])

    def _try_once(self, outputs: States) -> None:
        # The first run packs weights, and shows whether the network runs at all and leaves its outputs where they are.
        self.frame[...] = 0
        for name, initial in self.initial.items():
            self.states[name][...] = initial
        self._guarded(self._invoke)
        for name, info in self.artifact.network.outputs.items():
            if not _same_memory(_on_memory(self._interpreter, name, info), outputs[name]):
                raise _no_fixed_memory(name)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> ArtifactError:
        return refusal(self.interpreter_name, self.interpreter_version, error)


def _on_memory(interpreter: Interpreter, name: str, info: TensorInfo) -> Array:
    """Make an array on a tensor's memory that holds no reference to the interpreter."""
    try:
        tensor = interpreter.tensor(info.index)()
    except (RuntimeError, ValueError):
        raise _no_fixed_memory(name) from None
    if tensor.shape != info.shape or tensor.dtype != info.dtype:
        raise ArtifactError(
            f"The interpreter has {name!r} as {tensor.dtype} {list(tensor.shape)}, the artifact as {info.dtype} "
            f"{list(info.shape)}. Convert the model again."
        )
    address = tensor.__array_interface__["data"][0]
    memory = (ctypes.c_uint8 * tensor.nbytes).from_address(address)
    return np.frombuffer(memory, info.dtype).reshape(info.shape)


def _no_fixed_memory(name: str) -> ArtifactError:
    return ArtifactError(f"The size of {name!r} is only known while the network runs. Convert the model again.")


def _moves(states: States, outputs: States) -> tuple[list[tuple[memoryview, memoryview]], States]:
    """Put outputs aside that the first of the states to be moved would overwrite.

    A network may hand an input through: then an output is the very memory of a state's input.

    Returns:
        (copies to make before any state is moved, outputs as they can be read after that).
    """
    copies, readable = [], {}
    for name, output in outputs.items():
        readable[name] = output
        others = (state for other, state in states.items() if other != name)
        if any(np.may_share_memory(output, state) for state in others):
            readable[name] = np.empty_like(output)
            copies.append((_raw(readable[name]), _raw(output)))
    return copies, readable


_INDEX = {1: np.uint8, 2: np.uint16}


def _requantisation(taken: TensorInfo, given: TensorInfo) -> Array | None:
    """Tabulate a state's next value in the scale of the input that takes it; None where both scales are one.

    Rounded half away from zero and saturated, as TensorFlow Lite's QUANTIZE. Float64 makes it exact: products of a
    16-bit integer and a float32 fit, and a quotient of two such that is not a tie is further from one than it rounds.

    Returns:
        One entry for each bit pattern, read as an unsigned integer.
    """
    if taken.scale is None or given.scale is None:
        return None
    if (taken.scale, taken.zero_point) == (given.scale, given.zero_point):
        return None
    limits = np.iinfo(taken.dtype)
    patterns = np.arange(1 << limits.bits, dtype=_INDEX[limits.bits // 8]).view(taken.dtype)
    real = (patterns.astype(np.float64) - float(given.zero_point or 0)) * given.scale
    levels = np.abs(real) / taken.scale
    rounded = np.copysign(np.floor(levels + 0.5), real) + float(taken.zero_point or 0)
    return np.clip(rounded, limits.min, limits.max).astype(taken.dtype)


def _raw(array: Array) -> memoryview:
    # Assigning one memoryview to another is the cheapest copy that Python has: a fifth of numpy's for a small tensor.
    data: Any = array.reshape(-1).view(np.uint8)  # typed as a buffer from Python 3.12 on
    return memoryview(data)


def _same_memory(one: Array, other: Array) -> bool:
    return bool(one.__array_interface__["data"][0] == other.__array_interface__["data"][0])
