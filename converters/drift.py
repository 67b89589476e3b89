"""States that leave the ranges of their calibration: the reason why integer networks fail on long streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.spec import CalibrationSpec, FidelitySpec, StateDrift

NOTABLE = 0.1
"""Fraction of the last tenth's frames outside, beyond what the percentile cuts off itself, at which a state has left
its range: held-out data alone give the gestures' states less."""


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A state that left its calibrated range.

    Attributes:
        name: the state's.
        range: the calibrated one.
        drift: see `StateDrift`.
    """

    name: str
    range: tuple[float, float]
    drift: StateDrift

    @property
    def farthest(self) -> float:
        """The value farthest beyond the range."""
        below, above = self.range[0] - self.drift.lowest, self.drift.highest - self.range[1]
        return self.drift.highest if above >= below else self.drift.lowest

    def words(self) -> str:
        """Say which, how far and how often."""
        low, high = self.range
        return (
            f"State {self.name} left its calibrated range {low:.3g} to {high:.3g} on "
            f"{100 * (self.drift.outside_last or 0.0):.0f} % of the last tenth's frames "
            f"({100 * (self.drift.outside_first or 0.0):.0f} % of the first's) and went as far as {self.farthest:.3g}"
        )


def by_construction(percentile: float) -> float:
    """Return the fraction of frames that a percentile of extremes leaves outside, on both sides together."""
    return 2 * (100 - percentile) / 100


def stray_of(fidelity: FidelitySpec, calibration: CalibrationSpec | None) -> Stray | None:
    """Find the state that left its range most often; None where none did."""
    if calibration is None:
        return None
    allowed = by_construction(calibration.percentile) + NOTABLE
    found = [
        Stray(name=name, range=calibration.state_ranges[name], drift=drift)
        for name, drift in fidelity.states.items()
        if name in calibration.state_ranges and drift.outside_last is not None and drift.outside_last > allowed
    ]
    return max(found, key=_gone, default=None)


def _gone(stray: Stray) -> tuple[float, float]:
    low, high = stray.range
    width = high - low
    beyond = max(stray.drift.highest - high, low - stray.drift.lowest)
    return stray.drift.outside_last or 0.0, beyond / width if width else beyond
