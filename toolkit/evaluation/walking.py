"""One stream through a model, the states going back when a policy says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from converters.resets import Walk, resets_of
from runtime.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from runtime.decision import Event
    from runtime.spec import DecisionSpec, ResetSpec
    from toolkit.data.dataset import LabelledStream
    from toolkit.evaluation.predictors import Predictor

_CHUNK_FRAMES = 512

_AHEAD_FRAMES = 32
"""See `Walk`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Walked:
    """What a model said of a stream.

    Attributes:
        probabilities: float32 [frames, classes].
        resets: bool [frames]; before which frames the states went back.
        events: that the decision told.
    """

    probabilities: npt.NDArray[np.float32]
    resets: npt.NDArray[np.bool_]
    events: tuple[Event, ...]


def walk(
    predictor: Predictor,
    frames: npt.NDArray[np.uint8],
    labels: tuple[str, ...],
    *,
    decision: DecisionSpec,
    policy: ResetSpec,
    planned: npt.NDArray[np.bool_],
    progress: Callable[[int], None] = lambda _: None,
) -> Walked:
    """Step through a stream from its beginning to its end.

    Args:
        predictor: its states go back first.
        frames: uint8 [n, height, width, channels].
        labels: the classes.
        decision: how probabilities become events.
        policy: `event` is obeyed here; what else it asks for is in `planned`.
        planned: bool [n]; before which frames the states go back, as far as that is known beforehand.
        progress: told the number of frames done.
    """
    predictor.reset()
    decider = Decision(decision, labels)
    way = Walk(policy, decider, ahead=_AHEAD_FRAMES)
    parts = []
    for start in range(0, len(frames), _CHUNK_FRAMES):
        some = frames[start : start + _CHUNK_FRAMES]
        parts.append(way.along(planned[start : start + _CHUNK_FRAMES], partial(_step, predictor, some)))
        progress(start + len(some))
    probabilities, resets = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Walked(probabilities=probabilities, resets=resets.astype(np.bool_), events=(*way.events, *decider.finish()))


def _step(
    predictor: Predictor, frames: npt.NDArray[np.uint8], part: slice, resets: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], ...]:
    """Probabilities, and where the states went back."""
    return predictor.predict(frames[part], resets), resets.astype(np.float32)


def planned_resets(stream: LabelledStream, policy: ResetSpec) -> npt.NDArray[np.bool_]:
    """Tell before which frames of a recording a policy resets: in its turn, and where frames are missing.

    Of a recording a cut is known only where its own times have a gap. A turn counts from the last reset.

    Returns:
        bool [frames].
    """
    planned = resets_of(policy, 0, len(stream.frames))
    if stream.cuts is None or policy.policy == "never":
        return planned
    for first in np.flatnonzero(stream.cuts).tolist():
        planned[first:] = resets_of(policy, 0, len(planned) - first)
        planned[first] = first > 0
    return planned


def windowed(
    predictor: Predictor,
    frames: npt.NDArray[np.uint8],
    window: int,
    progress: Callable[[int], None] = lambda _: None,
) -> npt.NDArray[np.float32]:
    """Give each frame the probabilities at the end of a window that ends there and begins from the initial states.

    This is how a model of clips is used on a camera by who has no states: `window` steps for every frame.

    Args:
        predictor: is asked `window` times as many frames as there are.
        frames: uint8 [n, height, width, channels].
        window: frames of each; fewer stand before the first ones.
        progress: told the number of frames done.
    """
    parts = []
    at_once = max(1, _CHUNK_FRAMES // window)
    for done in range(0, len(frames), at_once):
        ends = range(done, min(done + at_once, len(frames)))
        spans = [np.arange(max(0, end - window + 1), end + 1) for end in ends]
        lasts = np.cumsum([len(span) for span in spans]) - 1
        resets = np.zeros(lasts[-1] + 1, np.bool_)
        resets[[0, *(lasts[:-1] + 1)]] = True
        parts.append(predictor.predict(frames[np.concatenate(spans)], resets)[lasts])
        progress(ends[-1] + 1)
    return np.concatenate(parts)
