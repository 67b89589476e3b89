"""Whether a state's range had settled when calibration ended, and how many frames it takes if it had not.

A range that still grows is no range: a state that adds up leaves it in the second minute, and an integer network
saturates there. So a range counts only once the rest of the roll-out adds nothing to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Extremes: TypeAlias = "npt.NDArray[np.float32]"

Range: TypeAlias = "tuple[float, float]"

TOLERANCE = 0.1
"""Of a range's width, by which it may still grow: ranges between the 95th and the 99th percentile differ by more, and
the networks made with them by little."""

SETTLING_PERCENTILE = 97.0
"""Of the extremes, frame by frame, that are compared. Their very largest grows for ever, by the logarithm of time."""

LEAST_FRAMES = 64
"""Below these nothing can be said."""

ENOUGH_FRAMES = 2048
"""Where calibration starts to look, and the least number of frames that is ever asked for."""

_DRIFT_FRAMES = 1024
_CHECKS = 16  # beginnings of the roll-out that are compared with all of it
_BLOCKS = 8
_ORDERED = 26  # of the 28 pairs of blocks; by chance 7 times in 10,000
_DECAY = 0.71  # a difference between two ranges of random frames falls by the root of 2 for twice the frames
_SAFETY = 2.0
_MEMORIES = 500  # a percentile of so many memories' frames is within a quarter of the tolerance or so
_MOST_FRAMES = 1e7  # above these a number helps nobody
_NARROWEST = 1e-4


@dataclass(frozen=True, kw_only=True)
class Settling:
    """How one state's range came about.

    Attributes:
        frames: rolled out.
        settled: the number of frames after which the range grew by no more than `TOLERANCE` of its width; None where
            that is more than half of the frames.
        before: the range in the first half.
        after: the range in all of it.
        needed: where it has not settled, the number of frames that would be enough; None where no number is.
    """

    frames: int
    settled: int | None
    before: Range
    after: Range
    needed: int | None = None


def settling_of(lowest: Extremes, highest: Extremes) -> Settling:
    """Tell whether a range has settled.

    A stationary process settles in `needed` frames, provided that its memory is short (an eighth or less) against the
    frames that were seen: the law that tests/converters/test_settling.py holds. What rises as much in the second half
    of 1,024 frames or more as in the first is drift, and settles never.

    Args:
        lowest: a state's lowest element at each frame, float [n].
        highest: the same of the highest.
    """
    count = len(lowest)
    ends = sorted({max(1, count * k // _CHECKS) for k in range(1, _CHECKS + 1)})
    ranges = np.array([range_of(lowest[:end], highest[:end]) for end in ends])
    width = max(float(ranges[-1, 1] - ranges[-1, 0]), _NARROWEST)
    # A range that shrinks holds what comes; only growing counts.
    off = ((ranges - ranges[-1]) * (1, -1)).max(axis=1) / width
    late = np.flatnonzero(off > TOLERANCE)
    settled = ends[int(late[-1]) + 1] if len(late) else ends[0]
    before, after = range_of(lowest[: max(1, count // 2)], highest[: max(1, count // 2)]), range_of(lowest, highest)
    if count >= LEAST_FRAMES and settled <= count / 2:
        return Settling(frames=count, settled=settled, before=before, after=after)
    needed = None
    if not (drifts(highest) or drifts(-lowest)):
        memory = max(_memory(lowest), _memory(highest))
        needed = _needed(count, float(off[np.array(ends) >= count / 2].max()), memory)
    return Settling(frames=count, settled=None, before=before, after=after, needed=needed)


def range_of(lowest: Extremes, highest: Extremes, percentile: float = SETTLING_PERCENTILE) -> Range:
    """Return the range that holds a percentile of the extremes, 0 always within."""
    return (
        min(float(np.percentile(lowest, 100 - percentile)), 0.0),
        max(float(np.percentile(highest, percentile)), 0.0),
    )


def drifts(extremes: Extremes) -> bool:
    """Tell whether values rise without a sign of an end.

    They do where nearly every later eighth lies higher, the second half rises at least half as much as the first, and
    no single step is half of the whole: a stream whose second part shows something else is no drift.
    """
    if len(extremes) < _DRIFT_FRAMES:
        return False
    levels = np.array([np.percentile(block, SETTLING_PERCENTILE) for block in np.array_split(extremes, _BLOCKS)])
    ordered = int((np.subtract.outer(levels, levels)[np.tril_indices(_BLOCKS, -1)] > 0).sum())
    steps, half = np.diff(levels), _BLOCKS // 2
    first, second = levels[half - 1] - levels[0], levels[-1] - levels[half]
    return bool(ordered >= _ORDERED and second >= first / 2 and steps.max() <= (levels[-1] - levels[0]) / 2)


def _memory(extremes: Extremes) -> int:
    """Return the number of frames over which values forget what they were: to a correlation of 1/e."""
    values = extremes.astype(np.float64) - extremes.mean(dtype=np.float64)
    power = float(values @ values)
    lag = 1
    while lag < len(values) / 2 and float(values[lag:] @ values[:-lag]) > power / math.e:
        lag += 1
    return lag


def _needed(count: int, off: float, memory: int) -> int | None:
    """Extrapolate: what is off falls with the root of the frames, down to what a memory so long allows."""
    doublings = max(1.0, math.log(TOLERANCE / max(off, TOLERANCE)) / math.log(_DECAY))
    frames = max(ENOUGH_FRAMES, _MEMORIES * memory, _SAFETY * count * 2.0**doublings)
    return None if frames > _MOST_FRAMES else rounded_up(frames)


def rounded_up(frames: float) -> int:
    """Round up to two digits, as numbers for people are."""
    unit: int = 10 ** max(0, math.floor(math.log10(frames)) - 1)
    return math.ceil(frames / unit) * unit
