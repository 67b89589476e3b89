"""One way to ask whatever predicts: a trained run's step form, or an artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from converters.step_model import StepModel
    from runtime.engine import Engine


class Predictor(Protocol):
    """One stream through a model, some frames at a time."""

    def reset(self) -> None:
        """Go back to the initial states."""

    def predict(
        self, frames: npt.NDArray[np.uint8], resets: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """Step through frames, going on from the states that the call before left.

        Args:
            frames: uint8 [n, height, width, channels].
            resets: bool [n]; where true, the states go back before that frame.

        Returns:
            Probabilities, float32 [n, classes].
        """


class StepModelPredictor:
    """A trained model's float step form.

    Args:
        model: what `build_step_model` gave.
    """

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self._states = model.initial_states()

    def reset(self) -> None:
        """See `Predictor`."""
        self._states = self._model.initial_states()

    def predict(
        self, frames: npt.NDArray[np.uint8], resets: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """See `Predictor`."""
        probabilities, self._states = self._model.roll_out(np.ascontiguousarray(frames), self._states, resets)
        return probabilities


class ArtifactPredictor:
    """An artifact in the interpreter that would run it.

    Args:
        engine: with the artifact loaded.
    """

    def __init__(self, engine: Engine) -> None:
        self._stepper = engine.stepper()

    def reset(self) -> None:
        """See `Predictor`."""
        self._stepper.reset()

    def predict(
        self, frames: npt.NDArray[np.uint8], resets: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """See `Predictor`."""
        probabilities = []
        for i, frame in enumerate(frames):
            if resets is not None and resets[i]:
                self._stepper.reset()
            probabilities.append(self._stepper.step(frame))
        return np.stack(probabilities)
