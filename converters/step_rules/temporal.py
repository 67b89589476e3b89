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
    now = call.value.ready()
    past = _past(call, size, dilation) if size > 1 else None

    def run(weights: Any, bias: Any) -> Any:
        # Two products, as in a cell: the frames kept and this one have 8-bit scales of their own.
        answer = _grouped(now, weights[-1:], bias, groups)
        if past is None:
            return answer
        before = call.scope.tap(f"{call.name}/from_past", _grouped(past, weights[:-1], None, groups))
        return call.scope.tap(f"{call.name}/from_now", answer) + before

    return followed_by(call, product(call, run, array(layer.kernel), bias_of(layer)), layer.activation)


def _grouped(x: Any, weights: Any, bias: Any, groups: int) -> Any:
    """Multiply frames side by side, [1, frames * features], by a kernel [frames, features / groups, filters]."""
    frames, width = weights.shape[0], weights.shape[-1] // groups
    if groups == 1:
        return dense_product(x, weights.reshape(-1, weights.shape[-1]), bias)
    parts = [tf.split(frame, groups, axis=-1) for frame in tf.split(x, frames, axis=-1)]
    answers = [
        dense_product(
            tf.concat([part[number] for part in parts], axis=-1),
            weights[..., number * width : (number + 1) * width].reshape(-1, width),
            None,
        )
        for number in range(groups)
    ]
    return with_bias(tf.concat(answers, axis=-1), bias)


def _past(call: Call, size: int, dilation: int) -> Any:
    """Return the earlier frames under a causal kernel side by side, the oldest first, and keep what later ones need.

    The state is [1, reach * features], the oldest frame first; zeros at the start are the causal padding.
    """
    now = call.value.ready()
    reach, features = (size - 1) * dilation, int(now.shape[-1])
    name, kept = call.scope.state(f"{call.name}_frames", (1, reach * features))
    # The state moves on as it is, in float, and is never rounded again.
    call.scope.set_state(name, now if reach == 1 else tf.concat([kept[:, features:], now], axis=-1))
    past = call.scope.tap(name, kept)
    if dilation == 1:
        return past
    frames = tf.split(past, reach, axis=-1)
    return tf.concat([frames[number * dilation] for number in range(size - 1)], axis=-1)


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
