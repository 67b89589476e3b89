"""Trained models from `.keras` and `.h5` files of either Keras.

Loading a model can run code that its file brings. So the configuration is read as JSON first, and only layers that
framestep knows are let through to Keras.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.allowed import unknown_parts
from runtime.errors import ConversionError, MissingDependencyError

if TYPE_CHECKING:
    from converters.keras_graph import Family

MAX_FILE_BYTES = 2 << 30
"""Of a model file, and of all that it unpacks to."""

MAX_CONFIG_BYTES = 32 << 20
"""Of a configuration; a thousand layers have about 1 MiB."""

_SAVE_AGAIN = "Save the whole model again with model.save('NAME.keras')."


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """What a file says before anything in it is run.

    Attributes:
        family: whose Keras wrote it.
        config: the model's configuration.
    """

    family: Family
    config: Any


def load_model(path: str | Path, *, trust: bool = False) -> Any:
    """Load a trained model with the Keras that wrote it.

    Args:
        path: a `.keras` or `.h5` file.
        trust: load classes and functions that framestep does not know, which may run whatever the file says.

    Raises:
        ConversionError: for a file that is none, is broken, holds weights alone, or needs `trust`.
        MissingDependencyError: where its Keras is not installed.
    """
    path = Path(path)
    saved = _read(path)
    if not trust:
        problems = unknown_parts(saved.config)
        if problems:
            shown = "; ".join(problems[:5]) + ("" if len(problems) <= 5 else f"; and {len(problems) - 5} more")
            raise ConversionError(
                f"{path.name} holds what framestep does not know: {shown}. "
                "If you know where the file comes from, add --trust, which lets it run its own code."
            )
    keras, own = _keras(saved.family)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of optimizers that are not loaded, and of the file's age
            return keras.models.load_model(str(path), custom_objects=own, compile=False, safe_mode=not trust)
    except Exception as error:  # Keras raises whatever its layers raise
        raise ConversionError(
            f"{path.name} cannot be loaded by {saved.family} {keras.__version__}: {_first_line(error)}. {_SAVE_AGAIN}"
        ) from error


def _keras(family: Family) -> tuple[Any, dict[str, Any]]:
    """Import a family, and framestep's own layers for it by name."""
    try:
        if family == "tf_keras":
            import tf_keras

            from converters import layers

            return tf_keras, {name: getattr(layers, name) for name in layers.__all__}
        import keras
    except ImportError:
        raise MissingDependencyError(family, extra="train", purpose="Loading this model") from None
    if keras.backend.backend() != "tensorflow":
        raise ConversionError(
            f"Keras runs on {keras.backend.backend()}; a step is made with TensorFlow. Set KERAS_BACKEND=tensorflow."
        )
    from converters.layers import keras3

    return keras, {"FrameDifference": keras3.FrameDifference, "PeepholeLSTMCell": keras3.PeepholeLSTMCell}


def _read(path: Path) -> _Saved:
    """Read a file's configuration without running anything."""
    if path.is_dir():
        raise ConversionError(f"{path.name} is a folder; a model is a .keras or .h5 file. {_SAVE_AGAIN}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ConversionError(f"{path} cannot be read: {error.strerror}. Give a .keras or .h5 file.") from None
    if size > MAX_FILE_BYTES:
        raise ConversionError(f"{path.name} has {size} bytes, more than {MAX_FILE_BYTES}. Give a smaller model.")
    is_zip, is_hdf5 = start.startswith(b"PK"), start == b"\x89HDF\r\n\x1a\n"
    if not (is_zip or is_hdf5):
        raise ConversionError(f"{path.name} is neither a .keras nor an .h5 file. {_SAVE_AGAIN}")
    wanted = (".keras",) if is_zip else (".h5", ".hdf5")
    if path.suffix not in wanted:
        kind = "a Keras archive" if is_zip else "an HDF5 file"
        raise ConversionError(f"{path.name} is {kind}, but its name says {path.suffix!r}. Name it {wanted[0]}.")
    try:
        return _read_archive(path) if is_zip else _read_hdf5(path)
    except ConversionError:
        raise
    except Exception as error:  # zipfile, zlib, json and h5py each raise many kinds on a broken file
        raise ConversionError(f"{path.name} is broken: {_first_line(error)}. {_SAVE_AGAIN}") from error


def _read_archive(path: Path) -> _Saved:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        unpacked = sum(member.file_size for member in members)
        if unpacked > MAX_FILE_BYTES:
            raise ConversionError(f"{path.name} unpacks to {unpacked} bytes, more than {MAX_FILE_BYTES}. {_SAVE_AGAIN}")
        if len(set(names)) != len(names):
            raise ConversionError(f"{path.name} holds a member twice. {_SAVE_AGAIN}")
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            if name not in names:
                raise ConversionError(f"{path.name} holds no {name}, so it is no Keras model. {_SAVE_AGAIN}")
        metadata = _json(archive, "metadata.json", path)
        config = _json(archive, "config.json", path)
        _check_weights(io.BytesIO(archive.read("model.weights.h5")), path)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    if isinstance(config, dict):
        config.pop("compile_config", None)  # loading leaves it alone
    return _Saved(family=_family(version, path), config=config)


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    if archive.getinfo(name).file_size > MAX_CONFIG_BYTES:
        raise ConversionError(f"{path.name}: {name} is larger than {MAX_CONFIG_BYTES} bytes. {_SAVE_AGAIN}")
    return json.loads(archive.read(name))


def _read_hdf5(path: Path) -> _Saved:
    import h5py

    with h5py.File(path, "r") as file:
        config, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
    if config is None:
        raise ConversionError(f"{path.name} holds weights, but no model to put them into. {_SAVE_AGAIN}")
    if len(config) > MAX_CONFIG_BYTES:
        raise ConversionError(f"{path.name}: its configuration is larger than {MAX_CONFIG_BYTES} bytes. {_SAVE_AGAIN}")
    _check_weights(path, path)
    return _Saved(family=_family(_text(version), path), config=json.loads(_text(config) or ""))


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _family(version: Any, path: Path) -> Family:
    major = str(version or "").partition(".")[0]
    if not major.isdigit():
        raise ConversionError(
            f"{path.name} does not say which Keras wrote it (keras_version {version!r}). {_SAVE_AGAIN}"
        )
    return "tf_keras" if int(major) < 3 else "keras"


def _check_weights(file: Any, path: Path) -> None:
    """Refuse weights that lie in other files, or claim more room than a model has."""
    import h5py

    with h5py.File(file, "r") as opened:
        groups, seen, total = [opened], 0, 0
        while groups:
            group = groups.pop()
            for name in group:
                seen += 1
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ConversionError(f"{path.name}: weight {name!r} is a link to another place. {_SAVE_AGAIN}")
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                    continue
                if item.external or item.is_virtual:
                    raise ConversionError(f"{path.name}: weight {name!r} lies in another file. {_SAVE_AGAIN}")
                total += int(item.size or 0) * item.dtype.itemsize
                if total > MAX_FILE_BYTES or seen > 1 << 20:
                    raise ConversionError(f"{path.name}: its weights claim {total} bytes. {_SAVE_AGAIN}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = (lines[0] if lines else type(error).__name__).rstrip(".")
    return text if len(text) <= 200 else f"{text[:197]}..."
