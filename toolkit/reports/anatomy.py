"""What an artifact is made of."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runtime.artifact import Artifact, read_artifact
from runtime.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.flatbuffer import TensorInfo
    from runtime.interpreter import Choice


def anatomy(path: Path, *, interpreter: Choice | None = None) -> dict[str, Any]:
    """Take an artifact apart.

    Args:
        path: of the file.
        interpreter: whose delegate is asked what it takes; the first that is installed where None.

    Returns:
        The spec's keys, and `path`, `bytes`, `gzip_bytes`, `weight_bytes`, `ops`, `tensors` and `delegated`, as JSON
        types. `delegated` is null where the interpreter cannot tell.

    Raises:
        ArtifactError: where the file is no artifact, or the interpreter refuses it.
        InterpreterNotFoundError: where none is installed.
    """
    artifact = read_artifact(path)
    network = artifact.network
    ops = sorted(network.ops, key=lambda op: (-op.count, op.name, op.version))
    return asdict(artifact.spec) | {
        "path": str(path),
        "bytes": artifact.size_bytes,
        "gzip_bytes": gzip_bytes(path.read_bytes()),
        "weight_bytes": network.buffers_bytes,
        "ops": [{"name": op.name, "version": op.version, "count": op.count} for op in ops],
        "tensors": {
            "inputs": {name: _tensor(info) for name, info in network.inputs.items()},
            "outputs": {name: _tensor(info) for name, info in network.outputs.items()},
        },
        "delegated": _delegated(artifact, interpreter),
    }


def gzip_bytes(content: bytes) -> int:
    """How many bytes a download takes: gzip at its best."""
    return len(gzip.compress(content, compresslevel=9, mtime=0))


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"shape": list(info.shape), "dtype": info.dtype, "scale": info.scale, "zero_point": info.zero_point}


def _delegated(artifact: Artifact, choice: Choice | None) -> dict[str, Any] | None:
    engine = Engine(artifact, interpreter=choice)
    found = engine.delegation()
    if found is None:
        return None
    return {
        "interpreter": f"{engine.interpreter_name} {engine.interpreter_version}",
        "partitions": found.partitions,
        "outside": list(found.outside),
    }
