"""framestep's own layers for Keras 3, on its TensorFlow backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from converters.layers.formulas import PACKAGE, DifferenceFormula, PeepholeFormula

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@keras.saving.register_keras_serializable(package=PACKAGE)
class PeepholeLSTMCell(PeepholeFormula, keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """The article's LSTM cell for an `RNN` layer; see `PeepholeFormula`.

    Args:
        units: size of h and of c.
        bounds: what to clip in training; see `checked_bounds`.
    """

    def __init__(self, units: int, *, bounds: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._configure(units, bounds)

    def build(self, input_shape: Sequence[int]) -> None:
        """Make the weights for inputs of `input_shape`, [..., features]."""
        self._add_weights(self.add_weight, int(input_shape[-1]))
        self.built = True

    def call(self, inputs: Any, states: Sequence[Any], *, training: bool | None = None) -> tuple[Any, list[Any]]:
        """Take [B, features] and the states h and c, [B, units]; give h and the next states."""
        del training
        return self._step(inputs, states[0], states[1])

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "units": self.units, "bounds": self.bounds}


@keras.saving.register_keras_serializable(package=PACKAGE)
class FrameDifference(DifferenceFormula, keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Give the change from frame to frame; see `DifferenceFormula`."""

    def __init__(self, *, gain: float = 4.0, limit: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._configure(gain, limit)

    def call(self, inputs: Any) -> Any:
        """Take and give [B, T, H, W, C]."""
        return self._difference(inputs)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {**super().get_config(), "gain": self.gain, "limit": self.limit}
