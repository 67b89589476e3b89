"""How far an artifact's answers on a long stream are from the trained float model's, and the gate on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from converters.drift import by_construction, stray_of
from converters.reference import FloatSide, deciding
from converters.resets import Walk, resets_of
from converters.stream import NO_LABEL
from converters.tally import CONFIDENT_MARGIN, Tally
from runtime.errors import ConversionError, FidelityError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from converters.reference import Reference
    from converters.resets import Rows
    from converters.step_model import StepModel
    from converters.stream import FrameStream
    from runtime.spec import FidelitySpec, Spec
    from runtime.stepper import Stepper

FIDELITY_FRAMES = 3000


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What an artifact must hold to be handed over.

    An int8 artifact's states must, moreover, lie within their ranges on most of the last tenth's frames: beyond them it
    answers from a state that it cannot hold, however often that agrees as yet.

    Attributes:
        min_agreement: fraction of frames with the float model's argmax, overall and in the last tenth.
        max_accuracy_drop: by which the accuracy may fall, where labels exist.
        max_confident_disagreements: frames on which it may differ although the float model was confident; None for any
            number.
    """

    min_agreement: float = 0.99
    max_accuracy_drop: float = 0.01
    max_confident_disagreements: int | None = None

    def check(
        self, fidelity: FidelitySpec, report: Mapping[str, object] | None = None, *, spec: Spec | None = None
    ) -> None:
        """Let a fidelity pass, or raise.

        Args:
            fidelity: what was measured.
            report: what the error carries; the figures of `fidelity` where none is given.
            spec: the artifact's, which lets the error tell what went wrong and what to do.

        Raises:
            FidelityError: with the first figure that does not hold.
        """
        failure = self._failure(fidelity) or _outside(fidelity, spec)
        if failure is not None:
            figures = dict(report) if report is not None else asdict(fidelity)
            raise FidelityError(f"{failure} {_remedy(fidelity, spec)}", report=figures)

    def _failure(self, fidelity: FidelitySpec) -> str | None:
        over = f"over {fidelity.frames} frames"
        for where, agreement in (("", fidelity.agreement), (" in the last tenth", fidelity.agreement_last)):
            if agreement < self.min_agreement:
                return f"Agreement with the float model {over}{where} is {agreement:.4f}, below {self.min_agreement:g}."
        if fidelity.accuracy is not None and fidelity.accuracy_reference is not None:
            drop = fidelity.accuracy_reference - fidelity.accuracy
            if drop > self.max_accuracy_drop:
                return (
                    f"Accuracy {over} falls by {drop:.4f}, from {fidelity.accuracy_reference:.4f} to "
                    f"{fidelity.accuracy:.4f}, more than {self.max_accuracy_drop:g}."
                )
        confident, most = fidelity.confident_disagreements, self.max_confident_disagreements
        if confident is not None and most is not None and confident > most:
            return (
                f"It differs from the float model on {confident} of {fidelity.frames} frames of which that was sure by "
                f"more than {CONFIDENT_MARGIN:g}; at most {most} may."
            )
        return None


def _outside(fidelity: FidelitySpec, spec: Spec | None) -> str | None:
    """Tell that a state of an int8 artifact is more often out of its range than in it, whatever a percentile leaves."""
    if spec is None or spec.precision != "int8" or spec.calibration is None:
        return None
    usual = by_construction(spec.calibration.percentile)
    stray = stray_of(fidelity, spec.calibration)
    if stray is None or (stray.drift.outside_last or 0.0) <= usual + (1 - usual) / 2:
        return None
    return f"The states of {fidelity.frames} frames do not fit into the artifact's ranges."


def _remedy(fidelity: FidelitySpec, spec: Spec | None) -> str:
    """Say which state left its range, if one did, and what to do."""
    if spec is None:
        return "Take another --precision, or calibrate on more of what it will see."
    stray = stray_of(fidelity, spec.calibration)
    if stray is not None:
        return (
            f"{stray.words()}. Calibrate on more of what it will see, bound it with framestep quantize, take another "
            "--precision, or train it with a reset policy."
        )
    if spec.precision == "float32":
        return "Nothing was rounded: compare it with the very model that it was converted from."
    if spec.precision == "float16":
        return "Take --precision float32, or compare it with the very model that it was converted from."
    ranges = "No state left its calibrated range. " if spec.calibration is not None and fidelity.states else ""
    other = {"int8": "mixed", "mixed": "dynamic"}.get(spec.precision, "float16")
    return f"{ranges}Bound it with framestep quantize, or take another --precision, such as {other}."


def measure_fidelity(
    step_model: StepModel,
    stepper: Stepper,
    stream: FrameStream,
    *,
    frames: int = FIDELITY_FRAMES,
    reference: Reference | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> FidelitySpec:
    """Run the float step model and an artifact side by side over a stream, in the same memory at any length.

    Both obey the reset policy of the artifact's spec; at `event`, each by events of its own.

    Args:
        step_model: the float model.
        stepper: over the artifact; its states are reset first.
        stream: frames with or without labels. A label that the artifact does not have counts as none.
        frames: how many.
        reference: the float model's answers on this stream, where they are known; it is not rolled out then.
        progress: told the number of frames done.

    Raises:
        ConversionError: where the stream ends early, the reference does not fit, or the float model's answers are not
            finite.
    """
    spec = stepper.spec
    if reference is not None:
        reference.check(stream, spec.reset, spec.decision, frames)
    number = _numbers(stream.labels or (), spec.labels)
    ranges = {} if spec.calibration is None else spec.calibration.state_ranges
    tally = Tally(frames, [state.name for state in step_model.states], ranges)
    ours = FloatSide(step_model, labels=spec.labels, reset=spec.reset, decision=spec.decision)
    theirs = _ArtifactSide(stepper)
    for chunk in stream.chunks(frames):
        known = ours.rows(chunk.frames) if reference is None else reference.rows(tally.done, len(chunk))
        tally.add(theirs.answers(chunk.frames), known, number[chunk.labels])
        progress(tally.done)
    if tally.done != frames:
        raise ConversionError(f"The stream {stream.name} gave {tally.done} frames where {frames} were asked for.")
    return tally.result(stream.name)


def _numbers(theirs: Sequence[str], ours: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the table from a stream's label numbers to the model's; its last entry stands for `NO_LABEL`."""
    return np.array([ours.index(label) if label in ours else NO_LABEL for label in theirs] + [NO_LABEL])


class _ArtifactSide:
    """The artifact on its way along a stream."""

    def __init__(self, stepper: Stepper) -> None:
        spec = stepper.spec
        self._stepper = stepper
        self._walk = Walk(spec.reset, deciding(spec.reset, spec.decision, spec.labels))
        stepper.reset()

    def answers(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Step through the next frames."""

        def step(part: slice, resets: npt.NDArray[np.bool_]) -> Rows:
            rows = []
            for frame, reset in zip(frames[part], resets, strict=True):
                if reset:
                    self._stepper.reset()
                rows.append(self._stepper.step(frame))
            return (np.stack(rows),)

        (probabilities,) = self._walk.along(resets_of(self._stepper.spec.reset, self._walk.frames, len(frames)), step)
        return probabilities
