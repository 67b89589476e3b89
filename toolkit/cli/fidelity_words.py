"""A measured fidelity in words, for those who read no JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def state_words(fidelity: Mapping[str, Any], calibration: Mapping[str, Any] | None) -> Iterator[str]:
    """Say of each state where it went, and how that compares with its calibrated range.

    Args:
        fidelity: the members of a `FidelitySpec`, as JSON types.
        calibration: those of the artifact's `CalibrationSpec`; None where it has none.
    """
    ranges = calibration["state_ranges"] if calibration else {}
    for name, drift in fidelity["states"].items():
        words = f"{name} {drift['lowest']:.3g} to {drift['highest']:.3g}"
        if name in ranges and drift["outside_last"] is not None:
            low, high = ranges[name]
            words += (
                f", calibrated {low:.3g} to {high:.3g}; outside on {drift['outside_first']:.4f} of the first tenth's "
                f"frames, {drift['outside_last']:.4f} of the last's"
            )
        yield words
