"""Where a trained model should clip, so that eight bits are spent on what happens and not on what might.

A scene cut drives an encoder's activations and a cell's pre-activations several times above everything else, and an
integer range that holds them has no steps left for the rest. A model that clips, and was trained a little longer
with its clips, loses nothing and has known, tight ranges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tf_keras

from runtime.errors import ConfigError
from toolkit.models.build import build_model
from toolkit.models.config import Bounds

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.models.config import ModelConfig
    from toolkit.training.batches import Batches
    from toolkit.training.network import Network

_SAMPLE = 100_000
"""Values of one layer and batch that a percentile is taken from."""


@dataclass(frozen=True, kw_only=True)
class BoundingConfig:
    """How tight the bounds are.

    Attributes:
        percentile: of each ReLU's values on training data, at which it clips from then on.
        pre: see `Bounds`; a sigmoid of 6 is .9975, a tanh of 6 is 1 within 13 millionths.
        c: the largest bound that c may get; it gets the percentile of its absolute value where that is lower.
        c_least: the smallest.
        batches: of training data that are looked at.
        share: epochs of training with the clips, as a fraction of the epochs without.
        rate: the learning rate, as a fraction of the training's.
        largest_drop: of the accuracy held out, above which the model goes back to what it was.
    """

    percentile: float = 99.5
    pre: float = 6.0
    c: float = 8.0
    c_least: float = 1.0
    batches: int = 8
    share: float = 0.25
    rate: float = 0.25
    largest_drop: float = 0.02

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, and must be above 0"
            for name in ("percentile", "pre", "c", "c_least", "batches", "share", "rate")
            if not getattr(self, name) > 0
        ]
        if self.percentile > 100:
            problems.append(f"percentile is {self.percentile}, and must be at most 100")
        if problems:
            raise ConfigError(f"Bounding: {'; '.join(problems)}. Correct these.")


def choose_bounds(network: Network, batches: Batches, model: ModelConfig, config: BoundingConfig) -> Bounds:
    """Roll a model over training data and look at what its layers and its cell give.

    Args:
        network: the trained model.
        batches: what it was trained on; the first ones of epoch 0 are taken.
        model: what it is made of.
        config: see `BoundingConfig`.
    """
    encoder = network.encoder
    inside = [layer for layer in encoder.layers if isinstance(layer, tf_keras.layers.ReLU)]
    probe = tf_keras.Model(encoder.input, [layer.output for layer in inside] + [encoder.output])
    values: dict[str, list[npt.NDArray[np.float32]]] = {}
    carried: list[npt.NDArray[np.float32]] = []
    for index in range(min(config.batches, len(batches))):
        rng = np.random.default_rng(index)
        batch = batches.batch(0, index)
        seen = network.seen(batch.frames, batch.still, batch.order)
        *maps, features = probe(seen.numpy().reshape(-1, *seen.shape[2:]), training=False)
        for layer, each in zip(inside, maps, strict=True):
            values.setdefault(layer.name, []).append(_sample(each, rng))
        answers, states = network.cell_outputs(_unfolded(features, batch.frames.shape[0]))
        if len(states) == 2:
            carried.append(_sample(states[1], rng))
        for layer in network.head[:-1]:
            answers = layer(answers)
            if isinstance(layer, tf_keras.layers.ReLU):
                values.setdefault(layer.name, []).append(_sample(answers, rng))
    activations = {name: _bound(np.concatenate(parts), config.percentile) for name, parts in values.items()}
    c = None
    if carried:
        found = _bound(np.abs(np.concatenate(carried)), config.percentile)
        c = round(min(config.c, max(config.c_least, found)), 4)
    return Bounds(activations=activations, pre=config.pre if _has_plain_cell(model) else None, c=c)


def bounded_model(model: Any, config: ModelConfig, bounds: Bounds) -> tuple[Any, ModelConfig]:
    """Build the same model with clips, and give it the weights."""
    bounded = replace(config, bounds=bounds)
    clipped = build_model(bounded)
    clipped.set_weights(model.get_weights())
    return clipped, bounded


def _has_plain_cell(model: ModelConfig) -> bool:
    return model.cell not in ("none", "convlstm")


def _sample(values: Any, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    flat: npt.NDArray[np.float32] = np.asarray(values, np.float32).reshape(-1)
    return flat if len(flat) <= _SAMPLE else flat[rng.integers(len(flat), size=_SAMPLE)]


def _bound(values: npt.NDArray[np.float32], percentile: float) -> float:
    found = float(np.percentile(values, percentile))
    if found <= 0:
        # A layer that is almost always silent: bound what it says when it speaks.
        found = float(values.max())
    return round(found, 4) if found > 1e-3 else 1.0


def _unfolded(features: Any, rows: int) -> Any:
    import tensorflow as tf

    return tf.reshape(features, [rows, -1, *features.shape[1:]])
