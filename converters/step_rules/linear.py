"""Convolutions over the picture, and dense layers: per frame, with weights as constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from converters.step_rules.activations import followed_by
from converters.step_rules.registry import rule
from converters.step_rules.scope import Call, Linear, Tap, Value, array

PRUNED = 0.5
"""Fraction of zeros at which a kernel was pruned, and has one scale; none is trained to so many."""


def bias_of(layer: Any) -> np.ndarray[Any, Any] | None:
    """Return a layer's bias, if it has one."""
    return array(layer.bias) if layer.use_bias else None


def picture_of(call: Call) -> Any:
    """Return the one value that a layer for pictures is called on, [1, height, width, channels], tapped."""
    if getattr(call.layer, "data_format", "channels_last") != "channels_last":
        call.refuse("its channels come first, which no interpreter on a device computes", "Use channels_last.")
    if call.sees_time and call.value.rank != 4:
        call.refuse("its window reaches over the time axis", "Put it inside TimeDistributed.")
    return call.value.ready()


def product(call: Call, run: Any, kernel: np.ndarray[Any, Any], bias: np.ndarray[Any, Any] | None) -> Value:
    """Return a product that a batch normalisation or a ReLU may still be fused into, tapped as the call."""
    linear = Linear(run=run, kernel=kernel, bias=bias, rank=call.value.rank)
    return Value(call.scope, timed=call.timed, linear=linear, tap=Tap(name=call.name))


def with_bias(x: Any, bias: Any) -> Any:
    """Add a bias, if there is one."""
    return x if bias is None else tf.nn.bias_add(x, tf.constant(bias))


@rule("Conv2D", "Convolution2D")
def conv2d(call: Call) -> Value:
    """Apply `Conv2D`; groups are computed one by one, because interpreters compute no others."""
    layer, x = call.layer, picture_of(call)
    strides, dilations, padding = list(layer.strides), list(layer.dilation_rate), layer.padding.upper()
    groups = int(layer.groups)

    def run(kernel: Any, bias: Any) -> Any:
        def one(part: Any, weights: Any) -> Any:
            return tf.nn.conv2d(part, tf.constant(weights), strides, padding, dilations=dilations)

        if groups == 1:
            return with_bias(one(x, kernel), bias)
        size = kernel.shape[-1] // groups
        parts = [
            one(part, kernel[..., number * size : (number + 1) * size])
            for number, part in enumerate(tf.split(x, groups, axis=-1))
        ]
        return with_bias(tf.concat(parts, axis=-1), bias)

    return followed_by(call, product(call, run, array(layer.kernel), bias_of(layer)), layer.activation)


def _depthwise(layer: Any, x: Any, kernel: Any, bias: Any) -> Any:
    rows, columns = layer.strides
    x = tf.nn.depthwise_conv2d(
        x, tf.constant(kernel), [1, rows, columns, 1], layer.padding.upper(), dilations=list(layer.dilation_rate)
    )
    return with_bias(x, bias)


def _depthwise_kernel(layer: Any) -> np.ndarray[Any, Any]:
    # Keras 3 calls the weight of DepthwiseConv2D `kernel`; elsewhere it is `depthwise_kernel`.
    weight = getattr(layer, "depthwise_kernel", None)
    return array(layer.kernel if weight is None else weight)


@rule("DepthwiseConv2D")
def depthwise_conv2d(call: Call) -> Value:
    """Apply `DepthwiseConv2D`."""
    layer, x = call.layer, picture_of(call)
    value = product(
        call, lambda kernel, bias: _depthwise(layer, x, kernel, bias), _depthwise_kernel(layer), bias_of(layer)
    )
    return followed_by(call, value, layer.activation)


@rule("SeparableConv2D", "SeparableConvolution2D")
def separable_conv2d(call: Call) -> Value:
    """Apply `SeparableConv2D` as its two convolutions, with a tap between."""
    layer, x = call.layer, picture_of(call)
    middle = call.scope.tap(f"{call.name}/depthwise", _depthwise(layer, x, _depthwise_kernel(layer), None))

    def run(kernel: Any, bias: Any) -> Any:
        return with_bias(tf.nn.conv2d(middle, tf.constant(kernel), 1, "VALID"), bias)

    return followed_by(call, product(call, run, array(layer.pointwise_kernel), bias_of(layer)), layer.activation)


def dense_product(x: Any, kernel: Any, bias: Any) -> Any:
    """Multiply the last axis of [1, ..., features] by a kernel.

    It is a convolution over one place, for 8 bits: interpreters of every age know a scale for each output of a
    convolution, and one for all outputs of a FULLY_CONNECTED, which is the larger part of a dynamic network's error.
    Not so a kernel that was pruned: it is made to be downloaded, and its scales, which no gzip makes smaller, would be
    an eighth of that.
    """
    rank = len(x.shape)
    if rank == 2 and np.mean(kernel == 0) >= PRUNED:
        return with_bias(tf.matmul(x, tf.constant(kernel)), bias)
    if rank == 2:
        place = tf.nn.conv2d(tf.reshape(x, [1, 1, 1, -1]), tf.constant(kernel[None, None]), 1, "VALID")
        return tf.reshape(with_bias(place, bias), [1, -1])
    if rank == 4:
        return with_bias(tf.nn.conv2d(x, tf.constant(kernel[None, None]), 1, "VALID"), bias)
    return with_bias(tf.tensordot(x, tf.constant(kernel), 1), bias)


@rule("Dense")
def dense(call: Call) -> Value:
    """Apply `Dense`."""
    layer, x = call.layer, call.value.ready()
    value = product(call, lambda kernel, bias: dense_product(x, kernel, bias), array(layer.kernel), bias_of(layer))
    return followed_by(call, value, layer.activation)
