from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime.errors import ConfigError
from toolkit.compression.derivation import Origin, Outcome, derive_run, fine_tuning
from toolkit.training.loop import Row
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from toolkit.training.session import TrainRequest


@pytest.fixture
def run(bars_request: TrainRequest, finished_bars: Path) -> Run:
    """A run to make others from."""
    return replace(Run.load(finished_bars), data=bars_request.data)


def unchanged(origin: Origin) -> Outcome:
    return Outcome(
        network=origin.network,
        history=(),
        model_config=origin.run.model_config,
        sparsity=0.25,
        notes={"method": "nothing"},
    )


def interrupted(_: Origin) -> Outcome:
    raise KeyboardInterrupt


def test_the_sparsity_of_a_run_is_that_of_its_file(run: Run, tmp_path: Path) -> None:
    derive_run(run, tmp_path / "new", unchanged)
    loaded = Run.load(tmp_path / "new")
    assert loaded.sparsity == 0
    assert set(loaded.results["kernel_sparsities"].values()) == {0.0}
    assert loaded.results["val_accuracy"] == run.results["val_accuracy"]


def test_the_seconds_of_a_run_are_those_of_all_its_phases(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.training.finishing.time.monotonic", lambda: 1.0)
    row = Row(phase="bounded", epoch=1, rate=0.1, loss=0, accuracy=0, val_loss=None, val_accuracy=None, seconds=3.0)
    rows = (row, replace(row, epoch=2, seconds=7.0), replace(row, phase="bounded 2", seconds=2.0))
    derived = derive_run(run, tmp_path / "new", lambda origin: replace(unchanged(origin), history=rows))
    assert derived.seconds == 9.0


def test_an_interrupt_leaves_the_run_that_was_there(run: Run, tmp_path: Path) -> None:
    derive_run(run, tmp_path / "new", unchanged)
    before = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        derive_run(run, tmp_path / "new", interrupted, force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_an_interrupt_while_it_is_moved_leaves_the_run_that_was_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derive_run(run, tmp_path / "new", unchanged, command="the first")
    rename = Path.rename

    def stopped(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        derive_run(run, tmp_path / "new", unchanged, force=True, command="the second")
    assert Run.load(tmp_path / "new").made["command"] == "the first"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_run_is_replaced_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    derive_run(run, tmp_path / "new", unchanged, command="the first")
    with pytest.raises(ConfigError, match="already holds a finished run"):
        derive_run(run, tmp_path / "new", unchanged)
    derive_run(run, tmp_path / "new", unchanged, force=True, command="the second")
    assert Run.load(tmp_path / "new").made["command"] == "the second"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_run_is_trained_on_with_its_own_settings_at_a_share_of_the_rate(run: Run) -> None:
    train = run.training["train"]
    how = fine_tuning(run, epochs=None, share=0.5, rate=0.25)
    assert (how.epochs, how.learning_rate) == (train["epochs"] / 2, train["learning_rate"] / 4)
    assert (how.batch_size, how.seed) == (train["batch_size"], train["seed"])
    assert fine_tuning(run, epochs=7, share=0.5, rate=0.25).epochs == 7
