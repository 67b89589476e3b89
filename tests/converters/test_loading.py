"""Model files: what is let through to Keras, and what is refused before anything of it runs."""

from __future__ import annotations

import json
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from converters.loading import load_model
from runtime.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

CLIP = np.random.default_rng(0).random((1, 3, 6, 6, 1), "float32")


def saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the age of .h5
        model.save(path)
    return path


def rewritten(path: Path, change: Any) -> Path:
    """Change a `.keras` file's configuration as text."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = change(members["config.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refusal(path: Path, *, trust: bool = False) -> str:
    with pytest.raises(ConversionError) as error:
        load_model(path, trust=trust)
    return str(error.value)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each family's model in each format, as bytes, made once."""
    contents: dict[tuple[str, str], bytes] = {}

    def get(family: Any, path: Path) -> Path:
        key = (family.name, path.suffix)
        if key not in contents:
            contents[key] = saved(made(family), tmp_path_factory.mktemp("made") / f"model{path.suffix}").read_bytes()
        path.write_bytes(contents[key])
        return path

    return get


def made(family: Any) -> Any:
    layers, own = family.layers, family.own
    encoder = family.keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, kernel_regularizer="l2", kernel_initializer="he_normal", activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
        ]
    )
    encoder.compile("adam", "mse", metrics=["accuracy"])
    model = family.sequential(
        own.FrameDifference(),
        layers.TimeDistributed(encoder),
        layers.RNN([own.PeepholeLSTMCell(3), layers.GRUCell(3)], return_sequences=True),
        layers.LSTM(3, kernel_constraint="max_norm", return_sequences=True),
    )
    model.compile("adam", "categorical_crossentropy")
    return model


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_model_comes_back_as_it_was_saved(family: Any, tmp_path: Path, ending: str) -> None:
    model = made(family)
    again = load_model(saved(model, tmp_path / f"model.{ending}"))
    assert np.array_equal(np.asarray(model(CLIP)), np.asarray(again(CLIP)))


def test_bounded_cells_come_back_with_their_bounds(tmp_path: Path) -> None:
    import tf_keras as keras

    from converters.layers import BoundedGRUCell, BoundedLSTMCell

    cells = [BoundedLSTMCell(3, bounds={"pre": 6.0, "c": 1.0}), BoundedGRUCell(3, bounds={"pre": 6.0})]
    model = keras.Sequential([keras.layers.Input((None, 4)), keras.layers.RNN(cells)])
    again = load_model(saved(model, tmp_path / "model.keras"))
    assert [cell.bounds for cell in again.layers[0].cell.cells] == [{"pre": 6.0, "c": 1.0}, {"pre": 6.0}]


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_lambda_is_refused_before_it_runs_and_loaded_with_trust(family: Any, tmp_path: Path, ending: str) -> None:
    mark = tmp_path / "ran"
    code = f"lambda x: (x, open({str(mark)!r}, 'w').close())[0]"
    layer = family.layers.Lambda(eval(code), name="mine", output_shape=(None, 36))  # noqa: S307 - the attack itself
    model = family.sequential(family.layers.Reshape((-1, 36)), layer)
    path = saved(model, tmp_path / f"model.{ending}")
    mark.unlink(missing_ok=True)
    assert refusal(path) == (
        f"model.{ending} holds what framestep does not know: layer 'mine' (Lambda), which is code. "
        "If you know where the file comes from, add --trust, which lets it run its own code."
    )
    assert not mark.exists()
    load_model(path, trust=True)(CLIP)
    assert mark.exists()


def test_an_unknown_layer_is_refused_and_loaded_with_trust(family: Any, tmp_path: Path) -> None:
    class Mine(family.layers.Layer):  # type: ignore[misc]  # a class of a fixture
        def call(self, x: Any) -> Any:
            return x

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    family.keras.saving.register_keras_serializable(package="test", name=f"Mine{family.name}")(Mine)
    path = saved(family.sequential(Mine(name="own"), *family.features()), tmp_path / "model.keras")
    assert "layer 'own' (Mine)" in refusal(path)
    assert load_model(path, trust=True).layers[0].name == "own"


ATTACKS: dict[str, tuple[str, str, str]] = {
    "a module of somebody": (
        '"module": "keras.layers", "class_name": "LSTM"',
        '"module": "evil", "class_name": "LSTM"',
        "LSTM",
    ),
    "a class that reads a file": ('"class_name": "LSTM"', '"class_name": "TFSMLayer"', "(TFSMLayer)"),
    "a wrapper of another library": (
        '"class_name": "LSTM"',
        '"class_name": "TorchModuleWrapper"',
        "(TorchModuleWrapper)",
    ),
    "a function": (
        '"activation": "tanh"',
        '"activation": {"class_name": "function", "config": "system", "module": "os", "registered_name": "function"}',
        "function 'system'",
    ),
    "a lambda of bytes": (
        '"activation": "tanh"',
        '"activation": {"class_name": "__lambda__", "config": {}}',
        "which is code",
    ),
    "a class under a name of framestep": (
        '"registered_name": "framestep>FrameDifference"',
        '"registered_name": "other>FrameDifference"',
        "FrameDifference",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_configuration_may_not_name(family: Any, file: Any, tmp_path: Path, attack: str) -> None:
    before, after, named = ATTACKS[attack]
    path = file(family, tmp_path / "model.keras")

    def change(text: str) -> str:
        assert before in text
        return text.replace(before, after)

    message = refusal(rewritten(path, change))
    assert "holds what framestep does not know" in message
    assert named in message


def test_an_operation_that_a_call_names_is_refused(family: Any, tmp_path: Path) -> None:
    model = family.functional(lambda clips: family.layers.Reshape((-1, 36))(clips) * 2)
    assert "--trust" in refusal(saved(model, tmp_path / "model.keras"))


def test_weights_alone_are_no_model(family: Any, tmp_path: Path) -> None:
    path = tmp_path / "only.weights.h5"
    made(family).save_weights(path)
    assert refusal(path) == (
        "only.weights.h5 holds weights, but no model to put them into. "
        "Save the whole model again with model.save('NAME.keras')."
    )


def test_weights_that_do_not_fit_are_one_clear_line(family: Any, file: Any, tmp_path: Path) -> None:
    path = rewritten(file(family, tmp_path / "model.keras"), lambda text: text.replace('"units": 3', '"units": 4'))
    message = refusal(path)
    assert message.startswith("model.keras cannot be loaded by ")
    assert "\n" not in message


def test_a_link_out_of_the_file_is_refused(family: Any, file: Any, tmp_path: Path) -> None:
    path = file(family, tmp_path / "model.h5")
    with h5py.File(path, "a") as opened:
        opened["model_weights"]["out"] = h5py.ExternalLink("/etc/hostname", "/")
    assert "weight 'out' is a link to another place" in refusal(path)


def test_weights_that_claim_more_room_than_a_model_has_are_refused(family: Any, file: Any, tmp_path: Path) -> None:
    path = file(family, tmp_path / "model.h5")
    with h5py.File(path, "a") as opened:
        opened.create_dataset("bomb", shape=(1 << 32,), dtype="f4", chunks=(1024,))
    assert "its weights claim 17" in refusal(path)


def corrupt(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name.replace("_", ".", 1) if name != "weights" else "model.weights.h5", content)
    return path


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.keras") == (
        f"{tmp_path}/gone.keras cannot be read: No such file or directory. Give a .keras or .h5 file."
    )


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100])
def test_another_program_s_file_is_no_model(tmp_path: Path, content: bytes) -> None:
    assert "is neither a .keras nor an .h5 file" in refusal(corrupt(tmp_path / "model.keras", content))


def test_a_name_that_says_otherwise_is_refused(family: Any, file: Any, tmp_path: Path) -> None:
    content = file(family, tmp_path / "model.keras").read_bytes()
    assert "is a Keras archive, but its name says '.h5'" in refusal(corrupt(tmp_path / "other.h5", content))


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_half_a_file_is_one_clear_line(family: Any, file: Any, tmp_path: Path, ending: str, part: float) -> None:
    content = file(family, tmp_path / f"whole.{ending}").read_bytes()
    message = refusal(corrupt(tmp_path / f"half.{ending}", content[: int(len(content) * part)]))
    assert message.startswith(f"half.{ending} ")
    assert "\n" not in message


def test_another_zip_is_no_model(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", readme_txt=b"hello")
    assert "holds no metadata.json, so it is no Keras model" in refusal(path)


def test_a_configuration_that_is_no_json_is_broken(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w"):
        pass
    weights = (tmp_path / "w.h5").read_bytes()
    for config in (b"{", b"[" * 100_000, b"\xff"):
        path = archive(
            tmp_path / "model.keras", metadata_json=b'{"keras_version": "3.1"}', config_json=config, weights=weights
        )
        assert refusal(path).startswith("model.keras is broken: ")


def test_a_file_that_says_no_version_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": []})
    assert "does not say which Keras wrote it (keras_version None)" in refusal(tmp_path / "w.h5")
