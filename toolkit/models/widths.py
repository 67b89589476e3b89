"""Which axis of which weight belongs to which width: what makes a model smaller by channels, and counts its cost.

A width is a number of channels that can be chosen freely: of a convolution, of the dense layer before the cell
(`features`), of the cell, of the dense layer behind it (`head`). Everything else follows from them: every axis of every
weight is as long as a whole number of such widths, the channel being what changes fastest (a flattened map, the gates
of a cell), or as long as it always is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import tf_keras

from toolkit.models.encoders import mobilenet_widths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from toolkit.models.config import ModelConfig

_CELL = "cell"


@dataclass(frozen=True, kw_only=True, eq=False)
class Weight:
    """A weight of a model.

    Attributes:
        variable: what holds it.
        axes: width by axis; an axis that is not here always has its length.
        reads: the axis along which it takes its input, for a kernel; None for what is not one.
        repeated: how often it is used for a frame: the places of a convolution's output; 0 for what is no kernel.
    """

    variable: Any
    axes: Mapping[int, str] = field(default_factory=dict)
    reads: int | None = None
    repeated: int = 0

    @property
    def multiply_adds(self) -> int:
        """For a frame."""
        return self.repeated * int(math.prod(self.variable.shape))


class Widths:
    """A model's weights and the widths they share.

    Args:
        model: of `build_model`'s structure.
        config: builds it.
    """

    def __init__(self, model: Any, config: ModelConfig) -> None:
        self._config = config
        self._found: dict[int, Weight] = {}
        self.sizes: dict[str, int] = {}
        """Every width, in the order of the frame's way through the model."""
        encoder = model.get_layer("per_frame").layer
        before = self._through_encoder(encoder)
        names = [layer.name for layer in model.layers]
        for layer in model.layers[names.index("per_frame") + 1 :]:
            if isinstance(layer, tf_keras.layers.RNN):
                before = self._through_cell(layer, before)
            elif isinstance(layer, tf_keras.layers.Dense):
                before = self._through_dense(layer, before)
        self.weights = tuple(self._found.get(id(each), Weight(variable=each)) for each in model.weights)
        """In the order of `model.get_weights()`."""

    @property
    def multiply_adds(self) -> int:
        """Of all convolutions and matrix products, for a frame."""
        return sum(weight.multiply_adds for weight in self.weights)

    def multiply_adds_with(self, sizes: Mapping[str, int]) -> int:
        """See `multiply_adds`, for other widths."""
        total = 0
        for weight in self.weights:
            cost = weight.multiply_adds
            for name in weight.axes.values():
                # Exact: an axis is a whole number of widths long.
                cost = cost // self.sizes[name] * sizes[name]
            total += cost
        return total

    def readers(self, name: str) -> list[Weight]:
        """Give the kernels that take a width as their input."""
        return [each for each in self.weights if each.reads is not None and each.axes.get(each.reads) == name]

    def config_with(self, sizes: Mapping[str, int]) -> ModelConfig:
        """Give the configuration that builds a model of other widths."""
        filters = tuple(size for name, size in sizes.items() if name not in ("features", "head", _CELL))
        config = replace(self._config, filters=filters)
        config = replace(config, features=sizes["features"]) if "features" in sizes else config
        config = replace(config, units=sizes[_CELL]) if _CELL in sizes else config
        return replace(config, head=sizes["head"]) if "head" in sizes else config

    def cut(self, values: Sequence[npt.NDArray[Any]], kept: Mapping[str, npt.NDArray[np.int64]]) -> list[Any]:
        """Give the weights of the model that has only some channels.

        Args:
            values: in the order of `weights`.
            kept: of every width, the places that stay.
        """
        return [
            cut(value, {axis: (self.sizes[name], kept[name]) for axis, name in weight.axes.items()})
            for value, weight in zip(values, self.weights, strict=True)
        ]

    def _through_encoder(self, encoder: Any) -> str | None:
        """Follow a picture's channels; give the width that the features come in."""
        free = None if self._config.preset != "mobilenet" else mobilenet_widths(encoder)
        carried: dict[str, str | None] = {}
        last = None
        nodes = {each["name"]: each for each in encoder.get_config()["layers"]}
        for layer in encoder.layers:
            before = [carried[name] for name in _names_before(nodes[layer.name])]
            last = carried[layer.name] = self._through_layer(layer, before[0] if before else None, free)
        return last

    def _through_layer(self, layer: Any, before: str | None, free: Mapping[str, int] | None) -> str | None:
        layers = tf_keras.layers
        if isinstance(layer, layers.DepthwiseConv2D):
            self._add(layer.depthwise_kernel, {2: before}, repeated=_places(layer))
        elif isinstance(layer, layers.Conv2D):
            name = layer.name if free is None or layer.name in free else None
            self._new(name, layer.filters)
            self._add(layer.kernel, {2: before, 3: name}, reads=2, repeated=_places(layer))
            self._add(layer.bias, {0: name})
            return name
        elif isinstance(layer, layers.Dense):
            return self._through_dense(layer, before)
        elif isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                self._add(weight, {0: before})
        elif isinstance(layer, layers.Add):
            return None
        return before

    def _through_dense(self, layer: Any, before: str | None) -> str | None:
        name = layer.name if layer.name in ("features", "head") else None
        self._new(name, layer.units)
        self._add(layer.kernel, {0: before, 1: name}, reads=0, repeated=1)
        self._add(layer.bias, {0: name})
        return name

    def _through_cell(self, layer: Any, before: str | None) -> str:
        cell = layer.cell
        maps = isinstance(layer, tf_keras.layers.ConvLSTM2D)
        self._new(_CELL, cell.filters if maps else cell.units)
        first = 2 if maps else 0
        repeated = math.prod(layer.output_shape[2:4]) if maps else 1
        for name, given in (("kernel", before), ("recurrent_kernel", _CELL), ("peephole_kernel", _CELL)):
            self._add(getattr(cell, name, None), {first: given, first + 1: _CELL}, reads=first, repeated=repeated)
        # A GRU's bias has a row for each of its products.
        self._add(cell.bias, {len(cell.bias.shape) - 1: _CELL})
        return _CELL

    def _new(self, name: str | None, size: int) -> None:
        if name is not None:
            self.sizes[name] = size

    def _add(
        self, variable: Any, axes: Mapping[int, str | None], *, reads: int | None = None, repeated: int = 0
    ) -> None:
        if variable is not None:
            known = {axis: name for axis, name in axes.items() if name is not None}
            self._found[id(variable)] = Weight(variable=variable, axes=known, reads=reads, repeated=repeated)


def cut(value: npt.NDArray[Any], axes: Mapping[int, tuple[int, npt.NDArray[np.int64]]]) -> npt.NDArray[Any]:
    """Keep some channels of an array.

    Args:
        value: any array.
        axes: by axis, how many channels there are and the places of those that stay. The axis is a whole number of
            times as long, the channel changing fastest.
    """
    for axis, (size, kept) in axes.items():
        shape = value.shape
        parts = value.reshape(*shape[:axis], shape[axis] // size, size, *shape[axis + 1 :]).take(kept, axis + 1)
        value = parts.reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return value


def _places(layer: Any) -> int:
    return int(math.prod(layer.output_shape[1:3]))


def _names_before(config: Mapping[str, Any]) -> list[str]:
    """The layers that a layer of a functional model takes its input from."""
    return [tensor[0] for node in config["inbound_nodes"][:1] for tensor in node]
