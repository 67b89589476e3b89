"""A model taken apart, so that training sees states, orders and joins that clips alone do not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras

from converters.layers import FrameDifference
from toolkit.evaluation.clips import clip_answer
from toolkit.training.motion import moving_part
from toolkit.training.warping import warped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from toolkit.data.dataset import Clip

_FRAMES_AT_ONCE = 2048
"""Frames of one evaluation batch: bounds its memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a model says of clips.

    Attributes:
        probabilities: float32 [t, classes] of each clip.
        labels: of each clip, the class that is right.
        loss: mean cross-entropy over the frames of every clip's last half.
    """

    probabilities: tuple[npt.NDArray[np.float32], ...]
    labels: tuple[int, ...]
    loss: float

    @property
    def answers(self) -> tuple[int, ...]:
        """Each clip's class; see `clip_answer`."""
        return tuple(clip_answer(row) for row in self.probabilities)

    @property
    def accuracy(self) -> float:
        """The fraction of the clips told right."""
        return float(np.mean(np.equal(self.answers, self.labels)))

    @property
    def frame_accuracy(self) -> float:
        """The fraction of right frames in the clips' last halves."""
        halves = (row[len(row) // 2 :].argmax(-1) for row in self.probabilities)
        return float(np.mean([(half == label).mean() for half, label in zip(halves, self.labels, strict=True)]))


class Network:
    """A model of `build_model`'s structure by its parts: difference, encoder, cell and head.

    The parts are the model's own layers: what trains one trains the other.

    Args:
        model: with the layers `per_frame` (around the encoder) and, unless it forgets, `cell`.
        scale: with `offset`, what makes a pixel the number that the model takes.
        offset: see `scale`.
    """

    def __init__(self, model: Any, *, scale: float, offset: float) -> None:
        self.model = model
        self.encoder = model.get_layer("per_frame").layer
        self._scale, self._offset = scale, offset
        names = [layer.name for layer in model.layers]
        first = model.layers[1]
        self._difference = first if isinstance(first, FrameDifference) else None
        cell = model.get_layer("cell") if "cell" in names else None
        self._cell = None if cell is None else _with_states(cell)
        self._head = model.layers[names.index("per_frame" if cell is None else "cell") + 1 :]
        two = tf.TensorSpec([None, None], tf.bool)
        picture = self.encoder.input_shape[1:]
        self._answer = tf.function(
            self._probabilities,
            input_signature=(tf.TensorSpec([None, None, *picture], tf.uint8), two, tf.TensorSpec(two.shape, tf.int32)),
        )

    @property
    def trainable(self) -> list[Any]:
        """The variables that training changes."""
        return list(self.model.trainable_variables)

    def initial_states(self, rows: int) -> list[Any]:
        """Give zero states for so many rows; [] for a cell that carries none over."""
        if not isinstance(self._cell, tf_keras.layers.RNN) or isinstance(self._cell, tf_keras.layers.ConvLSTM2D):
            return []
        sizes = self._cell.cell.state_size
        return [tf.zeros([rows, size]) for size in (sizes if isinstance(sizes, (list, tuple)) else [sizes])]

    def logits(
        self, frames: Any, still: Any, order: Any, states: Sequence[Any], *, training: bool, warps: Any = None
    ) -> tuple[Any, list[Any]]:
        """Compute what stands before the softmax; see `Batch` for the shapes.

        Returns:
            float32 [batch, time, classes], and the states after the last frame.
        """
        outputs, states = self.remembered(self.seen(frames, still, order, warps), states, training=training)
        return self.judged(outputs), states

    def remembered(self, seen: Any, states: Sequence[Any], *, training: bool) -> tuple[Any, list[Any]]:
        """Compute what the cell gives for what the encoder sees; the encoder's features where there is no cell.

        Returns:
            float32 [batch, time, ...], and the states after the last frame.
        """
        shape = tf.shape(seen)
        folded = self.encoder(tf.reshape(seen, tf.concat([[-1], shape[2:]], 0)), training=training)
        features = tf.reshape(folded, tf.concat([shape[:2], tf.shape(folded)[1:]], 0))
        features.set_shape([None, None, *folded.shape[1:]])
        if self._cell is None:
            return features, []
        if not states:
            return self._cell(features, training=training)[0], []
        outputs, *states = self._cell(features, initial_state=list(states), training=training)
        return outputs, list(states)

    def judged(self, outputs: Any) -> Any:
        """Compute the logits of what `remembered` gives."""
        for layer in self._head[:-1]:
            outputs = layer(outputs)
        return outputs

    def seen(self, frames: Any, still: Any, order: Any, warps: Any = None) -> Any:
        """Compute what the encoder sees: normalised pictures or differences, float32 of the frames' shape."""
        seen = tf.cast(frames, tf.float32) * self._scale + self._offset
        if self._difference is not None:
            seen = tf.where(still[:, :, None, None, None], 0.0, self._difference(seen))
        if warps is not None:
            seen = warped(seen - self._offset, warps, 255 * self._scale) + self._offset
        return tf.gather(seen, order, batch_dims=1)

    def moving(self, seen: Any) -> Any:
        """Give the part of what the encoder sees that moves; see `moving_part`."""
        return moving_part(seen, is_difference=self._difference is not None)

    def cell_outputs(self, features: Any) -> tuple[Any, list[Any]]:
        """Give the cell's answers, and every state after every frame, [batch, time, units] each.

        The states are [] for a cell that is not an `RNN` of a plain cell.
        """
        if self._cell is None:
            return features, []
        states = self.initial_states(int(features.shape[0]))
        if not states:
            return self._cell(features, training=False)[0], []
        outputs, passed = [], []
        for frame in tf.unstack(features, axis=1):
            output, states = self._cell.cell(frame, states, training=False)
            outputs.append(output)
            passed.append(states)
        return tf.stack(outputs, 1), [tf.stack(each, 1) for each in zip(*passed, strict=True)]

    @property
    def head(self) -> list[Any]:
        """The layers after the cell, in their order."""
        return list(self._head)

    def answers(self, clips: Sequence[Clip], *, shuffled_seed: int | None = None) -> Answers:
        """Show every clip from the initial state.

        Args:
            clips: of any lengths.
            shuffled_seed: the cell meets the frames in the order that this draws; None for their own.
        """
        given: list[npt.NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(clips)
        losses = []
        for places in _batches_of_one_length(clips):
            frames = np.stack([clips[i].frames for i in places])
            order = np.stack([_order(clips[i], i, shuffled_seed) for i in places])
            probabilities = self._answer(frames, np.zeros(frames.shape[:2], np.bool_), order).numpy()
            for i, row in zip(places, probabilities, strict=True):
                given[i] = row
                losses.append(float(-np.log(np.maximum(row[len(row) // 2 :, clips[i].label], 1e-7)).mean()))
        return Answers(
            probabilities=tuple(given), labels=tuple(clip.label for clip in clips), loss=float(np.mean(losses))
        )

    def _probabilities(self, frames: Any, still: Any, order: Any) -> Any:
        logits, _ = self.logits(frames, still, order, [], training=False)
        return tf.nn.softmax(logits)


def _with_states(layer: Any) -> Any:
    """Give a layer around the same cell that also tells its last states."""
    if isinstance(layer, tf_keras.layers.ConvLSTM2D) or not isinstance(layer, tf_keras.layers.RNN):
        return _Alone(layer)
    return tf_keras.layers.RNN(layer.cell, return_sequences=True, return_state=True)


class _Alone:
    """A recurrent layer that always starts from its initial state, called as the others are."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, features: Any, *, training: bool) -> tuple[Any]:
        return (self._layer(features, training=training),)


def _batches_of_one_length(clips: Sequence[Clip]) -> Iterator[list[int]]:
    """Places of clips of one length, few enough for the memory."""
    by_length: dict[int, list[int]] = {}
    for i, clip in enumerate(clips):
        by_length.setdefault(len(clip.frames), []).append(i)
    for length, places in sorted(by_length.items()):
        count = max(1, _FRAMES_AT_ONCE // length)
        for first in range(0, len(places), count):
            yield places[first : first + count]


def _order(clip: Clip, place: int, seed: int | None) -> npt.NDArray[np.int32]:
    if seed is None:
        return np.arange(len(clip.frames), dtype=np.int32)
    return np.random.default_rng((seed, place)).permutation(len(clip.frames)).astype(np.int32)
