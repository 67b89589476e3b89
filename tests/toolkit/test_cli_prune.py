from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from toolkit.cli import framestep
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: object) -> Any:
    return framestep.main([*map(str, arguments)], "framestep", standalone_mode=False)


@pytest.fixture
def run(make_film: Any, tmp_path: Path) -> Path:
    """A run of one epoch."""
    for label, level in (("dark", 20), ("light", 200)):
        for number in range(4):
            make_film(tmp_path / "films" / label / f"{number}.mp4", frames=8, level=level)
    quick = ("--preset", "tiny", "--epochs", "1", "--no-bound", "--no-baselines", "--window", "8", "--units", "16")
    call("train", "--data", tmp_path / "films", "--out", tmp_path / "run", "--size", "16x16", *quick)
    return tmp_path / "run"


def pruned(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    call("prune", *arguments, "--epochs", 1, "--json")
    return json.loads(capsys.readouterr().out)


def test_a_run_becomes_a_sparse_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.with_name("pruned")
    told = pruned(capsys, run, "--out", out, "--sparsity", "0.5", "--schedule", "constant")
    assert told["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert 0 <= told["val_accuracy"] <= 1
    assert told["run"] == str(out)
    assert Run.load(out).sparsity == told["sparsity"]
    assert set(told["kernel_sparsities"].values()) == {0.5}


def test_a_run_loses_channels_and_is_pruned_two_of_four(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smaller = pruned(capsys, run, "--out", run.with_name("smaller"), "--method", "channels", "--sparsity", "0.5")
    assert smaller["multiply_adds"]["after"] <= 0.5 * smaller["multiply_adds"]["before"]
    assert smaller["sparsity"] == 1 - smaller["multiply_adds"]["after"] / smaller["multiply_adds"]["before"]
    assert smaller["widths"]["cell"]["before"] == 16
    assert smaller["narrow"] == [name for name in ("conv1", "conv2") if smaller["widths"][name]["after"] < 8]
    halves = pruned(capsys, run.with_name("smaller"), "--out", run.with_name("halves"), "--method", "2:4")
    assert 0.4 < halves["sparsity"] <= 0.5
    assert halves["multiply_adds"] is None
    card = (run.with_name("halves") / "README.md").read_text(encoding="utf-8")
    assert "1. `run` by `channels`: sparsity 0.5, epochs 1." in card
    assert "2. `smaller` by `2:4`: sparsity 0.5, epochs 1." in card


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "lottery"), "'lottery' is not one of 'magnitude', '2:4', 'channels'"),
        (
            ("--method", "2:4", "--sparsity", "0.8"),
            "--method 2:4 makes two of every four weights zero: --sparsity 0.5, not 0.8.",
        ),
        (
            ("--method", "channels", "--schedule", "constant"),
            "--schedule belongs to --method magnitude, not to channels.",
        ),
        (("--sparsity", "1"), "1.0 is not in the range 0<x<1"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(arguments: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError) as error:
        call("prune", tmp_path, "--out", tmp_path / "out", *arguments)
    assert words in error.value.message
    assert error.value.exit_code == 2
