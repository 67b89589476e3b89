"""A step model rolled out until its states' ranges have settled, every tap's extremes kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converters.reference import deciding
from converters.resets import Walk, resets_of
from converters.settling import ENOUGH_FRAMES, range_of, settling_of
from runtime.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from converters.resets import Rows
    from converters.settling import Range, Settling
    from converters.step_model import StepModel, Tap
    from converters.stream import FrameStream, StreamChunk
    from runtime.spec import DecisionSpec, ResetSpec

MOST_FRAMES = 16384
"""Rolled out at most: a state that has not settled by then is told of."""

ROUNDS = 4
"""Times that the same frames are gone through at most."""

KEPT_FRAMES = 1024
"""Frames at the stream's beginning that are kept, to try ranges on."""

_NARROWEST = 1e-4  # a tap that never moves still needs a range to divide by
_AHEAD = 32


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How far a simulated integer network is from the float model.

    Attributes:
        error: root of the mean squared difference of the probabilities.
        agreement: fraction of frames with the same argmax.
    """

    error: float
    agreement: float


class Observation:
    """What the float step did on its way along a stream.

    Args:
        step_model: the float model.
        stream: what it sees.
        reset: the policy that its states obey; with `event` its own events reset them.
        decision: how these come about.
        labels: in the probabilities' order.

    Attributes:
        step_model: see above.
        stream: see above.
        cuts: among the frames.
    """

    def __init__(
        self,
        step_model: StepModel,
        stream: FrameStream,
        *,
        reset: ResetSpec,
        decision: DecisionSpec,
        labels: Sequence[str],
    ) -> None:
        self.step_model, self.stream = step_model, stream
        self.cuts = 0
        self._reset = reset
        self._walk = Walk(reset, deciding(reset, decision, labels), ahead=_AHEAD)
        self._states = step_model.initial_states()
        self._rows: list[Rows] = []
        self._frames: list[npt.NDArray[np.uint8]] = []

    @property
    def frames(self) -> int:
        """How many were rolled out."""
        return self._walk.frames

    @property
    def resets(self) -> int:
        """How often the states went back."""
        return self._walk.resets

    def add(self, chunk: StreamChunk) -> None:
        """Roll out over more frames.

        Raises:
            CalibrationError: where they do not fit the model, or a value is not finite.
        """
        if chunk.frames.shape[1:] != tuple(self.step_model.frame_shape):
            raise CalibrationError(
                f"The calibration frames of {self.stream.name} have shape {chunk.frames.shape[1:]}; the model expects "
                f"{tuple(self.step_model.frame_shape)}. Give data of the model's size."
            )
        done = self.frames

        def step(part: slice, resets: npt.NDArray[np.bool_]) -> Rows:
            trace, self._states = self.step_model.observe(chunk.frames[part], self._states, resets)
            return trace.probabilities, trace.lowest, trace.highest, resets.astype(np.float32)

        rows = self._walk.along(resets_of(self._reset, done, len(chunk)), step)
        finite = np.isfinite(rows[1]).all(axis=0) & np.isfinite(rows[2]).all(axis=0)
        for tap, fine in zip(self.step_model.taps, finite, strict=True):
            if not (fine or imposed(tap)):
                raise CalibrationError(f"{tap.name} is not finite on the calibration stream. Train the model again.")
        self._rows.append(rows)
        self.cuts += int(chunk.cuts.sum())
        if done < KEPT_FRAMES:
            self._frames.append(chunk.frames[: KEPT_FRAMES - done])

    def settling(self) -> dict[str, Settling]:
        """Tell of each state whose range the data must tell how that came about.

        Where the stream has gone round, its last round must settle as well: no more than that is known.
        """
        _, low, high, _ = self._joined()
        names = {state.name for state in self.step_model.states}
        distinct, found = self.stream.distinct, {}
        for i, tap in enumerate(self.step_model.taps):
            if tap.name in names and not imposed(tap):
                each = settling_of(low[:, i], high[:, i])
                if each.settled is not None and distinct is not None and distinct < len(low):
                    of_round = settling_of(low[-distinct:, i], high[-distinct:, i])
                    each = each if of_round.settled is not None else of_round
                found[tap.name] = each
        return found

    def ranges(self, percentile: float) -> dict[str, Range]:
        """Return every tap's range: the one that the model itself imposes, else the one that was seen."""
        _, low, high, _ = self._joined()
        return {
            tap.name: imposed(tap) or _seen(range_of(low[:, i], high[:, i], percentile))
            for i, tap in enumerate(self.step_model.taps)
        }

    def trial(self, ranges: dict[str, Range]) -> Trial:
        """Simulate an integer network that rounds these taps, on the frames kept."""
        frames = np.concatenate(self._frames)
        probabilities, _, _, resets = (rows[: len(frames)] for rows in self._joined())
        start = self.step_model.initial_states()
        answers, _ = self.step_model.simulate(frames, start, resets.astype(np.bool_), ranges=ranges)
        return Trial(
            error=float(np.sqrt(np.square(answers - probabilities, dtype=np.float64).mean())),
            agreement=float((answers.argmax(axis=1) == probabilities.argmax(axis=1)).mean()),
        )

    def _joined(self) -> Rows:
        self._rows = [tuple(map(np.concatenate, zip(*self._rows, strict=True)))]
        return self._rows[0]


def observed(
    observation: Observation, frames: int | None = None, *, progress: Callable[[int, int], None] = lambda *_: None
) -> Observation:
    """Roll out until every state's range has settled: twice as many frames as before, from `ENOUGH_FRAMES` on.

    Args:
        observation: at its beginning.
        frames: exactly so many instead.
        progress: told how many of how many frames are done.

    Raises:
        CalibrationError: as `Observation.add`.
    """
    distinct = observation.stream.distinct
    most = frames or (MOST_FRAMES if distinct is None else min(MOST_FRAMES, ROUNDS * distinct))
    looking = frames or min(ENOUGH_FRAMES, most)
    for chunk in observation.stream.chunks(most):
        observation.add(chunk)
        progress(observation.frames, max(looking, observation.frames))
        if observation.frames >= looking:
            if all(each.settled is not None for each in observation.settling().values()):
                break
            looking = min(2 * looking, most)
    return observation


def imposed(tap: Tap) -> Range | None:
    """Return the range that the model itself imposes, by its formula or where it clips."""
    return tap.fixed or tap.bound


def _seen(measured: Range) -> Range:
    lowest, highest = (float(f"{value:.5g}") for value in measured)
    return (lowest, highest) if highest - lowest > _NARROWEST else (-_NARROWEST, _NARROWEST)
