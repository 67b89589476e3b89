"""What the layers of either Keras compute, without a base class.

Each class here is mixed with a family's `Layer`, which brings `add_weight` and `get_config`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow as tf

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PACKAGE = "framestep"
"""The package that the layers are registered under in a saved model."""

BOUND_NAMES = ("pre", "from_input", "from_h", "from_c", "candidate", "c")
"""What a cell's bounds may be of; see `checked_bounds`."""

BOUND_OF = {
    "from_input": "from_input",
    "from_h": "from_h",
    "from_reset": "from_h",
    "from_c": "from_c",
    "products": "pre",
    "pre": "pre",
    "pre_z": "pre",
    "pre_r": "pre",
    "pre_g": "candidate",
    "c": "c",
}

Limiter: TypeAlias = "Callable[[str, Any], Any]"
"""Takes a place in a cell and the value there, and gives what the cell goes on with."""


def checked_bounds(bounds: Mapping[str, float] | None) -> dict[str, float] | None:
    """Check a cell's bounds.

    Args:
        bounds: each clips to plus and minus itself. `pre` is for every matrix product and for the sum before each
            gate; where they are given, `from_input`, `from_h` and `from_c` take its place at the products of the input,
            of h and of c, and `candidate` at the sum before a GRU's new h. `c` is for the c that is carried. None
            clips nothing.

    Raises:
        ConfigError: for another name, or a bound that is not above 0.
    """
    if bounds is None:
        return None
    names = ", ".join(BOUND_NAMES)
    problems = [f"{name!r} is not one of {names}" for name in bounds if name not in BOUND_NAMES]
    problems += [f"{name} is {bound}, not above 0" for name, bound in bounds.items() if not 0 < bound < float("inf")]
    if problems:
        raise ConfigError(f"Bounds of the cell: {'; '.join(problems)}. Give finite numbers above 0 for these names.")
    return {name: float(bound) for name, bound in bounds.items()}


def bound_at(bounds: Mapping[str, float] | None, place: str) -> float | None:
    """Tell where a cell clips at one of its places, which have the names of the step's taps; None for nowhere."""
    name = BOUND_OF.get(place)
    if bounds is None or name is None:
        return None
    return bounds.get(name, None if name == "c" else bounds.get("pre"))


def clip(x: Any, bound: float | None) -> Any:
    """Clip to ±bound; without one, return x itself."""
    return x if bound is None else tf.clip_by_value(x, -bound, bound)


class Limited:
    """A cell that clips at its places, or lets somebody see or change what is there."""

    bounds: dict[str, float] | None
    limiter: Limiter | None = None
    """In the place of the clips, and at every other tap of the cell and each of its kernels; never saved."""

    def _limit(self, place: str, x: Any) -> Any:
        return clip(x, bound_at(self.bounds, place)) if self.limiter is None else self.limiter(place, x)

    def _lstm_tail(self, pre: Any, c: Any, gate: Any, activation: Any) -> tuple[Any, list[Any]]:
        """Compute c' = f c + i g and h' = o act(c') from the sums in the order i, f, g, o."""
        i, f, g, o = tf.split(pre, 4, axis=-1)
        i, f, o = (self._limit(place, gate(x)) for place, x in (("i", i), ("f", f), ("o", o)))
        g = self._limit("g", activation(g))
        new_c = self._limit("c", self._limit("kept", f * c) + self._limit("added", i * g))
        new_h = self._limit("h", o * self._limit("activated_c", activation(new_c)))
        return new_h, [new_h, new_c]


def unit_forget_bias(shape: Sequence[int], dtype: Any = None, **_: object) -> Any:
    """Initialise a bias over the gates i, f, g, o with 1 where f is, so that a new cell remembers."""
    units = int(shape[0]) // 4
    values = np.zeros(int(shape[0]), "float32")
    values[units : 2 * units] = 1
    return tf.constant(values, dtype=tf.as_dtype(dtype or "float32"))


class PeepholeFormula(Limited):
    """The article's LSTM cell, in which every gate reads c of the step before through a full matrix.

    i, f, o = sigmoid(x W + h U + c P + b), g = tanh(x W + h U + c P + b), c' = f c + i g, h' = o tanh(c'); the gates'
    columns stand in the order i, f, g, o.
    """

    units: int
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
        from_input = self._limit("from_input", tf.matmul(x, self._limit("kernel", self.kernel)) + self.bias)
        from_h = self._limit("from_h", tf.matmul(h, self._limit("recurrent_kernel", self.recurrent_kernel)))
        from_c = self._limit("from_c", tf.matmul(c, self._limit("peephole_kernel", self.peephole_kernel)))
        pre = self._limit("pre", self._limit("products", from_input + from_h) + from_c)
        return self._lstm_tail(pre, c, tf.sigmoid, tf.tanh)


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
