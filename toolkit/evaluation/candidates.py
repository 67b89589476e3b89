"""Many decisions over one stream's probabilities at once: what `runtime.decision.Decision` would tell with each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.spec import DecisionSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

SMOOTHINGS = (1.0, 0.5, 0.3, 0.2, 0.15, 0.1, 0.07)
ONS = (0.6, 0.5, 0.7, 0.4, 0.8, 0.3, 0.85, 0.9, 0.95, 0.98, 0.99)
OFFS = (1.0, 0.75, 0.5, 0.25)
"""Of `on`."""
MINIMUM_FRAMES = (1, 2, 3, 5, 8, 12, 18, 27)
REFRACTORY_S = (0.0, 0.5, 1.0, 2.0)


def grid(fps: float) -> tuple[DecisionSpec, ...]:
    """Give the decisions to choose among, the simpler ones first: the shipped default, then those that do least."""
    refractory = sorted({round(seconds * fps) for seconds in REFRACTORY_S})
    specs = [DecisionSpec()]
    for wait, minimum, smoothing, off, on in itertools.product(refractory, MINIMUM_FRAMES, SMOOTHINGS, OFFS, ONS):
        specs.append(
            DecisionSpec(
                smoothing=smoothing, on=on, off=round(on * off, 4), minimum_frames=minimum, refractory_frames=wait
            )
        )
    return tuple(specs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """Events of many decisions, int64 [events] each, in the order of time within a decision.

    Attributes:
        decision: whose it is, a place among those asked.
        label: of the event, a place among the labels.
        start: its first frame.
        end: its last frame.
    """

    decision: Numbers
    label: Numbers
    start: Numbers
    end: Numbers


def tell_all(
    specs: Sequence[DecisionSpec], probabilities: npt.NDArray[np.float32], resets: npt.NDArray[np.bool_] | None = None
) -> Told:
    """Tell the events of each decision, those that `Decision` would tell.

    Args:
        specs: the decisions.
        probabilities: float32 [frames, classes]; what is not a number counts as 0.
        resets: bool [frames], where the running mean is forgotten; None for nowhere.
    """
    parts: list[Numbers] = []
    for smoothing, places in _by_smoothing(specs):
        smoothed = _smoothed(probabilities, smoothing, resets)
        found = _Deciders([specs[i] for i in places], smoothed.shape[1]).run(smoothed)
        found[0] = np.array(places)[found[0]]
        parts.append(found)
    decision, label, start, end = np.concatenate(parts, axis=1)
    order = np.argsort(decision, kind="stable")
    return Told(decision=decision[order], label=label[order], start=start[order], end=end[order])


def _by_smoothing(specs: Sequence[DecisionSpec]) -> Iterable[tuple[float, list[int]]]:
    found: dict[float, list[int]] = {}
    for i, spec in enumerate(specs):
        found.setdefault(spec.smoothing, []).append(i)
    return found.items()


def _smoothed(
    probabilities: npt.NDArray[np.float32], weight: float, resets: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float64]:
    """The running mean, by the operations of `Decision` in their order, so that no threshold falls differently."""
    smoothed = np.where(np.isfinite(probabilities), probabilities, 0).astype(np.float64)
    for i in range(1, len(smoothed)):
        if resets is None or not resets[i]:
            smoothed[i] = smoothed[i - 1] + weight * (smoothed[i] - smoothed[i - 1])
    return smoothed


class _Deciders:
    """Decisions of one smoothing, side by side; each array has an entry for each of them."""

    def __init__(self, specs: Sequence[DecisionSpec], classes: int) -> None:
        self._on = np.array([spec.on for spec in specs])
        self._off = np.array([spec.off for spec in specs])
        self._minimum = np.array([spec.minimum_frames for spec in specs])
        self._refractory = np.array([spec.refractory_frames for spec in specs])
        self._open = np.full(len(specs), -1)
        self._start = np.zeros(len(specs), np.int64)
        self._free_from = np.zeros((classes, len(specs)), np.int64)
        self._told: list[Numbers] = []

    def run(self, smoothed: npt.NDArray[np.float64]) -> Numbers:
        """Give decision, label, start and end of each event, [4, events]."""
        bests = smoothed.argmax(axis=1)
        for i, best in enumerate(bests.tolist()):
            values = smoothed[i]
            rises = values[best] >= self._on
            # An entry of -1 reads the last class, and is masked.
            closing = (self._open >= 0) & ((values[self._open] < self._off) | (rises & (self._open != best)))
            if closing.any():
                self._close(np.flatnonzero(closing), i)
            opening = rises & (self._open < 0) & (i >= self._free_from[best])
            if opening.any():
                self._open[opening] = best
                self._start[opening] = i
        self._close(np.flatnonzero(self._open >= 0), len(smoothed))
        return np.concatenate([np.zeros((4, 0), np.int64), *self._told], axis=1)

    def _close(self, places: Numbers, now: int) -> None:
        lasted = now - self._start[places]
        told = places[lasted >= self._minimum[places]]
        labels = self._open[told]
        self._told.append(np.stack([told, labels, self._start[told], np.full(len(told), now - 1)]))
        self._free_from[labels, told] = now + self._refractory[told]
        self._open[places] = -1
