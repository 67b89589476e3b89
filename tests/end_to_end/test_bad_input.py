"""Bad input: one line that says what and what to do, the right exit status, and no file left."""

from __future__ import annotations

import errno
import importlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from runtime.artifact import read_artifact
from toolkit.cli import framestep
from toolkit.data.digits_files import write_film

if TYPE_CHECKING:
    from click.testing import Result

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def call(*words: object) -> Result:
    return CliRunner().invoke(framestep, list(map(str, words)))


def only_line(result: Result) -> str:
    """The one line that a failed command says beside progress and an interpreter's own words."""
    assert result.exit_code == 1, (result.stdout, result.stderr)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("framestep: ")]
    assert result.stderr.splitlines()[-1] == line
    assert "Traceback" not in result.stderr
    assert "Internal error" not in line
    return line


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESTEP_CACHE", str(tmp_path_factory.mktemp("cache")))


def film(path: Path, *, fps: float = 15, frames: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    write_film(path, np.broadcast_to(levels, (frames, 24, 32, 1)), fps=fps)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for label in ("left", "right"):
        for i in range(4):
            film(tmp_path / "clips" / label / f"{i}.mp4")
    return tmp_path / "clips"


def test_a_folder_without_films(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = only_line(call("train", "--data", tmp_path / "empty", "--out", tmp_path / "run"))
    assert "empty" in line
    assert not (tmp_path / "run").exists()


def test_one_class(tmp_path: Path) -> None:
    film(tmp_path / "clips/left/0.mp4")
    film(tmp_path / "clips/left/1.mp4")
    line = only_line(call("train", "--data", tmp_path / "clips", "--out", tmp_path / "run"))
    assert "left" in line
    assert not (tmp_path / "run").exists()


def test_two_rates_without_a_choice(clips: Path, tmp_path: Path) -> None:
    film(clips / "left/9.mp4", fps=10)
    line = only_line(call("train", "--data", clips, "--out", tmp_path / "run"))
    assert "10" in line
    assert "15" in line
    assert "--fps" in line


def test_a_film_that_ends_early_is_named(clips: Path) -> None:
    whole = (clips / "left/0.mp4").read_bytes()
    (clips / "left/0.mp4").write_bytes(whole[: len(whole) // 2])
    result = call("data", "inspect", clips)
    assert result.exit_code == 0
    assert "0.mp4" in result.stdout + result.stderr


@pytest.mark.parametrize("command", [["run", "--source", "synthetic"], ["inspect"], ["bench"]])
def test_a_corrupt_artifact(command: list[str], tmp_path: Path) -> None:
    content = bytearray((GOLDEN / "gru-float32.tflite").read_bytes())
    content[1000] ^= 1
    (tmp_path / "a.tflite").write_bytes(content)
    line = only_line(call(command[0], tmp_path / "a.tflite", *command[1:]))
    assert line.startswith(f"framestep: {tmp_path / 'a.tflite'}: the network's SHA-256 is ")


def test_an_artifact_of_another_program(tmp_path: Path) -> None:
    whole = (GOLDEN / "gru-float32.tflite").read_bytes()
    (tmp_path / "a.tflite").write_bytes(whole[: whole.index(b"PK\x03\x04")])
    assert "framestep convert" in only_line(call("run", tmp_path / "a.tflite", "--source", "synthetic"))


def test_a_film_that_is_not_there(tmp_path: Path) -> None:
    line = only_line(call("run", GOLDEN / "gru-float32.tflite", "--source", tmp_path / "nowhere.mp4"))
    assert "nowhere.mp4" in line


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"not a model" * 99)
    line = only_line(call("convert", tmp_path / "model.keras", "-o", tmp_path / "x.tflite", "--precision", "float32"))
    assert "model.keras" in line
    assert not (tmp_path / "x.tflite").exists()


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_artifact_is_no_model(precision: str, tmp_path: Path) -> None:
    output = tmp_path / "x.tflite"
    line = only_line(call("convert", GOLDEN / "gru-float32.tflite", "-o", output, "--precision", precision))
    assert ".keras" in line
    assert not output.exists()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tf_keras

    layers = tf_keras.layers
    clip = tf_keras.Input((None, 12, 16, 1))
    features = layers.TimeDistributed(layers.Flatten())(clip)
    answers = layers.Dense(3, activation="softmax")(layers.GRU(4, return_sequences=True)(features))
    path: Path = tmp_path_factory.mktemp("model") / "model.keras"
    tf_keras.Model(clip, answers).save(path)
    return path


def test_labels_of_the_wrong_number(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.tflite"
    line = only_line(call("convert", model, "-o", output, "--precision", "float32", "--labels", "left,right"))
    assert "3 classes" in line
    assert "2 labels" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", ["tf_keras", "keras"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_layer_that_needs_the_clip_s_end(family: str, suffix: str, tmp_path: Path) -> None:
    keras = importlib.import_module(family)
    layers = keras.layers
    features = [layers.Input((None, 8, 8, 1)), layers.TimeDistributed(layers.Flatten())]
    both = layers.Bidirectional(layers.LSTM(2), name="both_ways")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
        keras.Sequential([*features, both, layers.Dense(2, "softmax")]).save(tmp_path / f"m{suffix}")
    line = only_line(call("convert", tmp_path / f"m{suffix}", "-o", tmp_path / "x.tflite", "--precision", "float32"))
    assert "Layer 'both_ways' (Bidirectional) cannot run one frame at a time: it reads the clip from its end" in line
    assert [path.name for path in tmp_path.iterdir()] == [f"m{suffix}"]


@pytest.mark.usefixtures("converter_in_this_process")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_runs_only_where_it_is_trusted(suffix: str, tmp_path: Path) -> None:
    import tf_keras

    layers = tf_keras.layers
    own = layers.TimeDistributed(layers.Lambda(lambda x: x * 2.0, name="own_code"))
    net = [layers.Input((None, 8, 8, 1)), own, layers.TimeDistributed(layers.Flatten()), layers.GRU(2)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
        tf_keras.Sequential([*net, layers.Dense(2, "softmax")]).save(tmp_path / f"m{suffix}")
    output = tmp_path / "x.tflite"
    words = ["convert", tmp_path / f"m{suffix}", "-o", output, "--precision", "float32", "--frames", 50]
    line = only_line(call(*words))
    assert "Lambda" in line
    assert "--trust" in line
    assert not output.exists()
    trusted = call(*words, "--trust")
    assert trusted.exit_code == 0, trusted.stderr
    assert output.exists()


def test_int8_of_a_model_without_data_is_wrong_usage(model: Path, tmp_path: Path) -> None:
    result = call("convert", model, "-o", tmp_path / "x.tflite", "--precision", "int8")
    assert result.exit_code == 2
    assert "--calibrate" in result.stderr


@pytest.mark.usefixtures("converter_in_this_process")
def test_calibration_data_of_another_size_is_brought_to_the_models(model: Path, clips: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.tflite"
    words = ["convert", model, "-o", output, "--precision", "int8", "--calibrate", clips, "--frames", 50]
    result = call(*words, "--min-agreement", 0)
    assert result.exit_code == 0, result.stderr
    spec = read_artifact(output).spec
    assert spec.input.shape == (1, 12, 16, 1)
    assert spec.calibration is not None
    assert "8 clips" in spec.calibration.source


def test_a_disk_that_fills_while_an_artifact_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "x.tflite").write_bytes(b"the one before")
    line = only_line(call("convert", model, "-o", tmp_path / "x.tflite", "--precision", "float32", "--frames", 20))
    assert "No space left on device" in line
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the one before"]


def test_a_sink_on_a_full_disk() -> None:
    artifact = GOLDEN / "gru-float32.tflite"
    line = only_line(call("run", artifact, "--source", "synthetic", "--max-frames", 3, "--sink", "jsonl:/dev/full"))
    assert "No space left on device" in line
