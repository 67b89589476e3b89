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


def test_a_run_becomes_a_sparse_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = run.with_name("pruned")
    call("prune", run, "--out", out, "--method", "magnitude", "--sparsity", "0.5", "--epochs", 1, "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert 0 <= told["val_accuracy"] <= 1
    assert told["run"] == str(out)
    assert Run.load(out).sparsity == told["sparsity"]


def test_a_method_that_there_is_not_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="'channels' is not 'magnitude'"):
        call("prune", tmp_path, "--out", tmp_path / "out", "--method", "channels", "--sparsity", "0.5")
