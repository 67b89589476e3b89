"""The ranges of an integer network, from states as they really occur.

The float step model is rolled out over a long stream, and every tap's range is taken from there. States that start at
zero, or come from the first frames of clips, give ranges that a stream leaves: docs/decisions/ tells what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from converters.resets import resets_of
from runtime.errors import CalibrationError
from runtime.spec import CalibrationSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from converters.step_model import StepModel, Tap
    from converters.stream import FrameStream
    from runtime.spec import ResetSpec

CALIBRATION_FRAMES = 3000
"""Frames rolled out; the ranges of the demo's and the gestures' states have settled long before."""

PERCENTILE = 97.0
"""Of a tap's extremes, frame by frame. Scene cuts drive them far beyond everything else, and 8 bits are too few for
both; docs/decisions/4-ranges.md has the measurement."""

Range: TypeAlias = "tuple[float, float]"

_NARROWEST = 1e-4  # a tap that never moves still needs a range to divide by


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a roll-out gave.

    Attributes:
        ranges: lowest and highest value of each tap, 0 always between them.
        spec: what the artifact says about it.
    """

    ranges: dict[str, Range]
    spec: CalibrationSpec


def calibrate(
    step_model: StepModel,
    stream: FrameStream,
    *,
    reset: ResetSpec,
    frames: int | None = None,
    percentile: float = PERCENTILE,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Calibration:
    """Roll a step model out over a stream, and take each tap's range.

    Args:
        step_model: the float model.
        stream: what it will see, cuts included.
        reset: the policy that the artifact will have.
        frames: how many to roll out; None for `CALIBRATION_FRAMES`.
        percentile: of the per-frame extremes that lie within a range; 100 is all.
        progress: told how many of how many frames are done.

    Raises:
        CalibrationError: where the stream's frames do not fit the model, or a value is not finite.
    """
    lows: list[npt.NDArray[np.float32]] = []
    highs: list[npt.NDArray[np.float32]] = []
    states, done, cuts, resets = step_model.initial_states(), 0, 0, 0
    total = CALIBRATION_FRAMES if frames is None else frames
    for chunk in stream.chunks(total):
        if chunk.frames.shape[1:] != tuple(step_model.frame_shape):
            raise CalibrationError(
                f"The calibration frames of {stream.name} have shape {chunk.frames.shape[1:]}; the model expects "
                f"{tuple(step_model.frame_shape)}. Give data of the model's size."
            )
        back = resets_of(reset, done, len(chunk))
        trace, states = step_model.observe(chunk.frames, states, back)
        lows.append(trace.lowest)
        highs.append(trace.highest)
        done, cuts, resets = done + len(chunk), cuts + int(chunk.cuts.sum()), resets + int(back.sum())
        progress(done, total)
    low, high = np.concatenate(lows), np.concatenate(highs)
    ranges = {tap.name: _range(tap, low[:, i], high[:, i], percentile) for i, tap in enumerate(step_model.taps)}
    return Calibration(
        ranges=ranges,
        spec=CalibrationSpec(
            source=stream.name,
            frames=done,
            cuts=cuts,
            resets=resets,
            percentile=percentile,
            state_ranges={state.name: ranges[state.name] for state in step_model.states if state.name in ranges},
        ),
    )


def _range(tap: Tap, low: npt.NDArray[np.float32], high: npt.NDArray[np.float32], percentile: float) -> Range:
    """Return one tap's range: the one that the model itself imposes, else the measured one."""
    known = tap.fixed or tap.bound
    if known is not None:
        return known
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise CalibrationError(f"{tap.name} is not finite on the calibration stream. Train the model again.")
    lowest = min(float(np.percentile(low, 100 - percentile)), 0.0)
    highest = max(float(np.percentile(high, percentile)), 0.0)
    return (lowest, highest) if highest - lowest > _NARROWEST else (-_NARROWEST, _NARROWEST)
