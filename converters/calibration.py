"""The ranges of an integer network, from states as they really occur.

The float step model is rolled out over a long stream until its states' ranges have settled, and every tap's range is
taken from there. States that start at zero, or come from the first frames of clips, give ranges that a stream leaves:
docs/decisions/ tells what that costs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from converters.observation import Observation, imposed, observed
from converters.percentile import USUAL, best_percentile
from runtime.errors import FidelityError
from runtime.spec import CalibrationSpec, DecisionSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from converters.settling import Range, Settling
    from converters.step_model import StepModel
    from converters.stream import FrameStream
    from runtime.spec import Precision, ResetSpec


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The ranges of one precision.

    Attributes:
        ranges: lowest and highest value of each tap that is rounded, 0 always between them.
        spec: what the artifact says about it.
        settling: how each rounded state's range came about, where the model does not impose it.
    """

    ranges: dict[str, Range]
    spec: CalibrationSpec
    settling: dict[str, Settling] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse ranges of states that had not settled.

        Raises:
            FidelityError: naming a state, its range then and now, and what is needed.
        """
        restless = {name: each for name, each in self.settling.items() if each.settled is None}
        if restless:
            name = max(restless, key=lambda each: restless[each].needed or float("inf"))
            raise FidelityError(_words(name, restless[name]), report={"calibration": asdict(self.spec)})


def _words(name: str, state: Settling) -> str:
    """Say which state's range has not settled, how far it went, and what to do."""
    (before_low, before_high), (low, high) = state.before, state.after
    grew = (
        f"{before_low:.3g} to {before_high:.3g} over the first {state.frames // 2} frames of calibration, "
        f"{low:.3g} to {high:.3g} over all {state.frames}"
    )
    if state.needed is None:
        return (
            f"The range of state {name} keeps growing, {grew}; no number of frames is enough. Bound it with framestep "
            "quantize RUN --out NEW, train with a reset policy, or take --precision mixed or dynamic."
        )
    return (
        f"The range of state {name} has not settled: {grew}. About {state.needed} different frames would be enough: "
        "give so many with --calibrate (and no fewer with --calibration-frames), or bound the state with framestep "
        "quantize RUN --out NEW."
    )


def calibrate(
    step_model: StepModel,
    stream: FrameStream,
    *,
    reset: ResetSpec,
    decision: DecisionSpec | None = None,
    labels: Sequence[str] = (),
    frames: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Observation:
    """Roll a step model out over a stream, once for every precision; `ranges_for` takes the ranges from it.

    Args:
        step_model: the float model.
        stream: what it will see, cuts included.
        reset: the policy that the artifact will have; with `event` the model's own events reset it. A gap does not
            occur in a stream without one: what follows it is what follows the beginning.
        decision: how events come about.
        labels: in the probabilities' order; for `event` alone.
        frames: how many to roll out; None for as many as it takes until the states' ranges have settled.
        progress: told how many of how many frames are done.

    Raises:
        CalibrationError: where the stream's frames do not fit the model, or a value is not finite.
    """
    beginning = Observation(step_model, stream, reset=reset, decision=decision or DecisionSpec(), labels=labels)
    return observed(beginning, frames, progress=progress)


def ranges_for(observation: Observation, precision: Precision = "int8", percentile: float | None = None) -> Calibration:
    """Take the ranges of what a precision rounds.

    Args:
        observation: what `calibrate` gave.
        precision: `int8` rounds everything; `mixed` what is not inside of a cell or a dense layer.
        percentile: of a tap's extremes, frame by frame, that its range holds; 100 is all of them. None for the one
            with which an integer network, simulated, is the least off.
    """
    taps = {tap.name: tap for tap in observation.step_model.taps if tap.maps or precision != "mixed"}

    def ranges_at(percentile: float) -> dict[str, Range]:
        return {name: each for name, each in observation.ranges(percentile).items() if name in taps}

    if percentile is None:
        free = any(not imposed(tap) for tap in taps.values())
        percentile = best_percentile(lambda each: observation.trial(ranges_at(each)).error) if free else USUAL
    ranges = ranges_at(percentile)
    states = [state.name for state in observation.step_model.states if state.name in ranges]
    settling = {name: each for name, each in observation.settling().items() if name in ranges}
    settled = {name: settling[name].settled if name in settling else 0 for name in states}
    spec = CalibrationSpec(
        source=observation.stream.name,
        frames=observation.frames,
        cuts=observation.cuts,
        resets=observation.resets,
        percentile=percentile,
        state_ranges={name: ranges[name] for name in states},
        settled={name: frames for name, frames in settled.items() if frames is not None},
        ranges=ranges,
        bounded=tuple(name for name, tap in taps.items() if imposed(tap)),
    )
    return Calibration(ranges=ranges, spec=spec, settling=settling)
