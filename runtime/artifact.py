"""The one file that a device needs, and everything that is checked before it runs.

A `.tflite` is a program, so nothing of it reaches an interpreter before the whole file is known to be what
docs/artifact.md says: sizes, trailer, spec, checksum, operators, and a network whose interface is the spec's.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ArtifactError, SpecError
from runtime.flatbuffer import IDENTIFIER, SIGNATURE, Network, TensorInfo, read_network
from runtime.operators import ALLOWED, ALLOWED_DTYPES
from runtime.spec import Spec
from runtime.trailer import read_trailer

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 256 << 20
"""Of a file; a Pi Zero 2 W has 512 MiB of memory for everything."""

FRAME = "frame"
PROBABILITIES = "probabilities"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that passed every check.

    Attributes:
        path: where it was read from.
        content: its FlatBuffer part.
        spec: what it means.
        network: what it holds.
        size_bytes: of the whole file.
    """

    path: Path
    content: bytes
    spec: Spec
    network: Network
    size_bytes: int


def read_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Read a file and check all of it.

    Raises:
        ArtifactError: where it cannot be read, is no artifact, is damaged, or holds what an artifact must not.
        SpecError: where its spec is not one.
    """
    path = Path(path)
    try:
        return _read(path)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None


def _read(path: Path) -> Artifact:
    data = _read_file(path)
    if data[4:8] != IDENTIFIER:
        raise ArtifactError(
            f"the file is no TensorFlow Lite file: its identifier is {data[4:8]!r}, not {IDENTIFIER!r}. "
            "Give the file that framestep convert wrote."
        )
    trailer = read_trailer(data)
    content = data[: trailer.start]
    spec = Spec.from_json(trailer.spec)
    _check_labels(spec, trailer.labels)
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        raise ArtifactError(
            f"the network's SHA-256 is {digest} and its spec says {spec.sha256}: the file is damaged. "
            "Copy it again, or convert the model again."
        )
    network = read_network(content)
    check_network(network)
    check_interface(network, spec)
    return Artifact(path=path, content=content, spec=spec, network=network, size_bytes=len(data))


def check_network(network: Network) -> None:
    """Refuse a network that holds more than arithmetic on its own data.

    Raises:
        ArtifactError: names what it holds.
    """
    wrong = [
        f"{op.name} (custom)" if op.custom else op.name for op in network.ops if op.custom or op.name not in ALLOWED
    ]
    if wrong:
        raise ArtifactError(
            f"the network uses {', '.join(map(repr, wrong[:8]))}, which a step may not hold. "
            "Convert the trained model with framestep convert."
        )
    foreign = sorted(network.dtypes - ALLOWED_DTYPES)
    for count, what in (
        (foreign, f"tensors of {', '.join(foreign)}; it must have numbers of usual types only"),
        (network.subgraphs - 1, f"{network.subgraphs} subgraphs; it must have 1"),
        (network.variables, f"{network.variables} variable tensors; states must be inputs and outputs"),
        (network.sparse, f"{network.sparse} sparse tensors; it must have none"),
        (network.unsized, f"{network.unsized} operators whose sizes are only known while it runs; it must have none"),
        (network.outside, "data outside its FlatBuffer; it must have none"),
    ):
        if count:
            raise ArtifactError(f"the network has {what}. Convert the trained model with framestep convert.")


def check_interface(network: Network, spec: Spec) -> None:
    """Hold the signature `step` against the spec, tensor by tensor.

    Raises:
        ArtifactError: at the first difference, with both values.
    """
    if SIGNATURE not in network.signatures:
        raise ArtifactError(
            f"the network has the signatures {list(network.signatures[:8])} and none named {SIGNATURE!r}. "
            "Convert the trained model with framestep convert."
        )
    states = {state.name for state in spec.states}
    _same("the network's inputs", sorted(network.inputs), sorted(states | {FRAME}))
    _same("the network's outputs", sorted(network.outputs), sorted(states | {PROBABILITIES}))
    # Each input is a tensor of its own, and none is left that nobody sets.
    taken = sorted(tensor.index for tensor in network.inputs.values())
    _same("the tensors of its signature's inputs", taken, sorted(set(network.graph_inputs)))
    given = {tensor.index for tensor in network.outputs.values()}
    _same("the tensors of its signature's outputs", sorted(given - set(network.graph_outputs)), [])
    classes = network.outputs[PROBABILITIES].shape
    if len(classes) == 2 and classes[0] == 1 and classes[1] != len(spec.labels):
        raise ArtifactError(
            f"the network gives {classes[1]} probabilities and the spec has {len(spec.labels)} labels. "
            "Convert the model again, with a label for each."
        )
    for what, tensor, shape, dtype in _tensors(network, spec):
        _same(f"the shape of {what}", list(tensor.shape), list(shape))
        _same(f"the dtype of {what}", tensor.dtype, dtype)
    for state in spec.states:
        tensor = network.inputs[state.name]
        scale = None if state.scale is None else _float32(state.scale)
        _same(f"the scale of input {state.name!r}", tensor.scale, scale)
        _same(f"the zero point of input {state.name!r}", tensor.zero_point, state.zero_point)
        if state.scale is not None and not (network.outputs[state.name].scale or 0) > 0:
            raise ArtifactError(f"output {state.name!r} has no scale. Convert the model again.")


def _tensors(network: Network, spec: Spec) -> Iterator[tuple[str, TensorInfo, tuple[int, ...], str]]:
    yield f"input {FRAME!r}", network.inputs[FRAME], spec.input.shape, spec.input.dtype
    yield f"output {PROBABILITIES!r}", network.outputs[PROBABILITIES], (1, len(spec.labels)), "float32"
    for state in spec.states:
        yield f"input {state.name!r}", network.inputs[state.name], state.shape, state.dtype
        yield f"output {state.name!r}", network.outputs[state.name], state.shape, state.dtype


def _same(what: str, network: object, spec: object) -> None:
    if network != spec:
        raise ArtifactError(
            f"{what}: the network has {network!s:.400} and the spec {spec!s:.400}. Convert the model again."
        )


def _check_labels(spec: Spec, text: bytes) -> None:
    if text.decode("utf-8", "replace").splitlines() != list(spec.labels):
        raise ArtifactError("labels.txt and the spec's labels differ. Convert the model again.")


def _float32(value: float) -> float:
    number: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return number


def _read_file(path: Path) -> bytes:
    try:
        # Without O_NONBLOCK a named pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ArtifactError("this is not a file. Give the file that framestep convert wrote.")
            # A file may grow between the two.
            size = os.fstat(handle).st_size
            data = b"" if size > MAX_BYTES else file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(f"the file cannot be read: {error.strerror}. Check the path.") from None
    if max(size, len(data)) > MAX_BYTES:
        raise ArtifactError(
            f"the file is larger than {MAX_BYTES} bytes, the most an artifact may have. Check the path."
        )
    return data
