"""Layers that look back over a fixed number of frames: these frames become the state."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from converters.step_rules.activations import followed_by
from converters.step_rules.linear import bias_of, dense_product, product, with_bias
from converters.step_rules.registry import rule
from converters.step_rules.scope import Call, Tap, Value, array
from converters.step_rules.shapes import called


@rule("Conv1D", "Convolution1D")
def conv1d(call: Call) -> Value:
    """Apply `Conv1D` over time: a causal one keeps the frames that its kernel looks back to."""
    layer = call.layer
    if not call.sees_time:
        return call.answer(called(layer, call.value.ready()))
    if call.value.rank != 2:
        call.refuse("its window does not run over the clip's time axis alone", "Put it inside TimeDistributed.")
    size, dilation, groups = int(layer.kernel_size[0]), int(layer.dilation_rate[0]), int(layer.groups)
    if int(layer.strides[0]) != 1:
        call.refuse("its strides leave frames out", "Use strides=1.")
    if layer.data_format != "channels_last":
        call.refuse("its channels come first", "Use channels_last.")
    if size > 1 and layer.padding != "causal":
        call.refuse(f"padding={layer.padding!r} lets it see frames to come", "Use padding='causal'.")
    window = [call.value.ready()] if size == 1 else _window(call, size, dilation)
    kernel = array(layer.kernel)

    def run(weights: Any, bias: Any) -> Any:
        if groups == 1:
            x = window[0] if size == 1 else tf.concat(window, axis=-1)
            return dense_product(x, weights.reshape(-1, weights.shape[-1]), bias)
        parts = [tf.split(x, groups, axis=-1) for x in window]
        width = weights.shape[-1] // groups
        answers = [
            tf.matmul(
                tf.concat([part[number] for part in parts], axis=-1),
                tf.constant(weights[..., number * width : (number + 1) * width].reshape(-1, width)),
            )
            for number in range(groups)
        ]
        return with_bias(tf.concat(answers, axis=-1), bias)

    return followed_by(call, product(call, run, kernel, bias_of(layer)), layer.activation)


def _window(call: Call, size: int, dilation: int) -> list[Any]:
    """Return the frames under a causal kernel, the oldest first, and keep what later frames need.

    The state is [1, reach * features], the oldest frame first; zeros at the start are the causal padding.
    """
    reach, features = (size - 1) * dilation, int(call.value.ready().shape[-1])
    name, before = call.scope.state(f"{call.name}_frames", (1, reach * features))
    # One name and so one range: what is kept must not be rounded again at every frame.
    before = call.scope.tap(name, before)
    now = call.scope.tap(name, call.value.ready())
    after = now if reach == 1 else tf.concat([before[:, features:], now], axis=-1)
    call.scope.set_state(name, after)
    past = tf.split(before, reach, axis=-1) if reach > 1 else [before]
    return [past[number * dilation] for number in range(size - 1)] + [now]


@rule("FrameDifference")
def frame_difference(call: Call) -> Value:
    """Apply `FrameDifference`: the frame before is a state, and `started` is 0 until there is one."""
    if not call.sees_time:
        call.refuse("it is not given the clip's time axis", "Use it outside TimeDistributed.")
    layer, picture = call.layer, call.value.picture
    # Of the frame itself the state keeps the pixels, and the normalisation's offset cancels.
    x, gain = (call.value.ready(), 1.0) if picture is None else (picture.pixels, abs(picture.scale))
    previous_name, previous = call.scope.state("previous", tuple(x.shape))
    started_name, started = call.scope.state("started", (1, 1))
    moved = tf.abs(x - previous) * (started * tf.constant(gain * layer.gain, tf.float32))
    call.scope.set_state(previous_name, x)
    call.scope.set_state(started_name, tf.maximum(started, 1.0))
    # Of an int8 network the range does the clipping: an int8 MINIMUM would split the delegate's partition.
    return Value(call.scope, timed=True, tensor=moved, tap=Tap(name=call.name, bound=(0.0, float(layer.limit))))
