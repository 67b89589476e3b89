"""Everything that training must know to go on as if it had never stopped, in one file."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.atomic import replacing
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Arrays = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A moment between two steps.

    Attributes:
        meta: JSON types: epoch, step and the history so far.
        arrays: lists of arrays by what they are: `weights`, `optimizer`, `averages`, `states`, `best`.
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, Arrays] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it; `path` holds this one or the one before, never half."""
        members: dict[str, Any] = {
            f"{name}/{i:04d}": array for name, arrays in self.arrays.items() for i, array in enumerate(arrays)
        }
        members["meta"] = np.frombuffer(json.dumps(self.meta).encode(), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Into memory first: a zip file that cannot be finished says so once more, with a traceback, when it is freed.
        content = io.BytesIO()
        np.savez(content, **members)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote.

        Raises:
            ConfigError: where the file is not a checkpoint.
        """
        try:
            # numpy leaves a file that it opened itself and cannot read open.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                meta = json.loads(file["meta"].tobytes())
                arrays: dict[str, list[npt.NDArray[Any]]] = {}
                for name in sorted(key for key in file.files if key != "meta"):
                    arrays.setdefault(name.partition("/")[0], []).append(file[name])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"{path} cannot be read as a checkpoint: {error}. Begin again with --force instead of --resume."
            ) from None
        return cls(meta=meta, arrays=arrays)
