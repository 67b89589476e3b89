"""Pooling over the picture, and layers that move or pass on what they are given; none touches time."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from converters.step_rules.linear import picture_of
from converters.step_rules.registry import rule
from converters.step_rules.scope import Value

if TYPE_CHECKING:
    from converters.step_rules.scope import Call


@rule("MaxPooling2D", "MaxPool2D")
def max_pooling(call: Call) -> Value:
    """Apply `MaxPooling2D`."""
    layer = call.layer
    x = tf.nn.max_pool2d(picture_of(call), list(layer.pool_size), list(layer.strides), layer.padding.upper())
    return call.answer(x, tapped=False)


@rule("AveragePooling2D", "AvgPool2D")
def average_pooling(call: Call) -> Value:
    """Apply `AveragePooling2D`: as a mean where one window covers an axis, which delegates take in int8 too."""
    layer, x = call.layer, picture_of(call)
    size = tuple(layer.pool_size)
    whole = [axis for axis in (1, 2) if size[axis - 1] == x.shape[axis] and size[axis - 1] > 1]
    single = all(axis in whole or (size[axis - 1] == 1 and layer.strides[axis - 1] == 1) for axis in (1, 2))
    if whole and single and layer.padding == "valid":
        return call.answer(tf.reduce_mean(x, whole, keepdims=True))
    x = tf.nn.avg_pool2d(x, list(size), list(layer.strides), layer.padding.upper())
    return call.answer(x, tapped=False)


@rule("GlobalAveragePooling2D", "GlobalAvgPool2D")
def global_average_pooling(call: Call) -> Value:
    """Apply `GlobalAveragePooling2D`."""
    return call.answer(tf.reduce_mean(picture_of(call), [1, 2], keepdims=bool(call.layer.keepdims)))


@rule("AxisMean")
def axis_mean(call: Call) -> Value:
    """Apply `AxisMean`."""
    return call.answer(tf.reduce_mean(picture_of(call), call.layer.axis))


@rule("GlobalMaxPooling2D", "GlobalMaxPool2D")
def global_max_pooling(call: Call) -> Value:
    """Apply `GlobalMaxPooling2D`."""
    return call.answer(tf.reduce_max(picture_of(call), [1, 2], keepdims=bool(call.layer.keepdims)), tapped=False)


@rule("ZeroPadding2D")
def zero_padding(call: Call) -> Value:
    """Apply `ZeroPadding2D`."""
    x = tf.pad(picture_of(call), [[0, 0], *map(list, call.layer.padding), [0, 0]])
    return call.answer(x, tapped=False)


@rule("Cropping2D")
def cropping(call: Call) -> Value:
    """Apply `Cropping2D`."""
    x = picture_of(call)
    (top, bottom), (left, right) = call.layer.cropping
    return call.answer(x[:, top : x.shape[1] - bottom, left : x.shape[2] - right, :], tapped=False)


def _reshaped(call: Call, shape: list[int]) -> Value:
    if list(call.value.raw().shape[1:]) == shape:
        return call.value
    x, tap = call.value.deferred()
    return Value(call.scope, timed=call.timed, tensor=tf.reshape(x, [1, *shape]), tap=tap)


@rule("Flatten")
def flatten(call: Call) -> Value:
    """Apply `Flatten` within a frame."""
    if call.sees_time:
        call.refuse("it lays all frames of a clip side by side", "Put it inside TimeDistributed.")
    return _reshaped(call, [prod(call.value.raw().shape[1:])])


@rule("Reshape")
def reshape(call: Call) -> Value:
    """Apply `Reshape`, which must leave time where it is."""
    target = [int(size) for size in call.layer.target_shape]
    features = prod(call.value.raw().shape[1:])
    if call.sees_time:
        kept, target = (target[0], target[1:]) if target else (0, [])
        rest = [size for size in target if size != -1]
        fits = prod(rest) == features if len(rest) == len(target) else kept != -1 and features % prod(rest) == 0
        if not fits:
            call.refuse(
                f"its target shape {tuple(call.layer.target_shape)} mixes frames", "Put it inside TimeDistributed."
            )
    if -1 in target:
        target[target.index(-1)] = features // prod(size for size in target if size != -1)
    return _reshaped(call, target)


@rule("Permute")
def permute(call: Call) -> Value:
    """Apply `Permute`, which must leave time where it is."""
    dims = [int(axis) for axis in call.layer.dims]
    if call.sees_time:
        if dims[0] != 1:
            call.refuse("it moves the time axis", "Leave axis 1 where it is.")
        dims = [axis - 1 for axis in dims[1:]]
    return call.answer(tf.transpose(call.value.ready(), [0, *dims]), tapped=False)


@rule(
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
    "RandomBrightness",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
)
def passed_on(call: Call) -> Value:
    """Pass on what a layer leaves alone outside training."""
    return call.value


@rule(
    "Conv2DTranspose",
    "Convolution2DTranspose",
    "UpSampling2D",
    "Resizing",
    "CenterCrop",
    "GroupNormalization",
    "LocallyConnected2D",
    "EinsumDense",
    "Conv1DTranspose",
    "Embedding",
)
def as_it_is(call: Call) -> Value:
    """Call the layer itself on the frame, and refuse it where it is given whole clips."""
    if call.sees_time:
        call.refuse("it is given whole clips, and may mix their frames", "Put it inside TimeDistributed.")
    return call.answer(called(call.layer, call.value.ready()))


def called(layer: Any, x: Any) -> Any:
    """Call a layer outside training."""
    try:
        return layer(x, training=False)
    except TypeError:  # a layer whose call takes no `training`
        return layer(x)
