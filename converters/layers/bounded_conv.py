"""A convolutional LSTM for tf_keras that can be trained with bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tf_keras

from converters.layers.formulas import PACKAGE, Limited, checked_bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Keras does not publish the class of the layer's cell.
_ConvLSTMCell: Any = type(tf_keras.layers.ConvLSTM2D(1, 1).cell)


class BoundedConvLSTMCell(Limited, _ConvLSTMCell):  # type: ignore[misc]  # Keras ships no types
    """A convolutional LSTM cell whose convolutions, pre-activations and c are clipped; see `BoundedConvLSTM2D`."""

    def __init__(self, *, bounds: Mapping[str, float] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bounds = checked_bounds(bounds)

    def call(self, inputs: Any, states: Sequence[Any], *, training: bool | None = None) -> tuple[Any, list[Any]]:
        """Take maps [B, rows, columns, channels] and the states h and c; give h and the next states."""
        if self.bounds is None and self.limiter is None:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states)
        from_input = self.input_conv(inputs, self._limit("kernel", self.kernel), self.bias, padding=self.padding)
        from_h = self.recurrent_conv(states[0], self._limit("recurrent_kernel", self.recurrent_kernel))
        summed = self._limit("from_input", from_input) + self._limit("from_h", from_h)
        return self._lstm_tail(self._limit("pre", summed), states[1], self.recurrent_activation, self.activation)


@tf_keras.saving.register_keras_serializable(package=PACKAGE)
class BoundedConvLSTM2D(tf_keras.layers.ConvLSTM2D):  # type: ignore[misc]  # Keras ships no types
    """A `ConvLSTM2D` that clips in its cell; without bounds it is the plain layer, bit for bit.

    Args:
        filters: see `ConvLSTM2D`.
        kernel_size: see `ConvLSTM2D`.
        bounds: see `checked_bounds`.
        **kwargs: those of `ConvLSTM2D`, without dropout.
    """

    cell: Any

    def __init__(
        self, filters: int, kernel_size: Any, *, bounds: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self.bounds = checked_bounds(bounds)
        self.cell = BoundedConvLSTMCell(rank=2, bounds=self.bounds, **self.cell.get_config())

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "bounds": self.bounds}
