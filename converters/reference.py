"""The float model's side of a comparison, rolled out once for every artifact that is measured on a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converters.resets import Walk, resets_of
from runtime.decision import Decision
from runtime.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from converters.resets import Rows
    from converters.step_model import StepModel
    from converters.stream import FrameStream
    from runtime.spec import DecisionSpec, ResetSpec

_AHEAD = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """The float model's answers on a stream's first frames.

    Attributes:
        stream: what it saw.
        reset: the policy that the states obeyed.
        decision: how its own events came about, which matters to the policy `event` alone.
        probabilities: float32 [frames, classes].
        lowest: of each state's elements after each frame, float32 [frames, states].
        highest: see `lowest`.
    """

    stream: FrameStream
    reset: ResetSpec
    decision: DecisionSpec
    probabilities: npt.NDArray[np.float32]
    lowest: npt.NDArray[np.float32]
    highest: npt.NDArray[np.float32]

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.probabilities)

    def rows(self, first: int, count: int) -> Rows:
        """Return probabilities, lowest and highest of consecutive frames."""
        part = slice(first, first + count)
        return self.probabilities[part], self.lowest[part], self.highest[part]

    def check(self, stream: FrameStream, reset: ResetSpec, decision: DecisionSpec, frames: int) -> None:
        """Refuse to stand for another stream, policy or length.

        Raises:
            ConversionError: where it is not what would be rolled out.
        """
        at_events = reset.policy == "event"
        same = self.stream == stream and self.reset == reset and (self.decision == decision or not at_events)
        if not same or self.frames < frames:
            raise ConversionError(
                f"The reference was rolled out over {self.frames} frames of {self.stream.name} with {self.reset}; "
                f"{frames} of {stream.name} with {reset} are to be measured. Roll it out anew."
            )


def roll_reference(
    step_model: StepModel,
    stream: FrameStream,
    *,
    labels: Sequence[str],
    reset: ResetSpec,
    decision: DecisionSpec,
    frames: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Reference:
    """Roll the float model out, and keep what a comparison needs: some bytes a frame, never the frames.

    Args:
        step_model: the float model.
        stream: what it sees.
        labels: in the probabilities' order.
        reset: the policy that its states obey.
        decision: how its own events come about, for the policy `event`.
        frames: how many.
        progress: told the number of frames done.

    Raises:
        ConversionError: where an answer or a state is not finite.
    """
    side = FloatSide(step_model, labels=labels, reset=reset, decision=decision)
    widths = (step_model.classes, len(step_model.states), len(step_model.states))
    kept = tuple(np.empty((frames, width), np.float32) for width in widths)
    done = 0
    for chunk in stream.chunks(frames):
        for whole, part in zip(kept, side.rows(chunk.frames), strict=True):
            whole[done : done + len(chunk)] = part
        done += len(chunk)
        progress(done)
    probabilities, lowest, highest = kept
    return Reference(
        stream=stream,
        reset=reset,
        decision=decision,
        probabilities=probabilities,
        lowest=lowest,
        highest=highest,
    )


class FloatSide:
    """The float model on its way along a stream.

    Args:
        step_model: which.
        labels: in the probabilities' order.
        reset: the policy that its states obey.
        decision: how its own events come about, for the policy `event`.
    """

    def __init__(
        self, step_model: StepModel, *, labels: Sequence[str], reset: ResetSpec, decision: DecisionSpec
    ) -> None:
        self._step_model = step_model
        self._reset = reset
        self._walk = Walk(reset, deciding(reset, decision, labels), ahead=_AHEAD)
        self._states = step_model.initial_states()

    def rows(self, frames: npt.NDArray[np.uint8]) -> Rows:
        """Step through the next frames; return probabilities, lowest and highest, see `Reference`.

        Raises:
            ConversionError: where one of them is not finite.
        """
        first = self._walk.frames

        def step(part: slice, resets: npt.NDArray[np.bool_]) -> Rows:
            trace, self._states = self._step_model.trace(frames[part], self._states, resets)
            return trace.probabilities, trace.lowest, trace.highest

        rows = self._walk.along(resets_of(self._reset, first, len(frames)), step)
        if not all(np.isfinite(row).all() for row in rows):
            raise ConversionError(
                f"The float model's answers or states are no finite numbers from frame {first} on, or soon after. "
                "Train it again, or give it a reset policy."
            )
        return rows


def deciding(reset: ResetSpec, decision: DecisionSpec, labels: Sequence[str]) -> Decision | None:
    """Make the events that the policy `event` needs; None for the others, which need none."""
    return Decision(decision, labels) if reset.policy == "event" else None
