"""Recurrent cells for tf_keras that can be trained with bounds, so that an 8-bit range is known and tight.

Without bounds each is the plain cell, bit for bit, and has the same weights: a trained network is given bounds by
changing its configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras

from converters.layers.formulas import PACKAGE, checked_bounds, clip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Bounded:
    """What the three cells share; it stands before the plain cell among their bases."""

    bounds: dict[str, float] | None

    def __init__(self, units: int, *, bounds: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)  # type: ignore[call-arg]  # the cell's
        self.bounds = checked_bounds(bounds)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "bounds": self.bounds}  # type: ignore[misc]  # the cell's

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
        if self.bounds is None:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states)
        pre = self.bounds.get("pre")
        inputs, h = self._dropped(inputs, states[0], training=training, gates=4)
        from_input = tf.matmul(inputs, self.kernel)
        if self.use_bias:
            from_input = from_input + self.bias
        summed = clip(from_input, pre) + clip(tf.matmul(h, self.recurrent_kernel), pre)
        i, f, g, o = tf.split(clip(summed, pre), 4, axis=-1)
        gate = self.recurrent_activation
        c = clip(gate(f) * states[1] + gate(i) * self.activation(g), self.bounds.get("c"))
        new_h = gate(o) * self.activation(c)
        return new_h, [new_h, c]


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
        if self.bounds is None:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states) if isinstance(new_states, (list, tuple)) else [new_states]
        pre = self.bounds.get("pre")
        inputs, h = self._dropped(inputs, h_before, training=training, gates=3)
        z_input, r_input, g_input = tf.split(clip(self._product(inputs, self.kernel, 0), pre), 3, axis=-1)
        if self.reset_after:
            z_h, r_h, g_h = tf.split(clip(self._product(h, self.recurrent_kernel, 1), pre), 3, axis=-1)
        else:
            z_h, r_h = tf.split(clip(tf.matmul(h, self.recurrent_kernel[:, : 2 * self.units]), pre), 2, axis=-1)
        z = self.recurrent_activation(clip(z_input + z_h, pre))
        r = self.recurrent_activation(clip(r_input + r_h, pre))
        g_h = r * g_h if self.reset_after else clip(tf.matmul(r * h, self.recurrent_kernel[:, 2 * self.units :]), pre)
        new_h = z * h_before + (1 - z) * self.activation(clip(g_input + g_h, pre))
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
        if self.bounds is None:
            h, new_states = super().call(inputs, states, training=training)
            return h, list(new_states) if isinstance(new_states, (list, tuple)) else [new_states]
        pre = self.bounds.get("pre")
        inputs, h = self._dropped(
            inputs, states[0] if isinstance(states, (list, tuple)) else states, training=training, gates=1
        )
        from_input = tf.matmul(inputs, self.kernel)
        if self.use_bias:
            from_input = from_input + self.bias
        summed = clip(clip(from_input, pre) + clip(tf.matmul(h, self.recurrent_kernel), pre), pre)
        new_h = summed if self.activation is None else self.activation(summed)
        return new_h, [new_h]
