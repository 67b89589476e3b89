"""Whole models: clips to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tf_keras

from converters.layers import (
    BoundedActivation,
    BoundedConvLSTM2D,
    BoundedGRUCell,
    BoundedLSTMCell,
    BoundedRNNCell,
    FrameDifference,
    PeepholeLSTMCell,
)
from toolkit.models.config import DIFFERENCE_GAIN, Bounds
from toolkit.models.encoders import PLANS, activation, build_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.models.config import ModelConfig

_MOBILENET_UNITS = 64
_CONVLSTM_FILTERS = 16


def build_model(config: ModelConfig, *, weights: Path | None = None) -> Any:
    """Build a model with the layers `encoder`, `cell` (but for cell none) and a head that answers for every frame.

    Takes clips [batch, time, height, width, channels] as float32 `pixel * scale + offset`, any time; gives
    probabilities [batch, time, classes].

    Args:
        config: what it is made of.
        weights: a file for the encoder of preset mobilenet.

    Raises:
        ConfigError: where the parts do not fit together.
    """
    layers = tf_keras.layers
    bounds = config.bounds or Bounds()
    clip = tf_keras.Input((None, config.height, config.width, config.channels), name="clip")
    seen = clip
    if config.input == "difference":
        seen = FrameDifference(gain=DIFFERENCE_GAIN, limit=1.0, name="difference")(seen)
    encoder = build_encoder(config, weights=weights)
    if bounds.activations:
        encoder = _bounded_encoder(encoder, bounds)
    features = layers.TimeDistributed(encoder, name="per_frame")(seen)
    memory = _cell(config, bounds)
    answers = features if memory is None else memory(features)
    if config.cell == "convlstm":
        answers = layers.TimeDistributed(layers.GlobalAveragePooling2D(), name="mean")(answers)
    plan = PLANS.get(config.preset)
    if plan is not None and plan.head is not None:
        answers = layers.Dense(config.head or plan.head, name="head")(answers)
        answers = _bounded(activation(config.activation, "head_activation"), bounds)(answers)
    answers = layers.Dense(config.classes, name="logits")(answers)
    return tf_keras.Model(clip, layers.Softmax(name="probabilities")(answers), name=f"{config.preset}_{config.cell}")


def cell_units(config: ModelConfig) -> int:
    """The cell's units: the user's, or the preset's."""
    if config.units is not None:
        return config.units
    if config.cell == "convlstm":
        return _CONVLSTM_FILTERS
    plan = PLANS.get(config.preset)
    return _MOBILENET_UNITS if plan is None else plan.units


def _cell(config: ModelConfig, bounds: Bounds) -> Any:
    layers = tf_keras.layers
    units = cell_units(config)
    if config.cell == "none":
        return None
    if config.cell == "convlstm":
        return BoundedConvLSTM2D(units, 3, bounds=bounds.cell, padding="same", return_sequences=True, name="cell")
    kinds = {"lstm": BoundedLSTMCell, "gru": BoundedGRUCell, "rnn": BoundedRNNCell, "peephole": PeepholeLSTMCell}
    cell = kinds[config.cell](units, bounds=bounds.cell)
    return layers.RNN(cell, return_sequences=True, name="cell")


def _bounded_encoder(encoder: Any, bounds: Bounds) -> Any:
    clone = tf_keras.models.clone_model(encoder, clone_function=lambda layer: _bounded(_copy(layer), bounds))
    clone.set_weights(encoder.get_weights())
    return clone


def _copy(layer: Any) -> Any:
    return layer.__class__.from_config(layer.get_config())


def _bounded(layer: Any, bounds: Bounds) -> Any:
    bound = bounds.activations.get(layer.name)
    if bound is not None and isinstance(layer, tf_keras.layers.ReLU):
        return tf_keras.layers.ReLU(max_value=bound, name=layer.name)
    if bound is not None and isinstance(layer, tf_keras.layers.Activation):
        return BoundedActivation(layer.get_config()["activation"], bound=bound, name=layer.name)
    return layer
