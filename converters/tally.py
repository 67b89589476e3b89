"""Counting, chunk by chunk, how two models' answers on a stream differ, in the same memory at any length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converters.stream import NO_LABEL
from runtime.spec import FidelitySpec, StateDrift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from converters.resets import Rows

CONFIDENT_MARGIN = 0.2
"""Between the two largest probabilities. Nearer than that, a rounding may turn the float model's own answer."""

_STEPS = 255  # of an 8-bit range


class Tally:
    """What a comparison has come to so far.

    Args:
        frames: the whole length.
        states: names, in the order of the extremes' columns.
        ranges: calibrated lowest and highest value by state, where there is one.
    """

    def __init__(self, frames: int, states: Sequence[str], ranges: Mapping[str, tuple[float, float]]) -> None:
        self._frames = frames
        self._tenth = max(1, frames // 10)
        self._states = tuple(states)
        self._ranged = np.array([name in ranges for name in states], np.bool_)
        limits = np.array([ranges.get(name, (-np.inf, np.inf)) for name in states]).reshape(-1, 2)
        # A state at the very end of its range is within it, however it was rounded.
        slack = np.where(self._ranged, (limits[:, 1] - limits[:, 0]) / _STEPS, 0.0)
        self._floor, self._ceiling = limits[:, 0] - slack, limits[:, 1] + slack
        self._lowest = np.full(len(states), np.inf)
        self._highest = np.full(len(states), -np.inf)
        self._outside = np.zeros((2, len(states)), np.int64)
        self._agreed = np.zeros(3, np.int64)
        self._confident = self._labelled = self._right = self._right_reference = 0
        self._squared = 0.0
        self.done = 0

    def add(self, answers: npt.NDArray[np.float32], reference: Rows, truth: npt.NDArray[np.int64]) -> None:
        """Count the next frames.

        Args:
            answers: the artifact's probabilities, float32 [n, classes]. One that is no finite number agrees with
                nothing.
            reference: the float model's probabilities, and its states' lowest and highest values, float32 [n, states].
            truth: int64 [n], `NO_LABEL` where there is none.
        """
        probabilities, lowest, highest = reference
        finite = np.isfinite(answers).all(axis=1)
        answers = np.where(finite[:, None], answers, np.float32(0))
        chosen, expected = answers.argmax(axis=1), probabilities.argmax(axis=1)
        agrees = (chosen == expected) & finite
        known = truth != NO_LABEL
        second, best = np.partition(probabilities, -2, axis=1)[:, -2:].T
        self._confident += int((~agrees & (best - second > CONFIDENT_MARGIN)).sum())
        self._squared += float(np.square(answers - probabilities, dtype=np.float64).mean(axis=1).sum())
        self._labelled += int(known.sum())
        self._right += int(((chosen == truth) & finite)[known].sum())
        self._right_reference += int((expected == truth)[known].sum())
        outside = (lowest < self._floor) | (highest > self._ceiling)
        tenths = self._tenths(len(answers))
        self._agreed += [int(agrees.sum()), *(int(agrees[part].sum()) for part in tenths)]
        self._outside += [outside[part].sum(axis=0) for part in tenths]
        self._lowest = np.minimum(self._lowest, lowest.min(axis=0))
        self._highest = np.maximum(self._highest, highest.max(axis=0))
        self.done += len(answers)

    def _tenths(self, count: int) -> tuple[slice, slice]:
        """Return which of the next frames belong to the first tenth, and which to the last."""
        return (
            slice(0, max(0, self._tenth - self.done)),
            slice(min(count, max(0, self._frames - self._tenth - self.done)), count),
        )

    def result(self, source: str) -> FidelitySpec:
        """Sum up; all frames must have been counted."""
        whole, first, last = self._agreed.tolist()
        return FidelitySpec(
            source=source,
            frames=self._frames,
            agreement=whole / self._frames,
            agreement_first=first / self._tenth,
            agreement_last=last / self._tenth,
            rmse=float(np.sqrt(self._squared / self._frames)),
            accuracy=self._right / self._labelled if self._labelled else None,
            accuracy_reference=self._right_reference / self._labelled if self._labelled else None,
            confident_disagreements=self._confident,
            states={name: self._drift(i) for i, name in enumerate(self._states)},
        )

    def _drift(self, i: int) -> StateDrift:
        ranged = bool(self._ranged[i])
        first, last = (self._outside[:, i] / self._tenth).tolist()
        return StateDrift(
            lowest=float(self._lowest[i]),
            highest=float(self._highest[i]),
            outside_first=first if ranged else None,
            outside_last=last if ranged else None,
        )
