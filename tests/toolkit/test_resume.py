from __future__ import annotations

import errno
import gc
import json
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.errors import ConfigError
from toolkit.training import loop
from toolkit.training.checkpoints import Checkpoint
from toolkit.training.run_folder import Run
from toolkit.training.session import train_run

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.training.session import TrainRequest


class Stopper(loop.Silent):
    """Presses Ctrl-C after a step of a phase."""

    def __init__(self, phase: str, epoch: int, step: int) -> None:
        self._place = (phase, epoch, step)

    def step(self, *, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        del epochs, steps
        if (phase, epoch, step) == self._place:
            raise KeyboardInterrupt


def weights_of(folder: Path) -> list[Any]:
    weights: list[Any] = Run.load(folder).model().get_weights()
    return weights


def test_a_training_stopped_anywhere_ends_with_the_same_weights(
    bars_request: TrainRequest, finished_bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Written after every step, a checkpoint also stands within an epoch.
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.0)
    out = tmp_path / "stopped"
    places = [("train", 2, 1), ("bounded", 1, 1)]
    for number, place in enumerate(places):
        with pytest.raises(KeyboardInterrupt):
            train_run(bars_request, out, resume=number > 0, watcher=Stopper(*place))
        assert not (out / "run.json").exists()
    run = train_run(bars_request, out, resume=True)
    for one, other in zip(weights_of(out), weights_of(finished_bars), strict=True):
        np.testing.assert_array_equal(one, other)
    assert run.results == Run.load(finished_bars).results
    assert run.baselines == Run.load(finished_bars).baselines


def test_a_stop_within_an_epoch_goes_back_to_the_last_checkpoint(
    bars_request: TrainRequest, finished_bars: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    for resume, place in ((False, ("train", 2, 1)), (True, ("bounded", 1, 1))):
        with pytest.raises(KeyboardInterrupt):
            train_run(bars_request, out, resume=resume, watcher=Stopper(*place))
    mine, theirs = (Checkpoint.load(folder / "checkpoints" / "train.npz").arrays for folder in (out, finished_bars))
    for name in ("weights", "optimizer", "averages", "states"):
        for one, other in zip(mine[name], theirs[name], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("eagerly")
def test_resuming_with_other_settings_names_them(bars_request: TrainRequest, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_run(bars_request, tmp_path / "run", watcher=Stopper("train", 1, 1))
    other = replace(bars_request, train=replace(bars_request.train, learning_rate=0.5))
    with pytest.raises(ConfigError, match=r"train.learning_rate was 0.01, is 0.5\. Use the same ones with --resume"):
        train_run(other, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "checkpoints").is_dir()


@pytest.mark.usefixtures("eagerly")
def test_a_full_disk_leaves_the_checkpoint_before(
    bars_request: TrainRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []

    def full(self: Checkpoint, path: Path) -> None:
        saves.append(self.meta["epoch"])
        if len(saves) > 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(self, path)

    save = Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train_run(bars_request, tmp_path / "run")
    assert Checkpoint.load(tmp_path / "run" / "checkpoints" / "train.npz").meta["epoch"] == 1


def test_a_checkpoint_that_finds_no_room_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    checkpoint = Checkpoint(meta={}, arrays={"weights": [np.zeros(50_000)]})
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*train\.npz"):
            checkpoint.save(tmp_path / "train.npz")
        gc.collect()  # whatever is freed must not raise again
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    arrays: dict[str, list[Any]] = {
        "weights": [np.arange(i, dtype=np.float32) for i in range(12)],
        "best": [np.ones((2, 2))],
    }
    Checkpoint(meta={"epoch": 3}, arrays=arrays).save(tmp_path / "a" / "b.npz")
    loaded = Checkpoint.load(tmp_path / "a" / "b.npz")
    assert loaded.meta == {"epoch": 3}
    for name, given in arrays.items():
        for one, other in zip(loaded.arrays[name], given, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_damaged_checkpoint_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ConfigError, match="cannot be read as a checkpoint"):
        Checkpoint.load(tmp_path / "train.npz")


@pytest.mark.usefixtures("eagerly")
def test_the_settings_of_an_interrupted_run_are_json(bars_request: TrainRequest, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_run(bars_request, tmp_path / "run", watcher=Stopper("train", 1, 1))
    saved = json.loads((tmp_path / "run" / "checkpoints" / "settings.json").read_text(encoding="utf-8"))
    assert saved["request"]["train"]["seed"] == 3
