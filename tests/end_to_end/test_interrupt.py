"""Ctrl-C while an artifact is made or measured: what was there before is there afterwards, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from toolkit.cli import framestep

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "converters" / "wandering.keras"
DATA = ROOT / "tests" / "data" / "gestures"
ENDLESS = 10**7


def interrupted(*arguments: object) -> tuple[int, list[str]]:
    """Run a command until it measures fidelity, and send what Ctrl-C sends; give its status and its words."""
    command = [sys.executable, "-c", "from toolkit.cli import main; main()", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        words = []
        for line in process.stderr:
            words.append(line.rstrip())
            if "measuring fidelity" in line:
                process.send_signal(signal.SIGINT)
                break
        words += process.stderr.read().splitlines()
        return process.wait(timeout=60), words


def test_an_interrupted_conversion_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"the old one")
    status, words = interrupted("convert", MODEL, "-o", path, "--precision", "float32", "--frames", ENDLESS)
    assert (status, words[-1]) == (130, "framestep: Interrupted. What was finished is kept.")
    assert path.read_bytes() == b"the old one"
    assert [each.name for each in tmp_path.iterdir()] == ["a.tflite"]


@pytest.mark.usefixtures("converter_in_this_process")
def test_an_interrupted_verification_leaves_the_artifact(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    made = CliRunner().invoke(framestep, ["convert", str(MODEL), "-o", str(path), "--precision", "float32"])
    assert made.exit_code == 0, made.stderr
    before = path.read_bytes()
    status, words = interrupted("verify", path, "--against", MODEL, "--data", DATA, "--frames", ENDLESS)
    assert (status, words[-1]) == (130, "framestep: Interrupted. What was finished is kept.")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.tflite"]
