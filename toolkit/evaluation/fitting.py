"""A decision's parameters, fitted to a target of false alarms an hour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import ConfigError, DatasetError
from toolkit.evaluation.candidates import grid, tell_all
from toolkit.evaluation.events import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from runtime.spec import DecisionSpec
    from toolkit.data.streams import Segment
    from toolkit.evaluation.candidates import Numbers, Told


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A decision fitted on a stream.

    Attributes:
        decision: the parameters.
        target_per_hour: of false alarms.
        met: whether the decision keeps to the target on that stream. Where none that finds anything does, it is False,
            and the decision is the one with the fewest false alarms.
        searched: how many decisions were compared.
    """

    decision: DecisionSpec
    target_per_hour: float
    met: bool
    searched: int


def fit_decision(
    probabilities: npt.NDArray[np.float32],
    segments: Sequence[Segment],
    *,
    fps: float,
    target_per_hour: float,
    resets: npt.NDArray[np.bool_] | None = None,
) -> Fitted:
    """Choose the decision that finds the most segments with no more false alarms an hour than the target.

    Among those that find as many, the one that tells them soonest, then the one with fewer events, then the simplest.
    The same arguments give the same decision. A stream of H hours cannot show a rate between 0 and 1/H: a target below
    1/H asks for no false alarm in it at all, see `EventScore.false_alarms_per_hour_at_most` for what that proves.

    Args:
        probabilities: float32 [frames, classes], computed once.
        segments: the truth, (first, last, label), not overlapping.
        fps: the stream's rate.
        target_per_hour: at most so many false alarms an hour.
        resets: bool [frames], where states and running mean went back; None for nowhere.

    Raises:
        ConfigError: where the target is no rate.
        DatasetError: where there are no segments.
    """
    if not (math.isfinite(target_per_hour) and target_per_hour >= 0):
        raise ConfigError(f"The target is {target_per_hour} false alarms an hour; it must be a number of at least 0.")
    if not segments:
        raise DatasetError("A decision cannot be fitted on a stream without labels. Name one that has segments.")
    specs = grid(fps)
    told = tell_all(specs, probabilities, resets)
    found, delays, alarms = _scores(told, segments, specs, probabilities.shape)
    hours = len(probabilities) / fps / 3600
    keeps = within(alarms / hours, target_per_hour) & (found > 0)
    met = bool(keeps.any())
    if not met:
        fewest = alarms[found > 0].min(initial=np.iinfo(np.int64).max)
        keeps = (alarms == fewest) & (found > 0)
    events = np.bincount(told.decision, minlength=len(specs))
    # The grid's own order, simple before complicated, is the last key; the first decision where nothing is ever found.
    order = np.lexsort((events, delays, -found, ~keeps))
    return Fitted(decision=specs[int(order[0])], target_per_hour=target_per_hour, met=met, searched=len(specs))


def _scores(
    told: Told, segments: Sequence[Segment], specs: Sequence[DecisionSpec], shape: tuple[int, ...]
) -> tuple[Numbers, npt.NDArray[np.float64], Numbers]:
    """Of each decision: segments found, median delay in frames (infinite without any), and false alarms."""
    frames, classes = shape
    covered = np.zeros((classes, frames + 1), np.int64)
    at = np.full(frames, len(segments))
    for number, (first, last, label) in enumerate(segments):
        covered[label, first + 1 : last + 2] = 1
        at[first : last + 1] = number
    covered = covered.cumsum(axis=1)
    outside = covered[told.label, told.end + 1] == covered[told.label, told.start]
    alarms = np.bincount(told.decision[outside], minlength=len(specs))
    labels = np.array([label for _, _, label in segments] + [-1])
    firsts = np.array([first for first, _, _ in segments] + [0])
    where = at[told.start]
    hit = labels[where] == told.label
    # Events of a decision come in the order of time: the first of a segment is the one that finds it.
    keys, places = np.unique(told.decision[hit] * (len(segments) + 1) + where[hit], return_index=True)
    who = keys // (len(segments) + 1)
    minimum = np.array([spec.minimum_frames for spec in specs])
    late = told.start[hit][places] - firsts[where[hit][places]] + minimum[who] - 1
    return np.bincount(who, minlength=len(specs)), _medians(who, late, len(specs)), alarms


def _medians(who: Numbers, values: Numbers, count: int) -> npt.NDArray[np.float64]:
    """The median of each one's values; infinite for who has none."""
    order = np.lexsort((values, who))
    who, values = who[order], values[order]
    counts = np.bincount(who, minlength=count)
    ends = counts.cumsum()
    middle = np.full(count, np.inf)
    some = counts > 0
    low, high = (ends - counts + (counts - 1) // 2)[some], (ends - counts + counts // 2)[some]
    middle[some] = (values[low] + values[high]) / 2
    return middle
