"""From a stream of probabilities to events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from runtime.spec import DecisionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, told once it is over.

    Attributes:
        label: what.
        start: the source's number of the first frame at which it held.
        end: of the last one.
    """

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one frame changed.

    Attributes:
        label: of the event that holds at this frame and has lasted long enough to be told; None where none does.
        events: those that this frame ended.
    """

    label: str | None
    events: tuple[Event, ...] = ()


class Decision:
    """Turn the probabilities of one stream into events, at most one open at a time.

    An event of the smoothed probabilities' argmax starts where it reaches `on`. It ends where its probability falls
    under `off`, or where another label reaches `on`. It is told only if it lasted `minimum_frames` and then keeps its
    label from starting again for `refractory_frames`. All of these count ticks, repeated frames included.

    Args:
        spec: the thresholds.
        labels: in the probabilities' order.
    """

    def __init__(self, spec: DecisionSpec, labels: Sequence[str]) -> None:
        self._spec = spec
        self._labels = tuple(labels)
        self._smoothed: npt.NDArray[np.float64] | None = None
        self._open: int | None = None
        self._start = self._end = self._lasted = 0
        self._ticks = 0
        self._free_from = [0] * len(self._labels)

    def update(self, index: int, probabilities: npt.NDArray[Any]) -> Verdict:
        """Take the probabilities of one frame.

        Args:
            index: the source's number of the frame.
            probabilities: float [classes]. What is not a number counts as 0.
        """
        smoothed = self._smooth(probabilities.astype(np.float64))
        best = int(smoothed.argmax())
        rises = bool(smoothed[best] >= self._spec.on)
        events: tuple[Event, ...] = ()
        if self._open is not None and (smoothed[self._open] < self._spec.off or (rises and best != self._open)):
            events = self.finish()
        if self._open is None and rises and self._ticks >= self._free_from[best]:
            self._open, self._start, self._lasted = best, index, 0
        if self._open is not None:
            self._end = index
            self._lasted += 1
        self._ticks += 1
        return Verdict(label=self._told(), events=events)

    def finish(self) -> tuple[Event, ...]:
        """End the open event, at the end of a stream or where it is torn."""
        label, self._open = self._told(), None
        if label is None:
            return ()
        self._free_from[self._labels.index(label)] = self._ticks + self._spec.refractory_frames
        return (Event(label=label, start=self._start, end=self._end),)

    def reset(self) -> None:
        """Forget the running mean, where the model's states are reset; an open event stays open."""
        self._smoothed = None

    def _smooth(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not math.isfinite(probabilities.sum()):
            probabilities = np.where(np.isfinite(probabilities), probabilities, 0.0)
        if self._smoothed is None:
            self._smoothed = probabilities
        else:
            self._smoothed += self._spec.smoothing * (probabilities - self._smoothed)
        return self._smoothed

    def _told(self) -> str | None:
        if self._open is None or self._lasted < self._spec.minimum_frames:
            return None
        return self._labels[self._open]
