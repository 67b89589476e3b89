"""Write an artifact: the network, and behind it a zip trailer with the spec and the labels."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from runtime.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.spec import Spec

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first date: the same model gives the same bytes


def pack_artifact(network: bytes, spec: Spec) -> bytes:
    """Return the bytes of an artifact; docs/artifact.md tells the format."""
    stream = io.BytesIO(network)
    stream.seek(0, io.SEEK_END)
    labels = "".join(f"{label}\n" for label in spec.labels)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as trailer:
        for name, text in (("framestep.json", spec.to_json()), ("labels.txt", labels)):
            trailer.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode())
    return stream.getvalue()


def write_artifact(path: Path, network: bytes, spec: Spec) -> None:
    """Write an artifact so that the name holds the old file or the new one, whenever the power goes."""
    with replacing(path) as temporary:
        temporary.write_bytes(pack_artifact(network, spec))
