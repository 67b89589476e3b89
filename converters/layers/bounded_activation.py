"""Activations that clip what they are given, so that both sides of them have a known 8-bit range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf
import tf_keras

from converters.layers.formulas import PACKAGE
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

ELU_LOWEST = -4.0
"""elu(-4) is -.982: what lies below is less than one step of 8 bits away where the largest value is above 3.6."""


@tf_keras.saving.register_keras_serializable(package=PACKAGE)
class BoundedActivation(tf_keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """ELU of x clipped to `ELU_LOWEST` and `bound`, or tanh of x clipped to plus and minus `bound`.

    Args:
        activation: which.
        bound: above 0.
    """

    def __init__(self, activation: Literal["elu", "tanh"], *, bound: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if activation not in ("elu", "tanh") or not 0 < bound < float("inf"):
            raise ConfigError(
                f"BoundedActivation has activation {activation!r} and bound {bound}. Give elu or tanh, and a finite "
                "number above 0."
            )
        self.activation = activation
        self.bound = float(bound)

    @property
    def input_range(self) -> tuple[float, float]:
        """What x is clipped to."""
        return (ELU_LOWEST if self.activation == "elu" else -self.bound), self.bound

    def call(self, inputs: Any) -> Any:
        """Take and give any shape."""
        clipped = tf.clip_by_value(inputs, *self.input_range)
        return tf.nn.elu(clipped) if self.activation == "elu" else tf.tanh(clipped)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "activation": self.activation, "bound": self.bound}
