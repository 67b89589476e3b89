"""Which percentile of the extremes a run's ranges should hold, found by trying.

A wide range has coarse steps, and a narrow one cuts off what happens; where the best lies between the two depends on
the run. A network of 8-bit ranges is simulated in float, on frames of the calibration stream: what its probabilities
are off by there tells the artifact's agreement on other data. docs/decisions/4-ranges.md has the measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PERCENTILES = (85.0, 90.0, 95.0, 97.0, 99.0, 99.9, 100.0)
"""Tried, of a tap's extremes, frame by frame."""

USUAL = 97.0
"""Where the search begins, and where it stays if there is nothing to choose by."""


def best_percentile(error_of: Callable[[float], float]) -> float:
    """Walk down from `USUAL` to the percentile with the smallest error, over neighbours only.

    Args:
        error_of: simulates; asked at most once for each.
    """
    errors: dict[int, float] = {}

    def error(place: int) -> float:
        if not 0 <= place < len(PERCENTILES):
            return float("inf")
        if place not in errors:
            errors[place] = error_of(PERCENTILES[place])
        return errors[place]

    place = PERCENTILES.index(USUAL)
    while (best := min((place, place - 1, place + 1), key=error)) != place:
        place = best
    return PERCENTILES[place]
