from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import ConfigError
from toolkit.cli import framestep
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: object) -> Any:
    return framestep.main([*map(str, arguments)], "framestep", standalone_mode=False)


def test_a_run_becomes_a_bounded_run(make_film: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label, level in (("dark", 20), ("light", 200)):
        for number in range(4):
            make_film(tmp_path / "films" / label / f"{number}.mp4", frames=8, level=level)
    quick = ("--preset", "tiny", "--epochs", "1", "--no-bound", "--no-baselines", "--window", "8", "--units", "4")
    run, out = tmp_path / "run", tmp_path / "bounded"
    call("train", "--data", tmp_path / "films", "--out", run, "--size", "16x16", *quick)
    capsys.readouterr()
    call("quantize", run, "--out", out, "--epochs", 1, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["run"], told["sparsity"]) == (str(out), None)
    assert 0 <= told["val_accuracy"] <= 1
    bounds = Run.load(out).model_config.bounds
    assert bounds is not None
    assert bounds.c is not None


def test_what_is_no_run_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        call("quantize", tmp_path, "--out", tmp_path / "out")
    assert str(error.value) == f"{tmp_path} is not a finished run: it has no run.json. Name a run folder."
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("eagerly")
def test_a_run_is_not_quantized_into_itself(finished_bars: Path) -> None:
    before = (finished_bars / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="is the run that the new one is made from"):
        call("quantize", finished_bars, "--out", finished_bars, "--force")
    assert (finished_bars / "run.json").read_bytes() == before
