"""What is made of the Pi lab's answers; a stand-in script gives them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from runtime.errors import ConversionError
from toolkit.evaluation.instructions import count_instructions, lab_folder, lab_is_there

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set up a lab whose script does what is said."""
    monkeypatch.setenv("FRAMESTEP_PI_LAB", str(tmp_path))

    def set_up(script: str) -> None:
        path = tmp_path / "count.sh"
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    return set_up


def test_the_count_is_the_one_of_an_invoke(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab('echo "{\\"cpu\\": \\"$3\\", \\"insn_per_invoke\\": 319749, \\"insn_load\\": 5}"')
    assert lab_is_there()
    assert count_instructions(tmp_path / "a.tflite", "cortex-a76") == 319_749


@pytest.mark.parametrize("answer", ["", "no JSON", "[1]", '{"insn_per_invoke": null}', '{"insn_per_invoke": -1}'])
def test_what_is_no_count_is_one_error(lab: Callable[[str], None], tmp_path: Path, answer: str) -> None:
    lab(f"echo '{answer}'")
    with pytest.raises(ConversionError, match=r"^The Pi lab said .*, which is no count\. Run its setup\.sh again"):
        count_instructions(tmp_path / "a.tflite", "cortex-a76")


def test_a_lab_that_fails_is_one_error_with_its_last_words(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab("echo one >&2; echo 'count: the guest ended with status 1' >&2; exit 1")
    with pytest.raises(ConversionError, match=r"^The Pi lab ended with status 1: count: the guest ended with status 1"):
        count_instructions(tmp_path / "a.tflite", "cortex-a76")


def test_a_lab_that_hangs_is_ended_with_its_children(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab("sleep 60 & wait")
    start_s = time.monotonic()
    with pytest.raises(ConversionError, match=r"has not counted a\.tflite within 0\.2 s"):
        count_instructions(tmp_path / "a.tflite", "cortex-a76", limit_s=0.2)
    assert time.monotonic() - start_s < 30


def test_without_a_variable_the_lab_is_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FRAMESTEP_PI_LAB", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lab_folder() == tmp_path / ".cache/framestep-pi-lab"
    assert not lab_is_there()
