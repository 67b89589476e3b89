"""What the layers of either Keras compute, without a base class.

Each class here is mixed with a family's `Layer`, which brings `add_weight` and `get_config`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGE = "framestep"
"""The package that the layers are registered under in a saved model."""

_BOUND_NAMES = ("pre", "c")


def checked_bounds(bounds: Mapping[str, float] | None) -> dict[str, float] | None:
    """Check a cell's bounds.

    Args:
        bounds: `pre` clips both products of a cell and their sum to ±pre, `c` the carried c to ±c; None clips nothing.

    Raises:
        ConfigError: for another name, or a bound that is not above 0.
    """
    if bounds is None:
        return None
    problems = [f"{name!r} is not one of pre and c" for name in bounds if name not in _BOUND_NAMES]
    problems += [f"{name} is {bound}, not above 0" for name, bound in bounds.items() if not 0 < bound < float("inf")]
    if problems:
        raise ConfigError(f"Bounds of the cell: {'; '.join(problems)}. Give finite numbers above 0 for pre and c.")
    return {name: float(bound) for name, bound in bounds.items()}


def clip(x: Any, bound: float | None) -> Any:
    """Clip to ±bound; without one, return x itself."""
    return x if bound is None else tf.clip_by_value(x, -bound, bound)


def unit_forget_bias(shape: Sequence[int], dtype: Any = None, **_: object) -> Any:
    """Initialise a bias over the gates i, f, g, o with 1 where f is, so that a new cell remembers."""
    units = int(shape[0]) // 4
    values = np.zeros(int(shape[0]), "float32")
    values[units : 2 * units] = 1
    return tf.constant(values, dtype=tf.as_dtype(dtype or "float32"))


class PeepholeFormula:
    """The article's LSTM cell, in which every gate reads c of the step before through a full matrix.

    i, f, o = sigmoid(x W + h U + c P + b), g = tanh(x W + h U + c P + b), c' = f c + i g, h' = o tanh(c'); the gates'
    columns stand in the order i, f, g, o.
    """

    units: int
    bounds: dict[str, float] | None
    kernel: Any
    recurrent_kernel: Any
    peephole_kernel: Any
    bias: Any

    def _configure(self, units: int, bounds: Mapping[str, float] | None) -> None:
        if units < 1:
            raise ConfigError(f"PeepholeLSTMCell has units {units}. Give at least 1.")
        self.units = units
        self.bounds = checked_bounds(bounds)
        self.state_size = [units, units]
        self.output_size = units

    def _add_weights(self, add_weight: Any, features: int) -> None:
        gates = 4 * self.units
        self.kernel = add_weight(shape=(features, gates), name="kernel", initializer="glorot_uniform")
        self.recurrent_kernel = add_weight(shape=(self.units, gates), name="recurrent_kernel", initializer="orthogonal")
        self.peephole_kernel = add_weight(shape=(self.units, gates), name="peephole_kernel", initializer="orthogonal")
        self.bias = add_weight(shape=(gates,), name="bias", initializer=unit_forget_bias)

    def _step(self, x: Any, h: Any, c: Any) -> tuple[Any, list[Any]]:
        bounds = self.bounds or {}
        pre = bounds.get("pre")
        from_input = clip(tf.matmul(x, self.kernel) + self.bias, pre)
        from_h = clip(tf.matmul(h, self.recurrent_kernel), pre)
        from_c = clip(tf.matmul(c, self.peephole_kernel), pre)
        i, f, g, o = tf.split(clip(from_input + from_h + from_c, pre), 4, axis=-1)
        new_c = clip(tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g), bounds.get("c"))
        new_h = tf.sigmoid(o) * tf.tanh(new_c)
        return new_h, [new_h, new_c]


class DifferenceFormula:
    """Motion instead of pictures: min(gain * |f_t - f_(t-1)|, limit), and 0 at a clip's first frame.

    Takes normalised pixels [B, T, H, W, C] and gives the same shape. With pixels of 0 to 1 the gain of 4 and the limit
    of 1 make framestep's input `difference`.
    """

    gain: float
    limit: float

    def _configure(self, gain: float, limit: float) -> None:
        if not (0 < gain < float("inf") and 0 < limit < float("inf")):
            raise ConfigError(f"FrameDifference has gain {gain} and limit {limit}. Give finite numbers above 0.")
        self.gain = float(gain)
        self.limit = float(limit)

    def _difference(self, clips: Any) -> Any:
        moved = tf.minimum(tf.abs(clips[:, 1:] - clips[:, :-1]) * self.gain, self.limit)
        return tf.concat([tf.zeros_like(clips[:, :1]), moved], axis=1)
