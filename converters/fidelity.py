"""How far an artifact's answers on a long stream are from the trained float model's, and the gate on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from converters.resets import resets_of
from converters.stream import NO_LABEL
from runtime.errors import ConversionError, FidelityError
from runtime.spec import FidelitySpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from converters.step_model import StepModel
    from converters.stream import FrameStream, StreamChunk
    from runtime.spec import ResetSpec
    from runtime.stepper import Stepper

FIDELITY_FRAMES = 3000


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What an artifact must hold to be handed over.

    Attributes:
        min_agreement: fraction of frames with the float model's argmax, overall and in the last tenth.
        max_accuracy_drop: by which the accuracy may fall, where labels exist.
    """

    min_agreement: float = 0.99
    max_accuracy_drop: float = 0.01

    def check(self, fidelity: FidelitySpec, report: Mapping[str, object] | None = None) -> None:
        """Let a fidelity pass, or raise.

        Args:
            fidelity: what was measured.
            report: what the error carries; the figures of `fidelity` where none is given.

        Raises:
            FidelityError: with the first figure that does not hold.
        """
        figures = dict(report) if report is not None else asdict(fidelity)
        for where, agreement in (("", fidelity.agreement), (" in the last tenth", fidelity.agreement_last)):
            if agreement < self.min_agreement:
                raise FidelityError(
                    f"Agreement with the float model over {fidelity.frames} frames{where} is {agreement:.4f}, below "
                    f"{self.min_agreement:g}. Try --precision dynamic, or calibrate on more of what it will see.",
                    report=figures,
                )
        if fidelity.accuracy is None or fidelity.accuracy_reference is None:
            return
        if (drop := fidelity.accuracy_reference - fidelity.accuracy) > self.max_accuracy_drop:
            raise FidelityError(
                f"Accuracy over {fidelity.frames} frames falls by {drop:.4f}, from {fidelity.accuracy_reference:.4f} "
                f"to {fidelity.accuracy:.4f}, more than {self.max_accuracy_drop:g}. Try --precision dynamic.",
                report=figures,
            )


def measure_fidelity(
    step_model: StepModel,
    stepper: Stepper,
    stream: FrameStream,
    *,
    labels: Sequence[str],
    reset: ResetSpec,
    frames: int = FIDELITY_FRAMES,
    progress: Callable[[int], None] = lambda _: None,
) -> FidelitySpec:
    """Run the float step model and an artifact side by side over a stream, in bounded memory.

    Args:
        step_model: the reference.
        stepper: over the artifact; its states are reset first.
        stream: frames with or without labels.
        labels: the model's, in the order of its probabilities. A stream's label that is not among them counts as none.
        reset: the policy that both obey.
        frames: how many.
        progress: told the number of frames done.
    """
    agrees = np.zeros(frames, np.bool_)
    squared, labelled, right, right_reference = 0.0, 0, 0, 0
    number = _numbers(stream.labels or (), labels)
    states, done = step_model.initial_states(), 0
    stepper.reset()
    for chunk in stream.chunks(frames):
        back = resets_of(reset, done, len(chunk))
        reference, states = step_model.roll_out(chunk.frames, states, back)
        answers = _answers(stepper, chunk, back)
        chosen, expected = answers.argmax(1), reference.argmax(1)
        agrees[done : done + len(chunk)] = chosen == expected
        squared += float(np.square(answers - reference, dtype=np.float64).mean(1).sum())
        truth = number[chunk.labels]
        known = truth != NO_LABEL
        labelled += int(known.sum())
        right += int((chosen == truth)[known].sum())
        right_reference += int((expected == truth)[known].sum())
        done += len(chunk)
        progress(done)
    if done != frames:
        raise ConversionError(f"The stream {stream.name} gave {done} frames where {frames} were asked for.")
    tenth = max(1, frames // 10)
    return FidelitySpec(
        source=stream.name,
        frames=frames,
        agreement=float(agrees.mean()),
        agreement_first=float(agrees[:tenth].mean()),
        agreement_last=float(agrees[-tenth:].mean()),
        rmse=float(np.sqrt(squared / frames)),
        accuracy=right / labelled if labelled else None,
        accuracy_reference=right_reference / labelled if labelled else None,
    )


def _numbers(theirs: Sequence[str], ours: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the table from a stream's label numbers to the model's; its last entry stands for `NO_LABEL`."""
    return np.array([ours.index(label) if label in ours else NO_LABEL for label in theirs] + [NO_LABEL])


def _answers(stepper: Stepper, chunk: StreamChunk, resets: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    answers = []
    for frame, reset in zip(chunk.frames, resets, strict=True):
        if reset:
            stepper.reset()
        answers.append(stepper.step(frame))
    return np.stack(answers)
