from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from converters.stream import NO_LABEL
from runtime.artifact import read_artifact
from runtime.decision import Event
from runtime.engine import Engine
from runtime.errors import DatasetError
from runtime.pipeline import Pipeline
from runtime.spec import DecisionSpec, ResetSpec
from runtime.testing import FakeSource, ListSink
from toolkit.data.dataset import Clip, LabelledStream
from toolkit.evaluation.clips import clip_answer, evaluate_clips
from toolkit.evaluation.events import score_events
from toolkit.evaluation.predictors import ArtifactPredictor
from toolkit.evaluation.streams import evaluate_stream
from toolkit.evaluation.walking import planned_resets, walk

if TYPE_CHECKING:
    import numpy.typing as npt

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "lstm-int8.tflite"
LABELS = ("a", "b", "c")
AT_ONCE = DecisionSpec(smoothing=1, on=0.5, off=0.5, minimum_frames=1)


class Scripted:
    """Says the class that stands in a frame's first pixel; and from a 255 on, until a reset, always `c`."""

    def __init__(self) -> None:
        self.stuck = False
        self.seen: list[int] = []

    def reset(self) -> None:
        self.stuck = False

    def predict(
        self, frames: npt.NDArray[np.uint8], resets: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        rows = []
        for i, frame in enumerate(frames):
            if resets is not None and resets[i]:
                self.stuck = False
            value = int(frame[0, 0, 0])
            self.seen.append(value)
            self.stuck = self.stuck or value == 255
            rows.append(np.eye(3, dtype=np.float32)[2 if self.stuck else value])
        return np.stack(rows)


def frames_of(values: list[int]) -> npt.NDArray[np.uint8]:
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


def clip(label: int, *values: int) -> Clip:
    return Clip(name=str(values), label=label, group=str(values), frames=frames_of(list(values)))


def recording(values: list[int], labels: list[int]) -> LabelledStream:
    return LabelledStream(name="film", frames=frames_of(values), labels=np.array(labels, np.int64))


def test_a_clips_answer_is_of_the_mean_over_its_last_half() -> None:
    probabilities = np.array([[1, 0], [1, 0], [0.6, 0.4], [0.1, 0.9]], np.float32)
    assert clip_answer(probabilities) == 1


def test_the_middle_frame_of_an_odd_clip_counts() -> None:
    assert clip_answer(np.array([[1, 0], [1, 0], [0.1, 0.9]], np.float32)) == 0


def test_accuracy_and_confusion_count_clips() -> None:
    clips = [clip(0, 0, 0), clip(0, 1, 1), clip(1, 1, 1), clip(2, 0, 0)]
    result = evaluate_clips(Scripted(), clips, LABELS)
    assert result.accuracy == 0.5
    assert result.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
    assert result.per_class == {"a": 0.5, "b": 1.0, "c": 0.0}
    assert result.answers == (0, 1, 1, 0)


def test_a_class_without_clips_has_no_accuracy() -> None:
    assert evaluate_clips(Scripted(), [clip(0, 0)], LABELS).per_class == {"a": 1.0, "b": None, "c": None}


def test_a_pair_is_judged_among_the_answers_of_the_pair() -> None:
    clips = [clip(0, 0), clip(0, 1), clip(1, 1), clip(1, 2)]
    result = evaluate_clips(Scripted(), clips, LABELS)
    assert result.pair_accuracy("a", "b") == pytest.approx(2 / 3)


def test_states_go_back_before_every_clip() -> None:
    clips = [clip(0, 0, 0, 0), clip(2, 255, 0, 0), clip(1, 1, 1, 1)] * 5
    assert evaluate_clips(Scripted(), clips, LABELS).accuracy == 1


def test_clips_come_in_drawn_order() -> None:
    predictor = Scripted()
    evaluate_clips(predictor, [clip(0, i) for i in (0, 1, 2)] * 10, LABELS, seed=1)
    assert predictor.seen != [0, 1, 2] * 10
    assert sorted(predictor.seen) == sorted([0, 1, 2] * 10)


def test_evaluating_no_clips_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"There are no clips to evaluate on\."):
        evaluate_clips(Scripted(), [], LABELS)


def test_frame_accuracy_counts_labelled_frames_only() -> None:
    stream = recording([0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 1, NO_LABEL])
    result = evaluate_stream(Scripted(), stream, LABELS, fps=15)
    assert result.frame_accuracy == 4 / 5
    assert result.frames == 6


def test_a_segment_is_right_where_most_of_its_frames_are() -> None:
    stream = recording([0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1])
    assert evaluate_stream(Scripted(), stream, LABELS, fps=15).segment_accuracy == 0.5


def test_resets_at_borders_help_a_model_that_sticks() -> None:
    stream = recording([0, 0, 255, 2, 1, 1], [0, 0, 2, 2, 1, 1])
    never = evaluate_stream(Scripted(), stream, LABELS, fps=15, choice="never")
    borders = evaluate_stream(Scripted(), stream, LABELS, fps=15, choice="borders")
    assert (never.frame_accuracy, borders.frame_accuracy) == (4 / 6, 1.0)
    assert (never.resets, borders.resets) == (0, 2)


def test_the_specs_policy_resets_every_so_many_frames() -> None:
    stream = recording([255, 0, 0, 0, 0, 0], [2, 2, 2, 0, 0, 0])
    reset = ResetSpec(policy="every", every_frames=3)
    result = evaluate_stream(Scripted(), stream, LABELS, fps=15, reset=reset)
    assert (result.frame_accuracy, result.resets) == (1.0, 1)


def test_the_specs_policy_resets_where_an_event_ends() -> None:
    stream = recording([0, 0, 255, 1, 1, 1], [0, 0, 2, 1, 1, 1])
    reset = ResetSpec(policy="event")
    result = evaluate_stream(Scripted(), stream, LABELS, fps=15, reset=reset, decision=AT_ONCE)
    # The event `a` ends at frame 2; frame 3 then starts anew.
    assert (result.frame_accuracy, result.resets) == (1.0, 2)


def test_a_recording_without_labels_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"film has no labels\. Name a CSV"):
        evaluate_stream(Scripted(), recording([0], [NO_LABEL]), LABELS, fps=15)


def test_events_of_a_recording_are_those_of_the_decision() -> None:
    stream = recording([0] * 5 + [1] * 5, [0] * 5 + [1] * 5)
    score = evaluate_stream(Scripted(), stream, LABELS, fps=15, decision=AT_ONCE).events
    assert (score.events, score.recall, score.precision, score.delay_frames) == (2, 1.0, 1.0, 0)


def test_settled_frames_are_counted_apart() -> None:
    stream = recording([1] * 12 + [0] * 6 + [1] * 14, [0] * 18 + [1] * 14)
    result = evaluate_stream(Scripted(), stream, LABELS, fps=15)
    assert result.frame_accuracy == 20 / 32
    assert result.frame_accuracy_settled == 1.0


def test_a_window_is_stepped_anew_for_every_frame() -> None:
    stream = recording([0, 255, 1, 1, 1], [0, 2, 2, 1, 1])
    predictor = Scripted()
    result = evaluate_stream(predictor, stream, LABELS, fps=15, choice="window", window=3)
    # 255 makes it stick to `c` while it is in the window.
    assert result.probabilities.argmax(axis=1).tolist() == [0, 2, 2, 2, 1]
    assert predictor.seen == [0, 0, 255, 0, 255, 1, 255, 1, 1, 1, 1, 1]
    assert result.resets == 5


def test_a_turn_counts_from_where_frames_were_missing() -> None:
    cuts = np.zeros(9, np.bool_)
    cuts[[0, 4]] = True
    stream = replace(recording([0] * 9, [0] * 9), cuts=cuts)
    every = ResetSpec(policy="every", every_frames=3)
    assert np.flatnonzero(planned_resets(stream, every)).tolist() == [3, 4, 7]
    assert np.flatnonzero(planned_resets(stream, ResetSpec(policy="gap"))).tolist() == [4]
    assert not planned_resets(stream, ResetSpec(policy="never")).any()


def test_the_delay_is_until_the_event_is_told() -> None:
    score = score_events([Event(label="a", start=3, end=9)], [(0, 9, "a")], frames=10, fps=15, minimum_frames=4)
    assert (score.delay_frames, score.delay_s) == (6, 0.4)


@pytest.mark.parametrize(
    "reset",
    [ResetSpec(policy="gap"), ResetSpec(policy="every", every_frames=7), ResetSpec(policy="event")],
    ids=lambda reset: reset.policy,
)
def test_what_is_evaluated_is_what_the_device_does(reset: ResetSpec) -> None:
    artifact = read_artifact(GOLDEN.with_name("tiny.tflite"))
    decision = DecisionSpec(smoothing=0.5, on=0.6, off=0.5, minimum_frames=2)
    engine = Engine(replace(artifact, spec=replace(artifact.spec, reset=reset, decision=decision)))
    spec, rng = engine.spec, np.random.default_rng(0)
    scenes = rng.integers(0, 256, (10, *spec.input.shape[1:]), np.uint8).repeat(9, axis=0)
    frames = np.clip(scenes.astype(np.int64) + rng.integers(-60, 61, scenes.shape), 0, 255).astype(np.uint8)
    sink = ListSink()
    source = FakeSource.of_pictures(list(frames[..., 0]), fps=spec.fps)
    summary = Pipeline(stepper=engine.stepper(), source=source, sinks=[sink]).run()
    stream = LabelledStream(name="film", frames=frames, labels=np.zeros(len(frames), np.int64))
    planned = planned_resets(stream, reset)
    walked = walk(ArtifactPredictor(engine), frames, spec.labels, decision=decision, policy=reset, planned=planned)
    # records keep six decimals
    shown = np.array([record["probabilities"] for record in sink.frames])
    assert np.allclose(shown, walked.probabilities, atol=6e-7, rtol=0)
    assert sink.events == [{"event": each.label, "start": each.start, "end": each.end} for each in walked.events]
    assert summary.resets == walked.resets.sum()
    assert summary.events > 3
    assert (summary.resets > 0) == (reset.policy != "gap")


def test_a_segment_is_found_where_an_event_of_its_label_starts_in_it() -> None:
    segments = [(0, 9, "a"), (10, 19, "b"), (20, 29, "a")]
    events = [Event(label="a", start=3, end=12), Event(label="b", start=20, end=25), Event(label="a", start=26, end=29)]
    score = score_events(events, segments, frames=30, fps=15)
    assert score.recall == 2 / 3
    assert score.delay_frames == 4.5


def test_a_false_alarm_overlaps_no_segment_of_its_label() -> None:
    segments = [(0, 9, "a"), (10, 19, "b")]
    events = [Event(label="a", start=9, end=15), Event(label="a", start=10, end=15), Event(label="c", start=0, end=19)]
    score = score_events(events, segments, frames=3600 * 15, fps=15)
    assert score.precision == pytest.approx(1 / 3)
    assert score.false_alarms_per_hour == 2


def test_without_events_precision_and_delay_were_not_measured() -> None:
    score = score_events([], [(0, 9, "a")], frames=10, fps=15)
    assert (score.recall, score.precision, score.false_alarms_per_hour, score.delay_frames) == (0.0, None, 0.0, None)


def test_an_artifact_predicts_the_same_in_chunks_and_starts_anew_after_a_reset() -> None:
    engine = Engine.open(GOLDEN)
    shape = engine.spec.input.shape[1:]
    frames = np.random.default_rng(0).integers(0, 256, (6, *shape), np.uint8)
    whole = ArtifactPredictor(engine).predict(frames)
    parts = ArtifactPredictor(engine)
    assert np.array_equal(np.concatenate([parts.predict(frames[:2]), parts.predict(frames[2:])]), whole)
    resets = np.array([False, False, False, True, False, False])
    again = ArtifactPredictor(engine).predict(np.concatenate([frames[:3], frames[:3]]), resets)
    assert np.array_equal(again[3:], whole[:3])
