"""`framestep convert` and `framestep verify`, on a Keras model that is no run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import tf_keras
from click.testing import CliRunner, Result

from runtime.artifact import read_artifact
from runtime.engine import Engine
from toolkit.cli import framestep

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("converter_in_this_process")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GRU over 16x16 gray frames, three classes."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(3)
    net = tf_keras.Sequential(
        [
            layers.Input((None, 16, 16, 1)),
            layers.TimeDistributed(layers.Conv2D(4, 3, 2, activation="relu")),
            layers.TimeDistributed(layers.Flatten()),
            layers.GRU(8, return_sequences=True),
            layers.Dense(3, activation="softmax", kernel_initializer="orthogonal"),
        ]
    )
    path = tmp_path_factory.mktemp("model") / "net.keras"
    net.save(path)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(framestep, [str(each) for each in arguments])


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_foreign_model_becomes_an_artifact_that_runs(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    figures = told(
        call("convert", model, "-o", path, "--precision", "float32", "--labels", "a,b,c", "--fps", 10, "--json")
    )
    assert figures["path"] == str(path)
    assert figures["bytes"] == path.stat().st_size
    assert figures["fidelity"]["agreement"] == 1.0
    spec = Engine.open(path).spec
    assert (spec.labels, spec.fps, spec.input.shape) == (("a", "b", "c"), 10.0, (1, 16, 16, 1))
    assert spec.parity is not None
    assert spec.parity.max_error <= 1e-5


def test_labels_may_stand_in_a_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree\n")
    path = tmp_path / "a.tflite"
    call("convert", model, "-o", path, "--precision", "float32", "--labels", tmp_path / "labels.txt")
    assert read_artifact(path).spec.labels == ("one", "two", "three")


def test_a_label_list_of_the_wrong_length_is_one_line_and_no_file(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    result = call("convert", model, "-o", path, "--precision", "float32", "--labels", "a,b")
    assert result.exit_code == 1
    assert result.stderr == (
        "framestep: The model has 3 classes, and 2 labels were given: a, b. Give one label a class with --labels.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["int8", "mixed", "auto"])
def test_integer_ranges_of_a_foreign_model_need_data(model: Path, tmp_path: Path, precision: str) -> None:
    result = call("convert", model, "-o", tmp_path / "a.tflite", "--precision", precision)
    assert result.exit_code == 2
    assert f"{precision} of a model that is not a run needs --calibrate DATA." in result.stderr


def test_a_gate_that_does_not_hold_is_status_3_with_the_figures_and_no_file(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"the old one")
    result = call(
        "convert", model, "-o", path, "--precision", "int8", "--calibrate", "digits", "--min-agreement", 1, "--json"
    )
    assert result.exit_code == 3
    assert json.loads(result.stdout)["fidelity"]["agreement"] < 1
    assert path.read_bytes() == b"the old one"
    assert [each.name for each in tmp_path.iterdir()] == ["a.tflite"]


def test_keep_writes_a_failed_file_under_a_name_that_says_so(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    result = call(
        *("convert", model, "-o", path, "--precision", "int8", "--calibrate", "digits", "--min-agreement", 1, "--keep")
    )
    assert result.exit_code == 3
    assert not path.exists()
    assert read_artifact(tmp_path / "a.failed.tflite").spec.precision == "int8"


def test_verify_measures_at_any_length(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    call("convert", model, "-o", path, "--precision", "float16")
    figures = told(call("verify", path, "--against", model, "--data", "digits", "--frames", 700, "--json"))
    assert figures["frames"] == 700
    assert figures["agreement"] > 0.99
    assert figures["accuracy"] is None  # the model's labels are not the digits'


def test_verify_refuses_another_models_artifact(model: Path, tmp_path: Path) -> None:
    other = tf_keras.Sequential(
        [
            tf_keras.layers.Input((None, 16, 16, 1)),
            tf_keras.layers.TimeDistributed(tf_keras.layers.Flatten()),
            tf_keras.layers.Dense(2, activation="softmax"),
        ]
    )
    other.save(tmp_path / "other.keras")
    call("convert", model, "-o", tmp_path / "a.tflite", "--precision", "float32")
    result = call("verify", tmp_path / "a.tflite", "--against", tmp_path / "other.keras", "--data", "digits")
    assert result.exit_code == 1
    assert "has 3 classes" in result.stderr


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.keras").write_bytes(b"no zip")
    result = call("convert", tmp_path / "x.keras", "-o", tmp_path / "x.tflite", "--precision", "float32")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "x.tflite").exists()


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_missing_folder_is_told_before_anything_is_done(model: Path, tmp_path: Path, precision: str) -> None:
    result = call(
        "convert", model, "-o", tmp_path / "no" / "x.tflite", "--precision", precision, "--calibrate", "digits"
    )
    assert result.exit_code == 1
    assert f"The folder {tmp_path / 'no'} does not exist." in result.stderr


def test_options_of_foreign_models_do_not_go_with_runs(tmp_path: Path) -> None:
    result = call("convert", tmp_path, "-o", tmp_path / "x.tflite", "--precision", "float32", "--fps", 5)
    assert result.exit_code == 2
    assert "--fps belong to a model that is not a run" in result.stderr
