"""Accuracy on a labelled recording, stepped through from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from converters.resets import resets_of
from converters.stream import NO_LABEL
from runtime.decision import Decision
from runtime.errors import DatasetError
from runtime.spec import DecisionSpec, ResetSpec
from toolkit.data.streams import segments_of
from toolkit.evaluation.events import EventScore, score_events

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from runtime.decision import Event
    from toolkit.data.dataset import LabelledStream
    from toolkit.evaluation.predictors import Predictor

ResetChoice: TypeAlias = Literal["spec", "never", "borders"]
"""When states go back: as the spec says, not at all, or where a true segment begins (which no device knows)."""

_CHUNK_FRAMES = 512


@dataclass(frozen=True, kw_only=True)
class StreamResult:
    """What a model said of a recording.

    Attributes:
        frames: the recording's length.
        frame_accuracy: the fraction of labelled frames whose argmax is right.
        segment_accuracy: the fraction of segments that most of their frames are called rightly.
        per_class: each class's fraction of frames called right; None of a class without frames.
        confusion: frames of the class of the row that were called the class of the column.
        events: see `EventScore`.
        resets: how often the states went back.
        probabilities: float32 [frames, classes].
    """

    frames: int
    frame_accuracy: float
    segment_accuracy: float
    per_class: dict[str, float | None]
    confusion: tuple[tuple[int, ...], ...]
    events: EventScore
    resets: int
    probabilities: npt.NDArray[np.float32]


def evaluate_stream(
    predictor: Predictor,
    stream: LabelledStream,
    labels: tuple[str, ...],
    *,
    fps: float,
    choice: ResetChoice = "spec",
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
        reset: the spec's policy; the default's where none is given.
        decision: how probabilities become events; the default's where none is given.
        progress: told the number of frames done.

    Raises:
        DatasetError: where the recording has no labels.
    """
    segments = segments_of(stream)
    if not segments:
        raise DatasetError(f"{stream.name} has no labels. Name a CSV start_frame,end_frame,label with --segments.")
    policy = (reset or ResetSpec()) if choice == "spec" else ResetSpec(policy="never")
    decider = Decision(decision or DecisionSpec(), labels)
    walk = _Walk(predictor, stream, decider, policy, _planned(stream, policy, choice))
    walk.run(progress)
    truth, chosen = stream.labels, walk.probabilities.argmax(axis=1)
    known = truth != NO_LABEL
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth[known], chosen[known]), 1)
    totals, right = confusion.sum(axis=1).tolist(), confusion.diagonal().tolist()
    majority = [
        int(np.bincount(chosen[first : last + 1], minlength=len(labels)).argmax()) == label
        for first, last, label in segments
    ]
    named = [(first, last, labels[label]) for first, last, label in segments]
    return StreamResult(
        frames=len(chosen),
        frame_accuracy=sum(right) / sum(totals),
        segment_accuracy=sum(majority) / len(majority),
        per_class={label: right[i] / totals[i] if totals[i] else None for i, label in enumerate(labels)},
        confusion=tuple(map(tuple, confusion.tolist())),
        events=score_events(walk.events, named, frames=len(chosen), fps=fps),
        resets=walk.resets,
        probabilities=walk.probabilities,
    )


def _planned(stream: LabelledStream, policy: ResetSpec, choice: ResetChoice) -> npt.NDArray[np.bool_]:
    """Before which frames the states go back, as far as that is known beforehand."""
    planned = resets_of(policy, 0, len(stream.frames))
    if choice == "borders":
        planned[[first for first, _, _ in segments_of(stream) if first > 0]] = True
    elif policy.policy != "never" and stream.cuts is not None:
        # Of a film a cut is known only where its own times have a gap.
        planned |= stream.cuts
    return planned


class _Walk:
    """Steps and decides; where an event's end resets, frame by frame, else in chunks."""

    def __init__(
        self,
        predictor: Predictor,
        stream: LabelledStream,
        decision: Decision,
        policy: ResetSpec,
        planned: npt.NDArray[np.bool_],
    ) -> None:
        self._predictor, self._stream, self._decision = predictor, stream, decision
        self._at_events = policy.policy == "event"
        self._planned = planned
        self.events: list[Event] = []
        self.resets = 0
        self.probabilities = np.zeros((0, 0), np.float32)

    def run(self, progress: Callable[[int], None]) -> None:
        self._predictor.reset()
        parts = []
        size = 1 if self._at_events else _CHUNK_FRAMES
        ended = False
        for start in range(0, len(self._stream.frames), size):
            frames = self._stream.frames[start : start + size]
            resets = self._planned[start : start + size].copy()
            resets[0] |= ended
            probabilities = self._predictor.predict(frames, resets)
            ended = self._decide(start, probabilities, resets) and self._at_events
            parts.append(probabilities)
            progress(start + len(frames))
        self.events.extend(self._decision.finish())
        self.probabilities = np.concatenate(parts)

    def _decide(self, start: int, probabilities: npt.NDArray[np.float32], resets: npt.NDArray[np.bool_]) -> bool:
        """Tell whether an event ended."""
        ended = False
        for i, (row, reset) in enumerate(zip(probabilities, resets, strict=True)):
            if reset:
                self.resets += 1
                self._decision.reset()
            events = self._decision.update(start + i, row).events
            self.events.extend(events)
            ended |= bool(events)
        return ended
