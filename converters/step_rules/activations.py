"""Activations: as layers of their own, inside other layers, and in cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from converters.keras_graph import family_of
from converters.step_rules.registry import is_genuine, rule
from converters.step_rules.scope import SIGMOID_RANGE, TANH_RANGE, Call, Distribution, Range, Scope, Tap, Value, array

if TYPE_CHECKING:
    from collections.abc import Callable

    from converters.keras_graph import Family


@dataclass(frozen=True, kw_only=True)
class Activated:
    """An activation's answer before its tap.

    Attributes:
        tensor: the answer.
        bound: where the activation clips; the tensor is not clipped yet.
        fixed: the range that follows from its formula.
        distribution: set for probabilities.
    """

    tensor: Any
    bound: Range | None = None
    fixed: Range | None = None
    distribution: Distribution | None = None


_RELU_LIKE = ("relu", "relu6")

_PLAIN: dict[str, Callable[[Any], Any]] = {
    "relu": tf.nn.relu,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "softplus": tf.math.softplus,
    "exponential": tf.exp,
}

_FIXED: dict[str, tuple[Callable[[Any], Any], Range, Distribution | None]] = {
    "sigmoid": (tf.sigmoid, SIGMOID_RANGE, "sigmoid"),
    "tanh": (tf.tanh, TANH_RANGE, None),
    "softmax": (tf.nn.softmax, SIGMOID_RANGE, "softmax"),
    "softsign": (tf.nn.softsign, TANH_RANGE, None),
}


def name_of(function: Any) -> str:
    """Name an activation: a function's name, `linear` for None, `custom` for what Keras did not write."""
    if function is None:
        return "linear"
    if not hasattr(function, "__name__"):
        return f"layer:{type(function).__name__}" if is_genuine(function) else "custom"
    package = str(getattr(function, "__module__", "")).partition(".")[0]
    return str(function.__name__) if package in ("keras", "tf_keras", "tensorflow") else "custom"


def activate(scope: Scope, name: str, function: Any, x: Any) -> Activated:
    """Apply an activation to a tapped tensor.

    Args:
        scope: of the walk; some formulas need taps inside.
        name: path that those taps begin with.
        function: the activation as the layer holds it.
        x: tapped.
    """
    kind = name_of(function)
    if kind == "linear":
        return Activated(tensor=x)
    if kind == "relu6":
        return Activated(tensor=x, bound=(0.0, 6.0))
    if kind in _PLAIN:
        return Activated(tensor=_PLAIN[kind](x))
    if kind in _FIXED:
        compute, fixed, distribution = _FIXED[kind]
        return Activated(tensor=compute(x), fixed=fixed, distribution=distribution)
    if kind == "hard_sigmoid":
        return Activated(tensor=_hard_sigmoid(scope, name, _family(function), x), fixed=SIGMOID_RANGE)
    if kind in ("silu", "swish"):
        return Activated(tensor=x * scope.tap(f"{name}/gate", tf.sigmoid(x), fixed=SIGMOID_RANGE))
    if kind in ("hard_silu", "hard_swish"):
        gate = scope.tap(f"{name}/gate", _hard_sigmoid(scope, name, "keras", x), fixed=SIGMOID_RANGE)
        return Activated(tensor=x * gate)
    return Activated(tensor=function(x))


def _family(function: Any) -> Family:
    return "tf_keras" if str(function.__module__).startswith("tf_keras") else "keras"


def _hard_sigmoid(scope: Scope, name: str, family: Family, x: Any) -> Any:
    """Compute the ramp: Keras 3 has max(0, min(1, x/6 + .5)), tf_keras max(0, min(1, x/5 + .5))."""
    width = 6.0 if family == "keras" else 5.0
    return scope.tap(f"{name}/ramp", x + width / 2, bound=(0.0, width)) * (1 / width)


def tapped(scope: Scope, name: str, function: Any, x: Any) -> Any:
    """Apply an activation inside a cell; return its answer tapped."""
    answer = activate(scope, name, function, x)
    if name_of(function) == "linear":
        return x
    return scope.tap(name, answer.tensor, bound=answer.bound, fixed=answer.fixed)


def followed_by(call: Call, value: Value, function: Any) -> Value:
    """Let an activation follow a layer's own product: fused where it is a ReLU, else with a tap between.

    `value` is the product, tapped as `call.name`.
    """
    kind = name_of(function)
    if kind == "linear":
        return value
    if kind in _RELU_LIKE and value.fuses_relu:
        bound = (0.0, 6.0) if kind == "relu6" else None
        raw = value.raw()
        return call.answer(raw if bound else tf.nn.relu(raw), bound=bound)
    scope, name = call.scope, f"{call.name}/{kind.removeprefix('layer:')}"
    if kind.startswith("layer:"):
        return _layer_activation(call, function, value)
    answer = activate(scope, name, function, value.ready())
    return Value(
        call.scope,
        timed=call.timed,
        tensor=answer.tensor,
        tap=Tap(name=name, bound=answer.bound, fixed=answer.fixed),
        distribution=answer.distribution,
    )


@rule("Activation")
def activation(call: Call) -> Value:
    """Apply `Activation`."""
    return followed_by(call, call.value, call.layer.activation)


@rule("ReLU")
def relu(call: Call) -> Value:
    """Apply `ReLU` with its slope, threshold and largest value."""
    layer, value = call.layer, call.value
    slope, threshold = float(layer.negative_slope or 0), float(layer.threshold or 0)
    bound = None if layer.max_value is None else (0.0, float(layer.max_value))
    if slope == 0 and threshold == 0:
        x = value.raw() if value.fuses_relu else value.ready()
        return call.answer(x if bound else tf.nn.relu(x), bound=bound)
    x = value.ready()
    kept = tf.where(x >= threshold, x if bound is None else tf.minimum(x, bound[1]), slope * (x - threshold))
    return call.answer(kept)


@rule("BoundedActivation")
def bounded_activation(call: Call) -> Value:
    """Apply framestep's `BoundedActivation`: what it is given has a tap of its own, with the clip as its range."""
    layer, value = call.layer, call.value
    lowest, highest = layer.input_range
    x = value.raw() if value.fuses_relu else value.ready()
    x = call.scope.tap(f"{call.name}/{layer.activation}", x, bound=(lowest, highest))
    if layer.activation == "tanh":
        return call.answer(tf.tanh(x), fixed=TANH_RANGE)
    return call.answer(tf.nn.elu(x), fixed=(math.expm1(lowest), highest))


@rule("LeakyReLU")
def leaky_relu(call: Call) -> Value:
    """Apply `LeakyReLU`; its slope is called alpha in tf_keras."""
    slope = getattr(call.layer, "negative_slope", None)
    if slope is None:
        slope = call.layer.alpha
    return call.answer(tf.nn.leaky_relu(call.value.ready(), float(slope)))


@rule("ELU")
def elu(call: Call) -> Value:
    """Apply `ELU`."""
    x, alpha = call.value.ready(), float(call.layer.alpha)
    return call.answer(tf.nn.elu(x) if alpha == 1 else tf.where(x > 0, x, alpha * (tf.exp(tf.minimum(x, 0.0)) - 1)))


@rule("PReLU")
def prelu(call: Call) -> Value:
    """Apply `PReLU`, whose slopes may not differ over time."""
    slopes = array(call.layer.alpha)
    if call.sees_time:
        if slopes.shape[0] != 1:
            call.refuse("it has slopes of its own for every frame of a clip", "Give it shared_axes=[1, ...].")
        slopes = slopes[0]
    x = call.value.ready()
    return call.answer(tf.nn.relu(x) - slopes * tf.nn.relu(-x))


@rule("ThresholdedReLU")
def thresholded_relu(call: Call) -> Value:
    """Apply `ThresholdedReLU`."""
    x = call.value.ready()
    return call.answer(tf.where(x > float(call.layer.theta), x, 0.0))


@rule("Softmax")
def softmax(call: Call) -> Value:
    """Apply `Softmax` over an axis that is not time."""
    axis = call.layer.axis
    if not isinstance(axis, int):
        axis = list(axis)
        if len(axis) != 1:
            call.refuse(f"it is taken over several axes, {axis}", "Flatten first.")
        axis = axis[0]
    step_axis = call.axis(int(axis))
    distribution = "softmax" if step_axis == -1 else None
    return call.answer(tf.nn.softmax(call.value.ready(), step_axis), fixed=SIGMOID_RANGE, distribution=distribution)


_LAYERS: dict[str, Callable[[Call], Value]] = {"ReLU": relu, "LeakyReLU": leaky_relu, "ELU": elu, "Softmax": softmax}


def _layer_activation(call: Call, layer: Any, value: Value) -> Value:
    """Apply an activation layer that another layer holds as its activation."""
    kind = type(layer).__name__
    if kind not in _LAYERS or family_of(layer) is None:
        call.refuse(f"its activation is a {kind}", f"Put the {kind} behind it as a layer of its own.")
    inner = replace(call.node, layer=layer, name=f"{call.name}/{kind}")
    return _LAYERS[kind](replace(call, node=inner, values=(value,)))
