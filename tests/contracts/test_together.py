"""Interpreters and TensorFlow in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ARTIFACT = Path(__file__).resolve().parents[1] / "golden/gru-float32.tflite"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ends at Python 3.11")
def test_tflite_runtime_after_tensorflow_is_refused_and_does_not_crash() -> None:
    done = python(
        f"import tensorflow\nfrom runtime.engine import Engine\nEngine.open({str(ARTIFACT)!r}, interpreter='tflite')"
    )
    assert done.returncode == 1
    assert "tflite-runtime: TensorFlow was imported before it" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ends at Python 3.11")
def test_tflite_runtime_works_in_a_command_that_needs_tensorflow() -> None:
    done = python(
        "from toolkit.cli.tensorflow import load_tensorflow\nload_tensorflow()\n"
        f"from runtime.engine import Engine\nEngine.open({str(ARTIFACT)!r}, interpreter='tflite')"
    )
    assert done.returncode == 0, done.stderr
