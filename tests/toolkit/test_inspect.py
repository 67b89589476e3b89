"""`framestep inspect` tells what is in the file."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runtime.artifact import read_artifact
from runtime.spec import CalibrationSpec
from toolkit.cli import framestep
from toolkit.cli.inspect import _calibration, _printable

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*.tflite"))
ARTIFACT = GOLDEN[0]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    result = CliRunner().invoke(framestep, ["inspect", str(ARTIFACT), "--json"])
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_it_tells_the_spec(found: dict[str, Any]) -> None:
    spec = json.loads(read_artifact(ARTIFACT).spec.to_json())
    assert {key: found[key] for key in spec} == spec


def test_it_counts_every_operator(found: dict[str, Any]) -> None:
    assert sum(op["count"] for op in found["ops"]) == read_artifact(ARTIFACT).network.operators


def test_it_tells_the_interface_by_name(found: dict[str, Any]) -> None:
    states = {state["name"] for state in found["states"]}
    assert set(found["tensors"]["inputs"]) == {"frame"} | states
    assert set(found["tensors"]["outputs"]) == {"probabilities"} | states


def test_it_tells_the_sizes(found: dict[str, Any]) -> None:
    content = ARTIFACT.read_bytes()
    assert (found["bytes"], found["gzip_bytes"]) == (len(content), len(gzip.compress(content, 9, mtime=0)))
    assert 0 < found["weight_bytes"] < len(content)


def test_it_tells_what_the_delegate_takes(found: dict[str, Any]) -> None:
    assert found["delegated"]["interpreter"].startswith("litert ")
    assert found["delegated"]["partitions"] >= 0


@pytest.mark.parametrize("artifact", GOLDEN, ids=lambda path: path.stem)
def test_people_get_a_line_for_each_thing(artifact: Path) -> None:
    result = CliRunner().invoke(framestep, ["inspect", str(artifact)])
    assert result.exit_code == 0, result.stderr
    words = [line.partition(" ")[0] for line in result.stdout.splitlines()]
    assert {"name", "input", "labels", "reset", "precision", "size", "ops", "delegate", "sha256"} <= set(words)


def test_calibration_is_told_state_by_state() -> None:
    spec = CalibrationSpec(
        source="a film",
        frames=2048,
        cuts=9,
        resets=3,
        percentile=97.0,
        state_ranges={"h": (-1.0, 0.9921875), "c": (-3.25, 4.0), "d": (0.0, 70.5)},
        settled={"h": 0, "c": 512},
        ranges={"h": (-1.0, 0.9921875), "c": (-3.25, 4.0), "d": (0.0, 70.5), "head": (-4.0, 4.0)},
        bounded=("h",),
    )
    assert _calibration(asdict(spec)) == [
        (
            "2048 frames of a film, 9 cuts and 3 resets among them; 97 % of the extremes, "
            "1 of 4 ranges imposed by the model"
        ),
        "h -1 to 0.9922, imposed by the model",
        "c -3.25 to 4, settled after 512 frames",
        "d 0 to 70.5, had not settled",
    ]


def test_no_control_sequence_of_a_file_reaches_the_terminal() -> None:
    assert _printable("a\x1b[31mb") == "a\\x1b[31mb"


def test_what_is_no_artifact_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"not a model" * 99)
    result = CliRunner().invoke(framestep, ["inspect", str(tmp_path / "a.tflite")])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
