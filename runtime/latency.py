"""How long each stage of the loop takes, in bounded memory however long it runs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BITS = 6
"""Of a duration that are kept below its leading one: buckets are 1/64 of their duration wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """A stage's durations in microseconds, within 1 %; `count` of them."""

    p50: float
    p95: float
    p99: float
    count: int


class Durations:
    """A histogram of durations, its buckets as wide as their own durations ask for.

    The scheme is HdrHistogram's: buckets of equal width between two powers of two.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration; below 0 counts as 0."""
        value = max(duration_ns, 0)
        shift = max(value.bit_length() - _BITS - 1, 0)
        bucket = (shift << (_BITS + 1)) + (value >> shift)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1
        self.total_ns += value

    def quantile_ns(self, fraction: float) -> float:
        """Find the duration that so large a fraction of all does not exceed; NaN where there is none."""
        rank = max(math.ceil(fraction * self.count), 1)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return _middle_ns(bucket)
        return math.nan

    def at_most(self, bounds_ns: Sequence[float]) -> list[int]:
        """Count the durations up to each bound, within 1 % of the bound; safe in any thread."""
        counts = list(self._counts.items())
        return [sum(count for bucket, count in counts if _middle_ns(bucket) <= bound) for bound in bounds_ns]

    def percentiles(self) -> Percentiles:
        """Give the usual three."""
        p50, p95, p99 = (self.quantile_ns(fraction) / 1000 for fraction in (0.50, 0.95, 0.99))
        return Percentiles(p50=p50, p95=p95, p99=p99, count=self.count)


def _middle_ns(bucket: int) -> float:
    shift, value = bucket >> (_BITS + 1), bucket & ((1 << (_BITS + 1)) - 1)
    return (value << shift) + ((1 << shift) - 1) / 2


class StageTimes:
    """A stop watch that is read at the end of each stage.

    Args:
        clock_ns: nanoseconds that only grow.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock_ns = clock_ns
        self._stages: dict[str, Durations] = {}
        self._mark_ns = clock_ns()

    def start(self) -> None:
        """Begin a stage; what passed before belongs to none."""
        self._mark_ns = self._clock_ns()

    def lap(self, stage: str) -> None:
        """End a stage and begin the next."""
        now_ns = self._clock_ns()
        durations = self._stages.get(stage)
        if durations is None:
            durations = self._stages[stage] = Durations()
        durations.add(now_ns - self._mark_ns)
        self._mark_ns = now_ns

    def summary(self) -> dict[str, Percentiles]:
        """Give each stage's percentiles, in the order in which the stages first ended."""
        return {stage: durations.percentiles() for stage, durations in self._stages.items()}

    def durations(self) -> dict[str, Durations]:
        """Give each stage's histogram, which goes on growing."""
        return dict(self._stages)
