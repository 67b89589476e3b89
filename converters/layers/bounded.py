"""Recurrent cells for tf_keras that can be trained with bounds, so that an 8-bit range is known and tight.

Without bounds each is the plain cell, bit for bit, and has the same weights: a trained network is given bounds by
changing its configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras

from converters.layers.formulas import PACKAGE, Limited, checked_bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Bounded(Limited):
    """What the three cells share; it stands before the plain cell among their bases."""

    def __init__(self, units: int, *, bounds: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)  # type: ignore[call-arg]  # the cell's
        self.bounds = checked_bounds(bounds)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "bounds": self.bounds}  # type: ignore[misc]  # the cell's

    @property
    def _is_plain(self) -> bool:
        return self.bounds is None and self.limiter is None

    def _dropped(self, inputs: Any, h: Any, *, training: bool | None, gates: int) -> tuple[Any, Any]:
        for_input = self.get_dropout_mask_for_cell(inputs, training, count=gates)  # type: ignore[attr-defined]  # the cell's
        for_h = self.get_recurrent_dropout_mask_for_cell(h, training, count=gates)  # type: ignore[attr-defined]  # the cell's
        return (
            inputs if for_input is None else inputs * _one(for_input),
            h if for_h is None else h * _one(for_h),
        )


def _one(mask: Any) -> Any:
    # One mask for all gates, as the plain cells do it in their fused form.
    return mask[0] if isinstance(mask, (list, tuple)) else mask


@tf_keras.saving.register_keras_serializable(package=PACKAGE)
class BoundedLSTMCell(_Bounded, tf_keras.layers.LSTMCell):  # type: ignore[misc]  # Keras ships no types
    """An LSTM cell whose products, pre-activations and c are clipped.

    Args:
        units: size of h and of c.
        bounds: see `checked_bounds`.
        **kwargs: those of `LSTMCell`.
    """

    def call(self, inputs: Any, states: Sequence[Any], *, training: bool | None = None) -> tuple[Any, list[Any]]:
        """Take [B, features] and the states h and c, [B, units]; give h and the next states."""
        if self._is_plain:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states)
        inputs, h = self._dropped(inputs, states[0], training=training, gates=4)
        from_input = tf.matmul(inputs, self._limit("kernel", self.kernel))
        if self.use_bias:
            from_input = from_input + self.bias
        from_h = tf.matmul(h, self._limit("recurrent_kernel", self.recurrent_kernel))
        summed = self._limit("from_input", from_input) + self._limit("from_h", from_h)
        return self._lstm_tail(self._limit("pre", summed), states[1], self.recurrent_activation, self.activation)


@tf_keras.saving.register_keras_serializable(package=PACKAGE)
class BoundedGRUCell(_Bounded, tf_keras.layers.GRUCell):  # type: ignore[misc]  # Keras ships no types
    """A GRU cell whose products and pre-activations are clipped; its h is bounded by construction.

    Args:
        units: size of h.
        bounds: see `checked_bounds`; `c` has no meaning here.
        **kwargs: those of `GRUCell`.
    """

    def call(self, inputs: Any, states: Any, *, training: bool | None = None) -> tuple[Any, list[Any]]:
        """Take [B, features] and the state h, [B, units]; give h and the next state."""
        h_before = states[0] if isinstance(states, (list, tuple)) else states
        if self._is_plain:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states) if isinstance(new_states, (list, tuple)) else [new_states]
        inputs, h = self._dropped(inputs, h_before, training=training, gates=3)
        units, kernel = self.units, self._limit("recurrent_kernel", self.recurrent_kernel)
        from_input = self._limit("from_input", self._product(inputs, self._limit("kernel", self.kernel), 0))
        z_input, r_input, g_input = tf.split(from_input, 3, axis=-1)
        if self.reset_after:
            z_h, r_h, g_h = tf.split(self._limit("from_h", self._product(h, kernel, 1)), 3, axis=-1)
        else:
            z_h, r_h = tf.split(self._limit("from_h", tf.matmul(h, kernel[:, : 2 * units])), 2, axis=-1)
        z = self._limit("z", self.recurrent_activation(self._limit("pre_z", z_input + z_h)))
        r = self._limit("r", self.recurrent_activation(self._limit("pre_r", r_input + r_h)))
        reset = self._limit("reset", r * (g_h if self.reset_after else h))
        g_h = reset if self.reset_after else self._limit("from_reset", tf.matmul(reset, kernel[:, 2 * units :]))
        g = self._limit("g", self.activation(self._limit("pre_g", g_input + g_h)))
        added = self._limit("added", self._limit("rest", 1 - z) * g)
        new_h = self._limit("h", self._limit("kept", z * h_before) + added)
        return new_h, [new_h]

    def _product(self, x: Any, kernel: Any, row: int) -> Any:
        product = tf.matmul(x, kernel)
        if not self.use_bias:
            return product
        # reset_after has one bias for each product, stacked as two rows.
        return product + (self.bias[row] if self.reset_after else self.bias)


@tf_keras.saving.register_keras_serializable(package=PACKAGE)
class BoundedRNNCell(_Bounded, tf_keras.layers.SimpleRNNCell):  # type: ignore[misc]  # Keras ships no types
    """A plain recurrent cell whose products and pre-activation are clipped.

    Args:
        units: size of h.
        bounds: see `checked_bounds`; `c` has no meaning here.
        **kwargs: those of `SimpleRNNCell`.
    """

    def call(self, inputs: Any, states: Any, *, training: bool | None = None) -> tuple[Any, list[Any]]:
        """Take [B, features] and the state h, [B, units]; give h and the next state."""
        if self._is_plain:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states) if isinstance(new_states, (list, tuple)) else [new_states]
        inputs, h = self._dropped(
            inputs, states[0] if isinstance(states, (list, tuple)) else states, training=training, gates=1
        )
        from_input = tf.matmul(inputs, self._limit("kernel", self.kernel))
        if self.use_bias:
            from_input = from_input + self.bias
        from_h = tf.matmul(h, self._limit("recurrent_kernel", self.recurrent_kernel))
        summed = self._limit("pre", self._limit("from_input", from_input) + self._limit("from_h", from_h))
        new_h = self._limit("h", summed if self.activation is None else self.activation(summed))
        return new_h, [new_h]
