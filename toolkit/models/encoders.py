"""The per-frame part of a model: pictures to features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import tf_keras

from converters.layers import AxisMean
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.models.config import ModelConfig

MOBILENET_ALPHA = 0.35
"""Width of MobileNetV2: the smallest with published weights."""


_MOMENTUM = 0.95
"""Of batch normalisation: a short training sees few batches, and the usual .99 would lag behind the weights."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """One block: convolution, perhaps batch normalisation, activation, perhaps pooling by 2."""

    filters: int
    kernel: int = 3
    stride: int = 1
    padding: Literal["same", "valid"] = "same"
    norm: bool = False
    pool: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A preset's encoder.

    Attributes:
        convolutions: see `Convolution`.
        ending: how maps become features: all of them (`flatten`), or the mean over rows beside the mean over columns
            (`profiles`), which keeps where something is at a small part of the weights.
        features: a dense layer after that, with batch normalisation, or None.
        units: of the cell, where the user names none.
        head: a dense layer between cell and classes, or None.
    """

    convolutions: tuple[Convolution, ...]
    ending: Literal["flatten", "profiles"] = "profiles"
    features: int | None = None
    units: int
    head: int | None = None


PLANS = {
    "tiny": Plan(
        convolutions=(
            Convolution(filters=8, kernel=5, stride=2, norm=True),
            Convolution(filters=16, stride=2, norm=True),
        ),
        features=64,
        units=64,
    ),
    "small": Plan(
        convolutions=(
            Convolution(filters=16, kernel=5, stride=2, norm=True),
            Convolution(filters=32, norm=True, pool=True),
            Convolution(filters=48, norm=True, pool=True),
        ),
        features=64,
        units=64,
    ),
    # The published CNN-LSTM that framestep began with: 32x32x3 frames, and every frame in its place in time.
    "article": Plan(
        convolutions=(
            Convolution(filters=32, padding="valid", pool=True),
            Convolution(filters=64, padding="valid", pool=True),
        ),
        ending="flatten",
        units=128,
        head=128,
    ),
}


def build_encoder(config: ModelConfig, *, weights: Path | None = None) -> Any:
    """Build the model `encoder`: pictures [batch, height, width, channels] to features, or maps for a ConvLSTM.

    Args:
        config: of the whole model.
        weights: a file of MobileNetV2's weights without its top.

    Raises:
        ConfigError: where the pictures are too small for so many convolutions, or the weights do not fit.
    """
    pictures = tf_keras.Input((config.height, config.width, config.channels), name="picture")
    if config.preset == "mobilenet":
        return _mobilenet(config, pictures, weights)
    if weights is not None:
        raise ConfigError(f"--weights belongs to preset mobilenet, not to {config.preset}. Leave it out.")
    plan = PLANS[config.preset]
    maps = pictures
    for number, block in enumerate(_blocks(plan, config), start=1):
        maps = _convolve(maps, block, number, config)
    if config.cell != "convlstm":
        maps = _finish(maps, plan, config)
    return tf_keras.Model(pictures, maps, name="encoder")


def activation(kind: str, name: str) -> Any:
    """One activation as a layer of its own: it fuses into what stands before it, and can be bounded later."""
    if kind == "relu":
        return tf_keras.layers.ReLU(name=name)
    if kind == "relu6":
        return tf_keras.layers.ReLU(max_value=6.0, name=name)
    return tf_keras.layers.Activation(kind, name=name)


def _blocks(plan: Plan, config: ModelConfig) -> tuple[Convolution, ...]:
    depth = config.depth
    blocks = list(plan.convolutions[:depth])
    while depth is not None and len(blocks) < depth:
        last = blocks[-1]
        blocks.append(replace(last, filters=min(2 * last.filters, 128), kernel=3, stride=1))
    if config.filters is None:
        return tuple(blocks)
    if len(config.filters) != len(blocks):
        raise ConfigError(f"There are {len(config.filters)} filters for {len(blocks)} convolutions. Give one for each.")
    return tuple(replace(block, filters=filters) for block, filters in zip(blocks, config.filters, strict=True))


def _convolve(maps: Any, block: Convolution, number: int, config: ModelConfig) -> Any:
    layers = tf_keras.layers
    name = f"conv{number}"
    smallest = block.kernel if block.padding == "valid" else 1
    if min(maps.shape[1:3]) < smallest:
        raise _too_small(config, number)
    maps = layers.Conv2D(
        block.filters, block.kernel, strides=block.stride, padding=block.padding, use_bias=not block.norm, name=name
    )(maps)
    if block.norm:
        maps = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(maps)
    maps = activation(config.activation, f"{name}_activation")(maps)
    if block.pool:
        if min(maps.shape[1:3]) < 2:
            raise _too_small(config, number)
        pool = layers.MaxPooling2D if config.pooling == "max" else layers.AveragePooling2D
        maps = pool(2, name=f"{name}_pool")(maps)
    return maps


def _finish(maps: Any, plan: Plan, config: ModelConfig) -> Any:
    layers = tf_keras.layers
    if plan.ending == "flatten":
        features = layers.Flatten(name="flatten")(maps)
    else:
        rows = layers.Flatten(name="rows_flat")(AxisMean(axis=1, name="rows")(maps))
        columns = layers.Flatten(name="columns_flat")(AxisMean(axis=2, name="columns")(maps))
        features = layers.Concatenate(name="profiles")([rows, columns])
    if plan.features is None:
        return features
    features = layers.Dense(config.features or plan.features, use_bias=False, name="features")(features)
    features = layers.BatchNormalization(momentum=_MOMENTUM, name="features_norm")(features)
    return activation(config.activation, "features_activation")(features)


def mobilenet_widths(backbone: Any) -> dict[str, int]:
    """Give the channels that may differ from the published network, by layer name, in their order.

    Those are the first and the last convolution's and every expansion's; all others meet in a residual sum.
    """
    convolutions = [layer for layer in backbone.layers if isinstance(layer, tf_keras.layers.Conv2D)]
    return {
        layer.name: layer.filters
        for layer in convolutions
        if layer.name in ("Conv1", "Conv_1") or layer.name.endswith("_expand")
    }


def _mobilenet(config: ModelConfig, pictures: Any, weights: Path | None) -> Any:
    maps_only = config.cell == "convlstm"
    backbone = tf_keras.applications.MobileNetV2(
        input_tensor=pictures,
        alpha=MOBILENET_ALPHA,
        include_top=False,
        weights=None,
        pooling=None if maps_only else "avg",
    )
    if config.filters is not None:
        backbone = _with_widths(backbone, config.filters)
    for layer in backbone.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM  # its own of .999 is for a training of days
    if weights is not None:
        if not weights.is_file():
            raise ConfigError(f"{weights} does not exist. Name a file of MobileNetV2's weights.")
        try:
            backbone.load_weights(str(weights))
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ConfigError(
                f"{weights} does not hold the weights of MobileNetV2 {MOBILENET_ALPHA} without its top, for "
                f"{config.channels} channels: {reason}. Take the file that belongs to it, or leave --weights out."
            ) from None
    return tf_keras.Model(backbone.input, backbone.output, name="encoder")


def _with_widths(backbone: Any, filters: tuple[int, ...]) -> Any:
    names = mobilenet_widths(backbone)
    if len(filters) != len(names):
        raise ConfigError(f"There are {len(filters)} filters for {len(names)} convolutions. Give one for each.")
    widths = dict(zip(names, filters, strict=True))

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in widths:
            config["filters"] = widths[layer.name]
        return layer.__class__.from_config(config)

    return tf_keras.models.clone_model(backbone, clone_function=copy)


def _too_small(config: ModelConfig, number: int) -> ConfigError:
    return ConfigError(
        f"Pictures of {config.width}x{config.height} are used up by convolution {number} of preset {config.preset}. "
        "Take larger pictures or a smaller --depth."
    )
