"""Whether the step says what the model says of the whole clip."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.errors import ConversionError

if TYPE_CHECKING:
    import numpy.typing as npt

    from converters.step_model import StepModel

PARITY_TOLERANCE = 1e-5
"""Of a probability in float32: some hundred roundings of 6e-8 between two orders of summation."""

PARITY_FRAMES = 30

_PREFIXES = 6


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """How far the step is from the model.

    Attributes:
        frames: of each of the passes: from the start, after a reset, and across a snapshot that is restored.
        max_error: largest difference of a probability in any of them.
    """

    frames: int
    max_error: float

    def check(self) -> None:
        """Raise where the step does not say what the model says.

        Raises:
            ConversionError: above `PARITY_TOLERANCE`.
        """
        if not self.max_error <= PARITY_TOLERANCE:
            raise ConversionError(
                f"The step differs from the model by {self.max_error:.2g} over {self.frames} frames, more than "
                f"{PARITY_TOLERANCE:g}. Report the model's layers as a fault of framestep."
            )


def measure_parity(model: Any, step_model: StepModel, *, frames: int = PARITY_FRAMES, seed: int = 0) -> ParityReport:
    """Compare the step with the whole clip on random pixels.

    The step's answer at frame t is held against the last answer of the model for the frames up to t.

    Args:
        model: the one that `step_model` was built from.
        step_model: its step.
        frames: of a pass; a model of a fixed clip length takes whole clips, as many as cover them.
        seed: of the pixels.
    """
    model = _in_float32(model)
    length = step_model.clip_length
    if length is not None:
        frames = -(-frames // length) * length
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (frames, *step_model.frame_shape), np.uint8)
    expected, known = _reference(model, step_model, pixels)
    resets = np.zeros(frames, np.bool_)
    if length is not None and not _carries_over(model):
        # Such a model knows nothing of the clip before.
        resets[::length] = True
    start, states = step_model.roll_out(pixels, step_model.initial_states(), resets)
    resets_first = resets.copy()
    resets_first[0] = True
    after_reset, _ = step_model.roll_out(pixels, states, resets_first)
    half = frames // 2
    first, snapshot = step_model.roll_out(pixels[:half], step_model.initial_states(), resets[:half])
    snapshot = {name: value.copy() for name, value in snapshot.items()}
    step_model.roll_out(pixels[:half], snapshot, None)  # another stream passes between
    second, _ = step_model.roll_out(pixels[half:], snapshot, resets[half:])
    restored = np.concatenate([first, second])
    errors = [np.abs(answers[known] - expected).max() for answers in (start, after_reset, restored)]
    return ParityReport(frames=frames, max_error=float(np.max(errors)))


def _reference(
    model: Any, step_model: StepModel, pixels: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the model's answers [k, classes] and the k frames that they are of."""
    x = pixels.astype(np.float32) * np.float32(step_model.input_scale) + np.float32(step_model.input_offset)
    count = len(pixels)
    every = np.arange(count)
    if not step_model.timed_input:
        return _finished(step_model, np.concatenate([_predict(model, one[None]) for one in x])), every
    _reset(model)
    length = step_model.clip_length
    if length is not None:
        answers = [_predict(model, x[None, start : start + length])[0] for start in range(0, count, length)]
        if step_model.timed_output:
            return _finished(step_model, np.concatenate(answers)), every
        return _finished(step_model, np.stack(answers)), every[length - 1 :: length]
    if step_model.timed_output:
        return _finished(step_model, _predict(model, x[None])[0]), every
    if _carries_over(model):
        return _finished(step_model, np.concatenate([_predict(model, x[None, t : t + 1]) for t in every])), every
    # The last answer alone is given: a clip for each of some lengths, closer together where states are young.
    ends = np.unique(np.geomspace(1, count, num=_PREFIXES).astype(np.intp)) - 1
    answers = [_predict(model, x[None, : end + 1]) for end in ends]
    return _finished(step_model, np.concatenate(answers)), ends


def _predict(model: Any, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Call the model on one clip outside training, its batch filled where that has a fixed size.

    It is not compiled: with a number of frames that is not known when it is, Keras 3.15's TimeDistributed(Flatten())
    answers wrongly.
    """
    batch = next(iter(model.inputs[0].shape))
    with warnings.catch_warnings():
        # Keras 3 warns where a model was made with its one input in a list.
        warnings.filterwarnings("ignore", message="(?s).*structure of `inputs`", category=UserWarning)
        answer = model(np.repeat(x, batch or 1, axis=0), training=False)
    while isinstance(answer, (list, tuple, dict)):  # one output, in the structure that the model was made with
        answer = next(iter(answer.values() if isinstance(answer, dict) else answer))
    return np.asarray(answer, np.float32)[:1]


_SHORT_FLOATS = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


def _in_float32(model: Any) -> Any:
    """Return the model computing in float32, as the step does; one trained in mixed precision is made anew."""
    config = model.get_config()
    whole = _without_short_floats(config)
    if whole == config:
        return model
    again = type(model).from_config(whole)
    again.set_weights(model.get_weights())
    return again


def _without_short_floats(config: Any, key: str = "") -> Any:
    """Replace the short floats in the places where a configuration names a layer's type or its policy."""
    if isinstance(config, dict):
        return {name: _without_short_floats(value, name) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_without_short_floats(value, key) for value in config)
    return "float32" if key in ("dtype", "name") and config in _SHORT_FLOATS else config


def _finished(step_model: StepModel, answers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Do to the model's answers what the step does to its own."""
    if step_model.finish == "binary":
        return np.concatenate([1 - answers, answers], axis=-1)
    if step_model.finish == "softmax":
        powers = np.exp(answers - answers.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
    return answers


def _layers(layer: Any) -> list[Any]:
    below = list(getattr(layer, "layers", None) or [])
    inner = getattr(layer, "layer", None)
    return [layer, *(found for child in below + ([inner] if inner is not None else []) for found in _layers(child))]


def _carries_over(model: Any) -> bool:
    """Tell whether the model keeps its states from call to call."""
    return any(getattr(layer, "stateful", False) and hasattr(layer, "cell") for layer in _layers(model))


def _reset(model: Any) -> None:
    for layer in _layers(model):
        if getattr(layer, "stateful", False) and hasattr(layer, "cell"):
            (layer.reset_state if hasattr(layer, "reset_state") else layer.reset_states)()
