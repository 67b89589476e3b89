from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.errors import ConfigError
from runtime.spec import DecisionSpec, InputSpec, ResetSpec
from toolkit.training.run_folder import Run, save_model
from toolkit.training.session import check_folder, train_run

if TYPE_CHECKING:
    from toolkit.training.session import TrainRequest


@pytest.fixture
def copy(finished_bars: Path, tmp_path: Path) -> Path:
    """A finished run that a test may spoil."""
    return Path(shutil.copytree(finished_bars, tmp_path / "copy"))


def test_a_run_has_its_files(finished_bars: Path) -> None:
    names = {path.name for path in finished_bars.iterdir()}
    assert names == {"model.keras", "run.json", "history.csv", "history.png", "README.md", "checkpoints"}


def test_a_run_says_what_a_conversion_asks(finished_bars: Path) -> None:
    run = Run.load(finished_bars)
    assert run.labels == ("right", "left")
    assert run.fps == 15
    assert run.input_spec == InputSpec(height=16, width=16, channels=1, colour="gray")
    assert run.reset == ResetSpec(policy="gap")
    assert run.model().input_shape == (None, None, 16, 16, 1)
    assert run.model_config.bounds is not None
    assert 0 <= run.val_accuracy <= 1


def test_a_run_read_and_written_again_is_the_same(copy: Path) -> None:
    before = (copy / "run.json").read_text(encoding="utf-8")
    Run.load(copy).save()
    assert (copy / "run.json").read_text(encoding="utf-8") == before


def test_the_confusion_agrees_with_the_accuracy(finished_bars: Path) -> None:
    run = Run.load(finished_bars)
    confusion = np.array(run.results["confusion"])
    assert confusion.sum() == run.results["clips_held"] == 8
    assert np.trace(confusion) / confusion.sum() == run.val_accuracy


def test_the_history_has_a_line_for_each_epoch_of_each_phase(finished_bars: Path) -> None:
    with (finished_bars / "history.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["phase"], line["epoch"]) for line in lines] == [("train", "1"), ("train", "2"), ("bounded", "1")]


def test_the_card_begins_with_a_header_and_tells_figures_and_command(finished_bars: Path) -> None:
    card = (finished_bars / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: framestep\n")
    run = Run.load(finished_bars)
    assert f"| this model | {run.val_accuracy:.4f} |" in card
    for key, words in (("single_frame", "single frames"), ("shuffled_order", "frames in any order")):
        assert f"{words} | {run.baselines[key]:.4f} |" in card
    assert "`framestep train --data bars`" in card


def test_both_accuracies_of_the_bounding_are_told(finished_bars: Path) -> None:
    training = Run.load(finished_bars).training
    assert training["bounded"]["percentile"] == 99.5
    assert {"val_accuracy_unbounded", "val_accuracy_bounded"} <= training.keys()


@pytest.mark.usefixtures("eagerly")
def test_whole_clips_ask_for_a_reset_every_clip(bars_request: TrainRequest, tmp_path: Path) -> None:
    request = replace(bars_request, stateful=False, bounding=None, baseline_share=0)
    run = train_run(request, tmp_path / "run")
    assert run.reset == ResetSpec(policy="every", every_frames=9)
    assert run.baselines == {"single_frame": None, "shuffled_order": None}


def test_a_run_of_before_decisions_were_fitted_has_the_default(copy: Path) -> None:
    path = copy / "run.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    del plain["decision"]
    path.write_text(json.dumps(plain), encoding="utf-8")
    assert Run.load(copy).decision == DecisionSpec()


def test_a_runs_decision_is_kept(copy: Path) -> None:
    decision = DecisionSpec(smoothing=0.1, on=0.9, off=0.2, minimum_frames=7, refractory_frames=15)
    replace(Run.load(copy), decision=decision).save()
    assert Run.load(copy).decision == decision


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: (path / "run.json").write_text("{"), "cannot be read"),
        (lambda path: (path / "run.json").write_text('{"format": 1}'), "it lacks 'data'"),
        (lambda path: (path / "run.json").write_text('{"format": 99}'), "has format 99; this framestep reads 1"),
        (lambda path: (path / "run.json").unlink(), "not a finished run: it has no run.json. Finish it with --resume"),
        (lambda path: (path / "model.keras").unlink(), "it has no model.keras"),
        (shutil.rmtree, "is not a folder"),
    ],
)
def test_a_spoilt_run_is_told_in_a_sentence(copy: Path, spoil: object, words: str) -> None:
    assert callable(spoil)
    spoil(copy)
    with pytest.raises(ConfigError) as caught:
        Run.load(copy)
    assert words in str(caught.value)


def test_a_finished_run_is_not_written_over(bars_request: TrainRequest, copy: Path) -> None:
    with pytest.raises(ConfigError, match=r"already holds a finished run\. Use --force"):
        train_run(bars_request, copy)


def test_a_folder_of_other_things_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    for force in (False, True):
        with pytest.raises(ConfigError, match="is not empty and is no run"):
            check_folder(tmp_path, resume=False, force=force)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds nothing to resume"):
        check_folder(tmp_path, resume=True, force=False)


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_fails_leaves_no_folder(bars_request: TrainRequest, tmp_path: Path) -> None:
    diverging = replace(bars_request, train=replace(bars_request.train, learning_rate=1e30, warm_up=0))
    with pytest.raises(ConfigError, match="The loss is"):
        train_run(diverging, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"before")

    class Broken:
        def save(self, to: Path) -> None:
            to.write_bytes(b"half")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011  # it has no words
        save_model(Broken(), path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"]


def test_the_file_is_json_with_the_keys_that_people_look_for(finished_bars: Path) -> None:
    plain = json.loads((finished_bars / "run.json").read_text(encoding="utf-8"))
    assert {"format", "name", "model", "labels", "fps", "data", "reset", "decision", "training", "results", "baselines",
            "seconds", "sparsity", "made"} == plain.keys()  # fmt: skip
