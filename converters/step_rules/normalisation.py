"""Normalisation by trained figures, which a frame has for itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from converters.step_rules.registry import rule
from converters.step_rules.scope import Call, Picture, Tap, Value, array


def _shift(call: Call, factor: np.ndarray[Any, Any], shift: np.ndarray[Any, Any]) -> Value:
    """Compute `x * factor + shift` over the last axis, folded into the product before where there is one."""
    value = call.value
    tap = Tap(name=call.name)
    if value.linear is not None:
        return Value(call.scope, timed=call.timed, linear=value.linear.scaled(factor, shift), tap=tap)
    x = call.scope.tap(f"{call.name}/scaled", value.ready() * tf.constant(factor.astype("float32")))
    return call.answer(x + tf.constant(shift.astype("float32")), fuses_relu=True)


def _axes(layer: Any) -> list[int]:
    # A wrapped list in tf_keras, a number or a list in Keras 3.
    return [layer.axis] if isinstance(layer.axis, int) else [int(axis) for axis in layer.axis]


@rule("BatchNormalization", "SyncBatchNormalization", "BatchNormalizationV2", "BatchNormalizationV1")
def batch_normalization(call: Call) -> Value:
    """Apply `BatchNormalization` with its moving averages."""
    layer = call.layer
    axes = _axes(layer)
    if len(axes) != 1 or call.axis(axes[0]) != -1:
        call.refuse(f"it normalises axis {axes}, not the channels", "Use axis=-1.")
    deviation = np.sqrt(array(layer.moving_variance) + np.float32(layer.epsilon))
    factor = (array(layer.gamma) if layer.scale else np.ones_like(deviation)) / deviation
    shift = (array(layer.beta) if layer.center else 0) - array(layer.moving_mean) * factor
    return _shift(call, factor, shift)


@rule("LayerNormalization")
def layer_normalization(call: Call) -> Value:
    """Apply `LayerNormalization` over axes that are not time; in an integer network it stays float."""
    layer = call.layer
    if getattr(layer, "rms_scaling", False):
        call.refuse("it scales by the root mean square alone", "Use it without rms_scaling.")
    axes = _axes(layer)
    step_axes = [call.axis(axis) for axis in axes]
    x = call.value.ready()
    shape = [1] * len(x.shape)
    for axis in step_axes:
        shape[axis] = x.shape[axis]
    mean = tf.reduce_mean(x, step_axes, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(tf.square(centred), step_axes, keepdims=True)
    answer = centred * tf.math.rsqrt(variance + tf.constant(float(layer.epsilon), tf.float32))
    if layer.scale:
        answer = answer * tf.constant(array(layer.gamma).reshape(shape))
    if layer.center:
        answer = answer + tf.constant(array(layer.beta).reshape(shape))
    call.scope.notes.append(f"{call.name}: layer normalisation stays float in an int8 network.")
    return call.answer(answer)


@rule("Rescaling")
def rescaling(call: Call) -> Value:
    """Apply `Rescaling`; of the frame itself it becomes part of the picture arithmetic."""
    scale = np.asarray(call.layer.scale, np.float32)
    offset = np.asarray(call.layer.offset, np.float32)
    picture = call.value.picture
    if picture is not None and scale.size == 1 and offset.size == 1:
        factor, shift = float(scale.reshape(())), float(offset.reshape(()))
        moved = Picture(pixels=picture.pixels, scale=picture.scale * factor, offset=picture.offset * factor + shift)
        return Value(call.scope, timed=call.timed, picture=moved, tap=Tap(name="frame"))
    x = call.scope.tap(f"{call.name}/scaled", call.value.ready() * tf.constant(scale))
    return call.answer(x if not offset.any() else x + tf.constant(offset), tapped=bool(offset.any()))


@rule("Normalization")
def normalization(call: Call) -> Value:
    """Apply `Normalization` of the last axis with the figures that it was adapted to."""
    layer = call.layer
    mean, variance = array(layer.mean).reshape(-1), array(layer.variance).reshape(-1)
    if mean.size not in (1, call.value.raw().shape[-1]) or bool(layer.invert):
        call.refuse("it normalises other axes than the channels", "Use axis=-1.")
    factor = 1 / np.maximum(np.sqrt(variance), np.float32(1e-7))
    return _shift(call, np.broadcast_to(factor, (call.value.raw().shape[-1],)), -mean * factor)


@rule("UnitNormalization")
def unit_normalization(call: Call) -> Value:
    """Apply `UnitNormalization` over axes that are not time."""
    step_axes = [call.axis(axis) for axis in _axes(call.layer)]
    return call.answer(tf.nn.l2_normalize(call.value.ready(), step_axes))
