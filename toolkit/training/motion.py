"""What a cell is also asked while it learns: where to the motion went.

Classes that differ in order alone – clockwise and counterclockwise – give a cell nothing to begin with: until it holds
on to where something was, no error tells it to. For a long time it learns tracks by heart instead. The way that the
middle of the motion took over the last frames needs no label, is the same kind of knowledge, and can be told from the
first step on. The question is asked less and less, and is gone at the end: what is left is a model like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

LAG_FRAMES = 2
"""The way is that between this frame and the one so many before."""

_PARTS = 16.0
"""Of the picture's width and height: one of them in so many frames is a way of 1."""

_LONGEST = 3.0
"""A way above this is a cut, or as good as one."""

_EMPTY = 1e-3
"""Strength of motion that is none: what little there is then stays in the middle."""


class MotionTask:
    """A linear layer from a cell's outputs to the way that the motion's middle took, and how wrong it is.

    Args:
        outputs: of the cell, in numbers a frame.
    """

    def __init__(self, outputs: int) -> None:
        # From zero it learns at once, and nothing needs to be drawn.
        self.kernel = tf.Variable(tf.zeros([outputs, 2]), name="motion_kernel")
        self.bias = tf.Variable(tf.zeros([2]), name="motion_bias")

    @property
    def trainable(self) -> list[Any]:
        """The layer's variables."""
        return [self.kernel, self.bias]

    def restore(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """Take the values that `trainable` had."""
        for variable, value in zip(self.trainable, values, strict=True):
            variable.assign(value)

    def loss(self, moving: Any, outputs: Any) -> Any:
        """Tell how far off the layer is, a mean absolute error over frames and both axes.

        Args:
            moving: float32 [batch, time, height, width, channels], 0 where nothing moves.
            outputs: float32 [batch, time, outputs] of the cell.
        """
        told = tf.tensordot(outputs[:, LAG_FRAMES:], self.kernel, 1) + self.bias
        return tf.reduce_mean(tf.abs(told - _ways(moving)))


def moving_part(seen: Any, *, is_difference: bool) -> Any:
    """Give what moves in what the encoder sees: the difference of frames, where it is not that already."""
    if is_difference:
        return seen
    return tf.pad(tf.abs(seen[:, 1:] - seen[:, :-1]), [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])


def _ways(moving: Any) -> Any:
    """Give the ways of the middle of the motion, [batch, time - LAG_FRAMES, 2]."""
    strength = tf.reduce_sum(tf.square(moving), axis=-1)
    middles = tf.stack([_middle(tf.reduce_sum(strength, axis=axis)) for axis in (2, 3)], axis=-1)
    ways = _PARTS * (middles[:, LAG_FRAMES:] - middles[:, :-LAG_FRAMES])
    return tf.clip_by_value(ways, -_LONGEST, _LONGEST)


def _middle(strength: Any) -> Any:
    """Give the centre of mass of each line [..., length], as a fraction of it from its middle."""
    length = tf.cast(tf.shape(strength)[-1], tf.float32)
    places = (tf.range(length) + 0.5) / length - 0.5
    return tf.reduce_sum(strength * places, axis=-1) / (tf.reduce_sum(strength, axis=-1) + _EMPTY)
