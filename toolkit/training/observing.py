"""What the layers and the cell of a network are given, on its own roll-out over training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras

from converters.layers import BoundedActivation
from converters.layers.formulas import bound_at, clip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from toolkit.training.batches import Batches
    from toolkit.training.network import Network

    Values: TypeAlias = npt.NDArray[np.float32]

_SAMPLE = 100_000
"""Values of one layer and batch that a percentile is taken from."""

_CELL_SAMPLE = 2_000
"""The same for one place of the cell and frame."""

_FRAMES_AT_ONCE = 64
"""Frames whose maps are held together: those of a large encoder fill the memory."""


class Observed:
    """Values before they are clipped, a sample of each place.

    A network that clips already is rolled out with its clips, and yet says what it would give without: bounds that are
    chosen again from here do not get tighter each time.

    Args:
        network: of layers that `build_model` makes; its cell must have a place for a limiter.
        batches: what it was trained on; the first ones of epoch 0 are taken, states carried over from each to the next.
        count: how many.
    """

    def __init__(self, network: Network, batches: Batches, count: int) -> None:
        self._network = network
        self._layers: dict[str, list[Values]] = {}
        self._places: dict[str, list[Values]] = {}
        self._rng = np.random.default_rng(0)
        states: list[Any] = []
        for index in range(min(count, len(batches))):
            batch = batches.batch(0, index)
            rows = len(batch.frames)
            features = self._encoded(network.seen(batch.frames, batch.still, batch.order))
            if not states or len(states[0]) != rows or (batch.start < 0).all():
                states = _start(network, features, rows)
            answers, states = self._remembered(features, states)
            self._answered(answers)

    @property
    def layers(self) -> Mapping[str, Values]:
        """What each activation of encoder and head is given, by the layer's name."""
        return {name: np.concatenate(parts) for name, parts in self._layers.items()}

    @property
    def places(self) -> Mapping[str, Values]:
        """What stands at each place of the cell that clips, or would, by its name; see `bound_at`."""
        return {name: np.concatenate(parts) for name, parts in self._places.items()}

    def _encoded(self, seen: Any) -> Any:
        encoder = self._network.encoder
        inside = [layer for layer in encoder.layers if can_be_bounded(layer)]
        probe = tf_keras.Model(encoder.input, [*(layer.input for layer in inside), encoder.output])
        folded = np.asarray(seen).reshape(-1, *seen.shape[2:])
        features = []
        share = max(1, _SAMPLE * _FRAMES_AT_ONCE // len(folded))
        for first in range(0, len(folded), _FRAMES_AT_ONCE):
            given = probe(folded[first : first + _FRAMES_AT_ONCE], training=False)
            *maps, answer = given if inside else [given]
            features.append(answer)
            for layer, values in zip(inside, maps, strict=True):
                self._layers.setdefault(layer.name, []).append(self._sample(values, share))
        together = tf.concat(features, 0)
        return tf.reshape(together, [len(seen), -1, *together.shape[1:]])

    def _remembered(self, features: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Take the cell through the frames, its limiter looking in."""
        cell = cell_of(self._network)
        if cell is None:
            return features, []

        def look(place: str, x: Any) -> Any:
            if bound_at({"pre": 1.0, "c": 1.0}, place) is not None:
                self._places.setdefault(place, []).append(self._sample(x, _CELL_SAMPLE))
            return clip(x, bound_at(cell.bounds, place))

        outputs = []
        cell.limiter = look
        try:
            for frame in tf.unstack(features, axis=1):
                output, states = cell(frame, list(states), training=False)
                outputs.append(output)
        finally:
            cell.limiter = None
        return tf.stack(outputs, 1), list(states)

    def _answered(self, answers: Any) -> None:
        for layer in self._network.head[:-1]:
            if can_be_bounded(layer):
                self._layers.setdefault(layer.name, []).append(self._sample(answers, _SAMPLE))
            answers = layer(answers)

    def _sample(self, values: Any, most: int) -> Values:
        flat: Values = np.asarray(values, np.float32).reshape(-1)
        return flat if len(flat) <= most else flat[self._rng.integers(len(flat), size=most)]


def can_be_bounded(layer: Any) -> bool:
    """Tell whether a layer is an activation that has a bounded form."""
    if isinstance(layer, tf_keras.layers.Activation):
        return layer.get_config()["activation"] in ("elu", "tanh")
    return isinstance(layer, (tf_keras.layers.ReLU, BoundedActivation))


def cell_of(network: Network) -> Any:
    """Give a network's cell, or None."""
    names = [layer.name for layer in network.model.layers]
    return network.model.get_layer("cell").cell if "cell" in names else None


def _start(network: Network, features: Any, rows: int) -> list[Any]:
    """Zero states, maps among them."""
    cell = cell_of(network)
    if cell is None:
        return []
    if states := network.initial_states(rows):
        return states
    # Padding is `same`, and the strides are 1: the maps keep their size.
    return [tf.zeros([rows, *features.shape[2:4], size]) for size in cell.state_size]
