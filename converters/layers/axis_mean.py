"""The mean over rows or over columns of a picture's maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf
import tf_keras

from converters.layers.formulas import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Sequence


@tf_keras.saving.register_keras_serializable(package=PACKAGE)
class AxisMean(tf_keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Average maps [batch, height, width, channels] over one axis, which goes.

    One MEAN in an artifact, which the delegate takes in int8; an average pool of that length it does not.

    Args:
        axis: 1 for the mean over rows, 2 for the mean over columns.
    """

    def __init__(self, *, axis: Literal[1, 2], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """Take [batch, height, width, channels]; give [batch, width or height, channels]."""
        return tf.reduce_mean(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape without the axis."""
        return (*input_shape[: self.axis], *input_shape[self.axis + 1 :])

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "axis": self.axis}
