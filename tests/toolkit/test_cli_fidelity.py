"""What the gate tells, and what is there afterwards: a state that drifts, and artifacts measured again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tf_keras
from click.testing import CliRunner, Result

from runtime.artifact import read_artifact
from toolkit.cli import framestep

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("converter_in_this_process")


@pytest.fixture(scope="module")
def adding_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain LSTM that forgets next to nothing: c grows with every frame, for thousands of frames."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(1)
    cell = layers.LSTM(2, return_sequences=True, name="lstm")
    model = tf_keras.Sequential(
        [
            layers.Input((None, 16, 16, 1)),
            layers.TimeDistributed(layers.Flatten()),
            layers.Dense(3, activation="tanh"),
            cell,
            layers.Dense(2, activation="softmax"),
        ]
    )
    kernel, recurrent, _ = cell.get_weights()
    gates = {"input": 4.0, "forget": 9.0, "candidate": 0.02, "output": 2.0}
    cell.set_weights([kernel * 0.01, recurrent * 0, np.repeat(list(gates.values()), 2)])
    path = tmp_path_factory.mktemp("model") / "adding-up.keras"
    model.save(path)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(framestep, [str(each) for each in arguments])


def converted(model: Path, path: Path, *more: object) -> Result:
    return call("convert", model, "-o", path, "--calibrate", "digits", "--frames", 1000, "--json", *more)


def line_of(result: Result) -> str:
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("framestep: ")]
    return line


@pytest.mark.parametrize("frames", [200, 1200])
def test_int8_of_a_state_that_drifts_ends_in_status_3_and_no_file(adding_up: Path, tmp_path: Path, frames: int) -> None:
    result = converted(adding_up, tmp_path / "a.tflite", "--precision", "int8", "--calibration-frames", frames)
    assert result.exit_code == 3
    line = line_of(result)
    assert "tate lstm_c" in line
    assert "framestep quantize" in line
    assert list(tmp_path.iterdir()) == []
    drift = json.loads(result.stdout)["fidelity"]["states"]["lstm_c"]
    assert drift["highest"] > 10


def test_verify_says_which_state_left_its_range_how_far_and_how_often(adding_up: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    converted(adding_up, path, "--precision", "int8", "--calibration-frames", 200, "--keep")
    failed = tmp_path / "a.failed.tflite"
    result = call(
        *(
            "verify",
            failed,
            "--against",
            adding_up,
            "--data",
            "digits",
            "--frames",
            1000,
            "--min-agreement",
            0,
            "--json",
        )
    )
    assert result.exit_code == 3
    figures: dict[str, Any] = json.loads(result.stdout)
    drift = figures["states"]["lstm_c"]
    low, high = read_artifact(failed).spec.calibration.state_ranges["lstm_c"]  # type: ignore[union-attr]  # int8 has it
    assert (drift["outside_first"] < 1, drift["outside_last"]) == (True, 1.0)
    assert line_of(result) == (
        "framestep: The states of 1000 frames do not fit into the artifact's ranges. State lstm_c left its calibrated "
        f"range {low:.3g} to {high:.3g} on 100 % of the last tenth's frames ({100 * drift['outside_first']:.0f} % of "
        f"the first's) and went as far as {drift['highest']:.3g}. Calibrate on more of what it will see, bound it with "
        "framestep quantize, take another --precision, or train it with a reset policy."
    )


def test_float_states_may_drift(adding_up: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    assert converted(adding_up, path, "--precision", "float16").exit_code == 0
    fidelity = read_artifact(path).spec.fidelity
    assert fidelity is not None
    assert fidelity.states["lstm_c"].highest > 10
    assert fidelity.states["lstm_c"].outside_last is None
    assert fidelity.confident_disagreements == 0
    shown = call("inspect", path).stdout
    assert "confident disagreements 0" in shown
    assert "drift        lstm_c " in shown


def test_verify_runs_on_every_interpreter_and_says_which(adding_up: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    converted(adding_up, path, "--precision", "dynamic")
    for interpreter in ("litert", "tflite", "tensorflow"):
        result = call(
            *("verify", path, "--against", adding_up, "--data", "digits", "--frames", 300),
            *("--interpreter", interpreter, "--max-confident-disagreements", 0, "--json"),
        )
        assert result.exit_code == 0, result.stderr
        figures = json.loads(result.stdout)
        assert figures["interpreter"].startswith(interpreter)
        assert figures["confident_disagreements"] == 0
        assert figures["frames"] == 300
