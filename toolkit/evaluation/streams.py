"""Accuracy on a labelled recording, stepped through from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from converters.stream import NO_LABEL
from runtime.decision import Decision
from runtime.errors import DatasetError
from runtime.spec import DecisionSpec, ResetSpec
from toolkit.data.streams import segments_of
from toolkit.evaluation.events import EventScore, score_events
from toolkit.evaluation.settling import settled_accuracy
from toolkit.evaluation.walking import Walked, planned_resets, walk, windowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from runtime.decision import Event
    from toolkit.data.dataset import LabelledStream
    from toolkit.data.streams import Segment
    from toolkit.evaluation.predictors import Predictor

ResetChoice: TypeAlias = Literal["spec", "never", "borders", "window"]
"""When states go back: as the spec says, not at all, or where a true segment begins (which no device knows); or the
last so many frames are stepped anew from the initial states for every frame."""


@dataclass(frozen=True, kw_only=True)
class StreamResult:
    """What a model said of a recording.

    Attributes:
        frames: the recording's length.
        frame_accuracy: the fraction of labelled frames whose argmax is right.
        frame_accuracy_settled: see `settled_accuracy`.
        segment_accuracy: the fraction of segments that most of their frames are called rightly.
        per_class: each class's fraction of frames called right; None of a class without frames.
        confusion: frames of the class of the row that were called the class of the column.
        events: see `EventScore`.
        resets: how often the states went back; of windows, as often as there are frames.
        probabilities: float32 [frames, classes].
        reset_at: bool [frames]; before which frames states and running mean went back.
    """

    frames: int
    frame_accuracy: float
    frame_accuracy_settled: float | None
    segment_accuracy: float
    per_class: dict[str, float | None]
    confusion: tuple[tuple[int, ...], ...]
    events: EventScore
    resets: int
    probabilities: npt.NDArray[np.float32]
    reset_at: npt.NDArray[np.bool_]


def evaluate_stream(
    predictor: Predictor,
    stream: LabelledStream,
    labels: tuple[str, ...],
    *,
    fps: float,
    choice: ResetChoice = "spec",
    window: int | None = None,
    reset: ResetSpec | None = None,
    decision: DecisionSpec | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> StreamResult:
    """Step through a recording.

    Args:
        predictor: what is evaluated; its states go back first.
        stream: labelled.
        labels: the classes.
        fps: the recording's rate as it was loaded.
        choice: see `ResetChoice`.
        window: its length in frames, for the choice `window`.
        reset: the spec's policy; the default's where none is given.
        decision: how probabilities become events; the default's where none is given.
        progress: told the number of frames done.

    Raises:
        DatasetError: where the recording has no labels.
    """
    segments = segments_of(stream)
    if not segments:
        raise DatasetError(f"{stream.name} has no labels. Name a CSV start_frame,end_frame,label with --segments.")
    decision = decision or DecisionSpec()
    if choice == "window":
        probabilities = windowed(predictor, stream.frames, window or 1, progress)
        walked = Walked(
            probabilities=probabilities,
            resets=np.zeros(len(probabilities), np.bool_),
            events=decide(probabilities, labels, decision),
        )
    else:
        policy = (reset or ResetSpec()) if choice == "spec" else ResetSpec(policy="never")
        planned = planned_resets(stream, policy)
        if choice == "borders":
            planned[[first for first, _, _ in segments if first > 0]] = True
        walked = walk(
            predictor,
            stream.frames,
            labels,
            decision=decision,
            policy=policy,
            planned=planned,
            progress=progress,
        )
    score = score_on(walked.events, stream, labels, fps=fps, decision=decision)
    resets = len(stream.frames) if choice == "window" else int(walked.resets.sum())
    return _result(walked, stream, segments, labels, events=score, resets=resets)


def decide(
    probabilities: npt.NDArray[np.float32],
    labels: tuple[str, ...],
    decision: DecisionSpec,
    resets: npt.NDArray[np.bool_] | None = None,
) -> tuple[Event, ...]:
    """Tell the events of probabilities that are there already.

    Args:
        probabilities: float32 [frames, classes].
        labels: the classes.
        decision: how probabilities become events.
        resets: bool [frames], where the running mean is forgotten; None for nowhere.
    """
    decider = Decision(decision, labels)
    events: list[Event] = []
    for i, row in enumerate(probabilities):
        if resets is not None and resets[i]:
            decider.reset()
        events += decider.update(i, row).events
    return (*events, *decider.finish())


def score_on(
    events: Sequence[Event], stream: LabelledStream, labels: tuple[str, ...], *, fps: float, decision: DecisionSpec
) -> EventScore:
    """Match the events that a decision told of a recording with its segments."""
    return score_events(
        events,
        [(first, last, labels[label]) for first, last, label in segments_of(stream)],
        frames=len(stream.frames),
        fps=fps,
        minimum_frames=decision.minimum_frames,
    )


def _result(
    walked: Walked,
    stream: LabelledStream,
    segments: Sequence[Segment],
    labels: tuple[str, ...],
    *,
    events: EventScore,
    resets: int,
) -> StreamResult:
    truth, chosen = stream.labels, walked.probabilities.argmax(axis=1)
    known = truth != NO_LABEL
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth[known], chosen[known]), 1)
    totals, right = confusion.sum(axis=1).tolist(), confusion.diagonal().tolist()
    majority = [
        int(np.bincount(chosen[first : last + 1], minlength=len(labels)).argmax()) == label
        for first, last, label in segments
    ]
    return StreamResult(
        frames=len(chosen),
        frame_accuracy=sum(right) / sum(totals),
        frame_accuracy_settled=settled_accuracy(walked.probabilities, stream),
        segment_accuracy=sum(majority) / len(majority),
        per_class={label: right[i] / totals[i] if totals[i] else None for i, label in enumerate(labels)},
        confusion=tuple(map(tuple, confusion.tolist())),
        events=events,
        resets=resets,
        probabilities=walked.probabilities,
        reset_at=walked.resets,
    )
