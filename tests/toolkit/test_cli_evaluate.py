from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from toolkit.cli import framestep
from toolkit.data.dataset import DataConfig
from toolkit.data.digits import LABELS
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig
from toolkit.training.run_folder import MODEL_FILE, DataRequest, Run, save_model

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeFilm = Callable[..., Any]

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "lstm-int8.tflite"
STREAM_KEYS = {
    "frame_accuracy",
    "frame_accuracy_settled",
    "segment_accuracy",
    "event_recall",
    "event_precision",
    "false_alarms_per_hour",
    "delay_frames",
    "delay_s",
    "decision",
}


def answer(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(framestep, ["evaluate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def failure(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(framestep, ["evaluate", *map(str, arguments)])
    return result.exit_code, result.stderr


@pytest.fixture
def clips(tmp_path: Path, make_film: MakeFilm) -> Path:
    """Of the golden artifact's labels `still` and `left`."""
    for label in ("still", "left"):
        for number in range(3):
            make_film(tmp_path / "clips" / label / f"{number}.mp4", level=40 * number)
    return tmp_path / "clips"


@pytest.fixture
def recording(tmp_path: Path, make_film: MakeFilm) -> Path:
    make_film(tmp_path / "recording" / "stream.mp4", frames=20)
    rows = "start_frame,end_frame,label\n0,9,still\n10,19,left\n"
    (tmp_path / "recording" / "stream.csv").write_text(rows)
    return tmp_path / "recording" / "stream.mp4"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model was never trained."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    folder.mkdir()
    config = ModelConfig(preset="tiny", width=24, height=24, classes=4)
    save_model(build_model(config), folder / MODEL_FILE)
    data = DataRequest(sources=("digits",), config=DataConfig(width=24, height=24), seed=5)
    Run(folder=folder, name="digits", model_config=config, labels=LABELS, fps=15, data=data).save()
    return folder


def test_an_artifact_is_evaluated_on_all_clips_of_a_folder(clips: Path) -> None:
    found = answer(GOLDEN, "--data", clips)
    assert (found["clips"], found["part"]) == (6, "all")
    assert found["labels"] == ["still", "left", "right", "both"]
    assert [sum(row) for row in found["confusion"]] == [3, 3, 0, 0]
    assert found["accuracy"] == sum(found["confusion"][i][i] for i in range(4)) / 6


def test_nobody_knows_which_part_was_held_out_from_an_artifact(clips: Path) -> None:
    code, words = failure(GOLDEN, "--data", clips, "--part", "validation")
    assert code == 1
    assert f"Nobody knows which part of {clips} was held out. Name the run that was trained on it with --like" in words


def test_a_pair_of_classes_is_told_apart(clips: Path) -> None:
    assert set(answer(GOLDEN, "--data", clips, "--pair", "still,left")["pairs"]) == {"still,left"}


def test_a_pair_of_unknown_classes_is_wrong_usage(clips: Path) -> None:
    code, words = failure(GOLDEN, "--data", clips, "--pair", "still,up")
    assert code == 2
    assert "name two of still, left, right, both" in words


def test_an_artifact_is_evaluated_on_a_recording(recording: Path) -> None:
    found = answer(GOLDEN, "--stream", recording, "--segments", recording.with_suffix(".csv"))
    assert set(found) >= STREAM_KEYS
    assert (found["frames"], found["segments"], found["resets"]) == (20, 2, 0)


def test_a_recordings_folder_is_data_as_well(recording: Path) -> None:
    assert answer(GOLDEN, "--data", recording.parent) == answer(GOLDEN, "--stream", recording)


def test_a_run_tells_whether_it_was_trained_on_a_recording(recording: Path, run: Path) -> None:
    from toolkit.evaluation.subject import open_subject

    subject = open_subject(run)
    assert subject.run is not None
    data = replace(subject.run.data, sources=(str(recording.parent), "digits"))
    trained = replace(subject, run=replace(subject.run, data=data))
    assert subject.trained_on(recording) is False
    assert trained.trained_on(recording) is True
    assert replace(subject, run=None).trained_on(recording) is None


def test_resets_at_the_borders_are_counted(recording: Path) -> None:
    assert answer(GOLDEN, "--stream", recording, "--reset", "borders")["resets"] == 1


def test_windows_are_stepped_anew_for_every_frame(recording: Path) -> None:
    found = answer(GOLDEN, "--stream", recording, "--reset", "window:4")
    assert (found["reset"], found["resets"], found["frames"]) == ("window:4", 20, 20)


def test_a_folder_with_a_stream_is_a_stream(recording: Path) -> None:
    assert answer(GOLDEN, "--stream", recording.parent) == answer(GOLDEN, "--stream", recording)


def test_digits_go_on_as_long_as_they_are_asked_for(run: Path) -> None:
    found = answer(run, "--stream", "digits", "--frames", 700)
    assert (found["frames"], found["trained_on"]) == (700, False)
    assert found["stream"] == "moving digits, 448 images, seed 2"


def test_what_a_run_held_out_is_a_stream(run: Path) -> None:
    held, digits = (answer(run, "--stream", name, "--frames", 300) for name in ("validation", "digits"))
    assert held == digits


def test_what_was_held_out_from_an_artifact_nobody_knows() -> None:
    code, words = failure(GOLDEN, "--stream", "validation")
    assert code == 1
    assert "Nobody knows what was held out from an artifact. Name the run with --like." in words


def test_a_decision_is_fitted_on_a_recording(recording: Path) -> None:
    fit = answer(GOLDEN, "--stream", recording, "--fit-decision", "--false-alarms-per-hour", 10000)["fit"]
    assert set(fit["decision"]) == {"smoothing", "on", "off", "minimum_frames", "refractory_frames"}
    assert (fit["target_per_hour"], fit["frames"], fit["stream"]) == (10000, 20, str(recording))
    assert fit["met"] == (fit["fitted"]["false_alarms_per_hour"] <= 10000)


def test_people_are_told_what_a_short_stream_can_say(recording: Path) -> None:
    result = CliRunner().invoke(framestep, ["evaluate", str(GOLDEN), "--stream", str(recording), "--fit-decision"])
    assert "Of its 1 s that differ, one false alarm is 2700.0 an hour" in result.stdout


def test_a_fitted_decision_is_stored_only_where_that_is_asked_for(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    path = copy / "run.json"
    path.write_text(path.read_text().replace('"results": {}', '"results": {"val_accuracy": 0.5}'))
    before = path.read_text()
    asked = (copy, "--stream", "digits", "--frames", 400, "--fit-decision")
    decision = answer(*asked)["fit"]["decision"]
    assert path.read_text() == before
    answer(*asked, "--store")
    assert asdict(Run.load(copy).decision) == decision
    assert answer(copy, "--stream", "digits", "--frames", 300)["decision"] == decision
    assert "moving digits, 448 images, seed 2 (400 frames" in (copy / "README.md").read_text()


def test_a_recording_without_segments_is_an_error(recording: Path) -> None:
    recording.with_suffix(".csv").unlink()
    code, words = failure(GOLDEN, "--stream", recording)
    assert code == 1
    assert "has no labels. Name a CSV start_frame,end_frame,label with --segments." in words


def test_people_get_a_table(clips: Path) -> None:
    result = CliRunner().invoke(framestep, ["evaluate", str(GOLDEN), "--data", str(clips)])
    assert result.stdout.startswith("accuracy")
    assert "is \\ was called" in result.stdout


def test_a_run_is_evaluated_on_the_digits_that_it_held_out(run: Path) -> None:
    own, named = answer(run), answer(run, "--data", "digits")
    assert (own["clips"], own["part"]) == (448, "validation")
    assert own == named


def test_an_artifacts_part_is_that_of_the_run_that_is_named(run: Path) -> None:
    from toolkit.evaluation.subject import load_part, open_subject

    like = Run.load(run)
    subject = open_subject(run)
    held, part = load_part(subject, (), part=None, like=like)
    assert part == "validation"
    assert [clip.name for clip in held.clips] == [clip.name for clip in like.validation_dataset().clips]


def made_of(run: Path, folder: Path, labels: tuple[str, ...], *sources: str) -> Path:
    """A run of other data; its model was never trained."""
    old = Run.load(Path(shutil.copytree(run, folder)))
    config = replace(old.data.config, labels=labels, fps=15.0)
    replace(old, name=folder.name, labels=labels, data=replace(old.data, sources=sources, config=config)).save()
    return folder


@pytest.fixture
def united(clips: Path, recording: Path, run: Path, tmp_path: Path) -> Path:
    """A run of clips and a recording."""
    return made_of(run, tmp_path / "united", ("still", "left", "right", "both"), str(clips), str(recording.parent))


def held_names(run: Path) -> list[str]:
    return [clip.name for clip in Run.load(run).validation_dataset().clips]


def test_of_some_of_a_runs_own_sources_what_it_held_out_is_taken(united: Path, clips: Path) -> None:
    held = [name for name in held_names(united) if name.startswith(str(clips))]
    assert 0 < len(held) < 6
    found = answer(united, "--data", clips)
    assert (found["part"], found["clips"]) == ("validation", len(held))
    everything = answer(united, "--data", clips, "--part", "all")
    assert (everything["part"], everything["clips"]) == ("all", 6)


def test_of_an_artifact_s_too_where_its_run_is_named(united: Path, clips: Path) -> None:
    path = united / "run.json"
    path.write_text(path.read_text().replace('"width": 24', '"width": 16').replace('"height": 24', '"height": 12'))
    held = [name for name in held_names(united) if name.startswith(str(clips))]
    found = answer(GOLDEN, "--like", united, "--data", clips)
    assert (found["part"], found["clips"]) == ("validation", len(held))
    assert answer(GOLDEN, "--like", united, "--data", clips, "--part", "all")["clips"] == 6


def test_people_are_told_that_only_what_was_held_out_is_taken(united: Path, clips: Path) -> None:
    words = f"Of {clips} only what united held out is taken; --part all takes everything."
    result = CliRunner().invoke(framestep, ["evaluate", str(united), "--data", str(clips)])
    assert words in result.stderr
    result = CliRunner().invoke(framestep, ["evaluate", str(united), "--data", str(clips), "--part", "all"])
    assert "held out" not in result.stderr


def test_digits_that_a_run_was_trained_on_with_others_are_those_that_it_held_out(
    clips: Path, run: Path, tmp_path: Path
) -> None:
    (clips / "still").rename(clips / "right")
    mixed = made_of(run, tmp_path / "mixed", LABELS, str(clips), "digits")
    held = [name for name in held_names(mixed) if not name.startswith(str(clips))]
    assert 0 < len(held) < len(held_names(mixed))
    assert answer(mixed, "--data", "digits")["clips"] == len(held)


@pytest.mark.parametrize("asked", ["the run", "an artifact like it"])
def test_a_recording_that_a_run_held_nothing_out_of_is_taken_with_a_word(
    united: Path, recording: Path, asked: str
) -> None:
    arguments = (united,) if asked == "the run" else (GOLDEN, "--like", united)
    asking = ["evaluate", *map(str, arguments), "--data", str(recording.parent)]
    result = CliRunner().invoke(framestep, asking)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("this tells little of what it can do.") == 1
    result = CliRunner().invoke(framestep, [*asking, "--part", "validation"])
    assert result.exit_code == 1
    assert f"united held out nothing of {recording.parent}. Name all that it was trained on" in result.stderr


def test_own_data_beside_other_data_is_taken_with_a_word(united: Path, clips: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(clips, tmp_path / "other"))
    result = CliRunner().invoke(framestep, ["evaluate", str(united), "--data", str(clips), "--data", str(other)])
    assert result.exit_code == 0, result.stderr
    assert f"{clips} is among what united was trained on: this tells little of what it can do." in result.stderr


def test_labels_that_the_model_does_not_know_are_an_error(clips: Path) -> None:
    (clips / "left").rename(clips / "sideways")
    code, words = failure(GOLDEN, "--data", clips)
    assert (code, words.count("framestep: ")) == (1, 1)
    assert "has the label sideways, which the model does not know" in words


@pytest.mark.parametrize(
    "arguments",
    [
        (GOLDEN,),
        (GOLDEN, "--data", "digits", "--stream", "a.mp4"),
        (GOLDEN, "--data", "digits", "--segments", "a.csv"),
        (GOLDEN, "--data", "digits", "--fit-decision"),
        (GOLDEN, "--stream", "digits", "--false-alarms-per-hour", "9"),
        (GOLDEN, "--stream", "digits", "--fit-decision", "--store"),
        (GOLDEN, "--stream", "digits", "--fit-decision", "--reset", "borders"),
        (GOLDEN, "--stream", "digits", "--reset", "window:0"),
        (GOLDEN, "--stream", "digits", "--reset", "sometimes"),
    ],
)
def test_half_a_question_is_wrong_usage(arguments: tuple[object, ...]) -> None:
    assert failure(*arguments)[0] == 2


def test_what_is_neither_run_nor_artifact_is_one_line_and_status_1(tmp_path: Path) -> None:
    code, words = failure(tmp_path / "nothing.tflite", "--data", "digits")
    assert (code, words.count("framestep: ")) == (1, 1)
