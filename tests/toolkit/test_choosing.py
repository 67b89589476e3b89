from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.errors import ConfigError
from runtime.spec import DecisionSpec, ResetSpec
from toolkit.data.dataset import Clip, Dataset, LabelledStream
from toolkit.data.streams import segments_of
from toolkit.evaluation.validation import MOST_FRAMES, ValidationStream, validation_stream
from toolkit.training.choosing import ChoosingConfig, Chosen, _simplest, choose, store_decision
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt


LABELS = ("a", "b")


class Scripted:
    """Says the class that stands in a frame's first pixel where it knows it, and else always `a`.

    Args:
        knows: whether it does, so many frames after the last reset.
    """

    def __init__(self, knows: Callable[[int], bool]) -> None:
        self._knows = knows
        self._since = 0

    def reset(self) -> None:
        self._since = 0

    def predict(
        self, frames: npt.NDArray[np.uint8], resets: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        rows = []
        for i, frame in enumerate(frames):
            if resets is not None and resets[i]:
                self._since = 0
            rows.append(np.eye(2, dtype=np.float32)[int(frame[0, 0, 0]) if self._knows(self._since) else 0])
            self._since += 1
        return np.stack(rows)


@pytest.fixture(scope="module")
def validation() -> ValidationStream:
    """Clips of 40 frames, the class in every pixel."""
    clips = tuple(
        Clip(name=str(i), label=i % 2, group=str(i), frames=np.full((40, 1, 1, 1), i % 2, np.uint8)) for i in range(24)
    )
    return validation_stream(Dataset(labels=LABELS, fps=15.0, clips=clips))


def chosen(validation: ValidationStream, knows: Callable[[int], bool], reset: str = "auto") -> Chosen:
    return choose(Scripted(knows), validation, LABELS, fps=15.0, config=ChoosingConfig(reset=reset), clip_frames=40)


def row(found: Chosen, reset: str) -> dict[str, Any]:
    rows = [each for each in found.results["resets"] if each["reset"] == reset]
    assert len(rows) == 1
    return dict(rows[0])


def test_a_model_that_loses_its_way_is_reset_in_turns(validation: ValidationStream) -> None:
    found = chosen(validation, lambda since: since < 20)
    assert found.reset == ResetSpec(policy="every", every_frames=20)
    assert row(found, "every:20")["frame_accuracy_settled"] == 1.0
    assert row(found, "gap")["frame_accuracy_settled"] < 0.6


def test_the_longest_turn_that_does_is_taken(validation: ValidationStream) -> None:
    assert chosen(validation, lambda since: since < 90).reset.every_frames == 80


def test_among_turns_the_best_is_taken_however_little_it_is_better() -> None:
    policies = [ResetSpec(policy="gap"), *(ResetSpec(policy="every", every_frames=turn) for turn in (64, 32, 16))]
    assert _simplest(policies, [(0.4, 0.1), (0.2, 0.1), (0.04, 0.06), (0.0, 0.0)]) == 3
    assert _simplest(policies, [(0.05, 0.1), (0.2, 0.1), (0.04, 0.06), (0.0, 0.0)]) == 0


def test_half_a_point_is_not_worth_a_reset_however_sure_it_is() -> None:
    policies = [ResetSpec(policy="gap"), ResetSpec(policy="every", every_frames=16), ResetSpec(policy="event")]
    assert _simplest(policies, [(0.004, 0.001), (0.0, 0.0), (0.1, 0.0)]) == 0
    assert _simplest(policies, [(0.006, 0.001), (0.0, 0.0), (0.1, 0.0)]) == 1


def test_a_model_that_must_settle_is_left_alone(validation: ValidationStream) -> None:
    found = chosen(validation, lambda since: since > 15)
    assert found.reset == ResetSpec(policy="gap")
    assert row(found, "gap")["chosen"] is True
    assert row(found, "every:20")["behind"] > 0.3


def test_a_model_to_which_resets_do_nothing_gets_the_simplest_policy(validation: ValidationStream) -> None:
    found = chosen(validation, lambda _: True)
    assert found.reset == ResetSpec(policy="gap")
    assert {each["behind"] for each in found.results["resets"]} == {0.0}


@pytest.mark.parametrize(
    ("text", "reset"),
    [
        ("never", ResetSpec(policy="never")),
        ("gap", ResetSpec(policy="gap")),
        ("event", ResetSpec(policy="event")),
        ("every:7", ResetSpec(policy="every", every_frames=7)),
    ],
)
def test_a_policy_that_the_user_fixes_is_taken_and_measured_beside_the_others(
    validation: ValidationStream, text: str, reset: ResetSpec
) -> None:
    found = chosen(validation, lambda since: since < 20, text)
    assert found.reset == reset
    assert row(found, text)["chosen"] is True
    assert row(found, "every:20")["chosen"] is False


@pytest.mark.parametrize("text", ["every", "every:0", "sometimes", ""])
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be auto, never, gap, event or every:N"):
        ChoosingConfig(reset=text)


def test_a_model_without_states_is_not_tried_with_resets(validation: ValidationStream) -> None:
    found = choose(Scripted(lambda _: True), validation, LABELS, fps=15.0, config=ChoosingConfig(), clip_frames=None)
    assert [each["reset"] for each in found.results["resets"]] == ["gap"]


def test_the_decision_is_fitted_under_the_policy_that_was_chosen(validation: ValidationStream) -> None:
    events = chosen(validation, lambda since: since < 20).results["events"]
    assert (events["met"], events["fitted"]["recall"]) == (True, 1.0)
    assert events["fitted"]["false_alarms_per_hour"] == 0
    assert events["fitted"]["delay_frames"] <= events["default"]["delay_frames"]


def test_what_was_measured_is_plain_json(validation: ValidationStream) -> None:
    results = chosen(validation, lambda _: True).results
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_clips_come_in_several_rounds_and_each_is_a_segment(validation: ValidationStream) -> None:
    assert len(segments_of(validation.stream)) == 72
    assert validation.rounds == pytest.approx(3)
    assert validation.stream.cuts is None


def test_clips_of_one_length_do_not_put_borders_in_step_with_turns(validation: ValidationStream) -> None:
    lengths = {last - first + 1 for first, last, _ in segments_of(validation.stream)}
    assert len(lengths) > 5
    assert min(lengths) >= 30
    assert max(lengths) <= 40


def test_neighbouring_clips_are_of_different_classes(validation: ValidationStream) -> None:
    labels = [label for _, _, label in segments_of(validation.stream)]
    assert sum(one == other for one, other in itertools.pairwise(labels)) == 0


def test_a_class_that_is_left_over_follows_itself() -> None:
    clips = tuple(
        Clip(name=str(i), label=int(i > 4), group=str(i), frames=np.zeros((8, 1, 1, 1), np.uint8)) for i in range(6)
    )
    stream = validation_stream(Dataset(labels=LABELS, fps=15.0, clips=clips)).stream
    assert len(segments_of(stream)) == 18
    assert np.bincount([label for _, _, label in segments_of(stream)]).tolist() == [15, 3]


def test_large_pictures_make_the_stream_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.evaluation.validation.MOST_BYTES", 100)
    clips = (Clip(name="a", label=0, group="a", frames=np.zeros((40, 2, 5, 1), np.uint8)),)
    assert len(validation_stream(Dataset(labels=LABELS, fps=15.0, clips=clips)).stream.frames) == 10


def test_recordings_come_first_with_their_own_segments() -> None:
    labels = np.array([-1, 0, 0, 1, 1, 1])
    recording = LabelledStream(
        name="film", frames=np.zeros((6, 1, 1, 1), np.uint8), labels=labels, segments=((1, 2, 0), (3, 5, 1))
    )
    clips = (Clip(name="a", label=0, group="a", frames=np.zeros((3, 1, 1, 1), np.uint8)),)
    found = validation_stream(Dataset(labels=LABELS, fps=15.0, clips=clips, streams=(recording,)), frames=11)
    assert found.stream.labels.tolist() == [-1, 0, 0, 1, 1, 1, 0, 0, 0, -1, 0]
    assert found.stream.segments == ((1, 2, 0), (3, 5, 1), (6, 8, 0), (10, 10, 0))
    assert found.distinct_frames == 9


def test_the_validation_stream_of_digits_repeats_nothing() -> None:
    from toolkit.data.digits import DigitsConfig, digits_dataset
    from toolkit.data.splits import split

    _, held = split(digits_dataset(DigitsConfig()), seed=0)
    stream = validation_stream(held)
    assert (len(stream.stream.frames), stream.rounds) == (MOST_FRAMES, 1.0)
    assert len(validation_stream(held, frames=500).stream.frames) == 500


def test_digits_keep_their_meaning_in_a_models_own_order_of_labels() -> None:
    from toolkit.data.dataset import DataConfig
    from toolkit.data.digits import LABELS as DIRECTIONS
    from toolkit.data.loading import load_dataset

    turned = tuple(reversed(DIRECTIONS))
    streams = [
        validation_stream(load_dataset(("digits",), DataConfig(width=24, height=24, labels=labels)), frames=200).stream
        for labels in (DIRECTIONS, turned)
    ]
    one, other = (
        [names[label] for label in each.labels] for names, each in zip((DIRECTIONS, turned), streams, strict=True)
    )
    assert one == other


@pytest.mark.usefixtures("converter_in_this_process")
def test_a_conversion_writes_policy_and_decision_into_the_spec(
    finished_bars: Path, bars: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from converters.fidelity import Gate
    from toolkit.conversion import ConversionRequest, convert_run
    from toolkit.training.run_folder import DataRequest

    monkeypatch.setattr(DataRequest, "load", lambda _: bars)
    decision = DecisionSpec(smoothing=0.5, on=0.95, off=0.7, minimum_frames=5, refractory_frames=8)
    run = replace(Run.load(finished_bars), decision=decision, reset=ResetSpec(policy="event"))
    request = ConversionRequest(precision="float32", gate=Gate(min_agreement=0, max_accuracy_drop=1), frames=20)
    spec = convert_run(run, tmp_path / "bars.tflite", request).spec
    assert (spec.decision, spec.reset.policy) == (decision, "event")


def test_a_run_ends_with_a_policy_and_a_decision_that_were_measured(
    finished_bars: Path, bars: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    from toolkit.training.finishing import finish
    from toolkit.training.network import Network

    run = Run.load(finished_bars)
    asked = {**run.training, "choosing": asdict(ChoosingConfig(reset="every:5"))}
    network = Network(run.model(), scale=run.model_config.scale, offset=run.model_config.offset)
    run = finish(replace(run, folder=tmp_path / "run", training=asked), network, *bars, ())
    assert Run.load(tmp_path / "run") == run
    assert run.reset == ResetSpec(policy="every", every_frames=5)
    assert run.decision == DecisionSpec(**run.results["events"]["decision"])
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "| **`every:5`** |" in card
    assert f"on {run.results['events']['stream']} (" in card


def test_a_decision_that_was_fitted_later_is_written_into_run_and_card(finished_bars: Path, tmp_path: Path) -> None:
    import shutil

    run = Run.load(shutil.copytree(finished_bars, tmp_path / "copy"))
    figures = {"recall": 1.0, "precision": None, "delay_frames": 4, "delay_s": 0.25}
    figures |= {"false_alarms_per_hour": 12.0, "false_alarms_per_hour_at_most": 50.0}
    decision: dict[str, Any] = {"smoothing": 0.5, "on": 0.9, "off": 0.8, "minimum_frames": 4, "refractory_frames": 7}
    events = {"stream": "film.mp4", "frames": 900, "distinct_frames": 900, "hours": 1 / 60, "target_per_hour": 30.0}
    events |= {"met": True, "decision": decision, "fitted": figures, "default": figures}
    store_decision(run, events)
    assert Run.load(run.folder).decision == DecisionSpec(**decision)
    card = (run.folder / "README.md").read_text(encoding="utf-8")
    assert "on film.mp4 (900 frames, 60 s that differ)" in card
    assert "| fitted | 1.0000 | – | 12.0 | 50.0 | 4.0 | 0.25 |" in card
