"""Layers that bring branches together, frame by frame."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from converters.step_rules.registry import rule

if TYPE_CHECKING:
    from converters.step_rules.scope import Call, Value


def _tensors(call: Call) -> list[Any]:
    return [value.ready() for value in _branches(call)]


def _branches(call: Call) -> tuple[Value, ...]:
    values = call.values
    if len(values) < 2:
        call.refuse(f"it merges {len(values)} tensor", "Call it on a list of two or more.")
    if len({value.timed for value in values}) > 1:
        call.refuse(
            "it spreads the answer of a whole clip over all frames, those before it included",
            "Set return_sequences=True on the recurrent layer.",
        )
    if len({value.rank for value in values}) > 1:
        call.refuse("its branches have different ranks", "Reshape them to one rank first.")
    return values


def _fold(call: Call, function: Any) -> Any:
    """Apply a function of two along the branches, each answer between tapped."""
    tensors = _tensors(call)
    total = tensors[0]
    for number, tensor in enumerate(tensors[1:], start=1):
        total = function(total, tensor)
        if number < len(tensors) - 1:
            total = call.scope.tap(f"{call.name}/{number}", total)
    return total


@rule("Add")
def add(call: Call) -> Value:
    """Apply `Add`; a ReLU behind it is fused."""
    return call.answer(_fold(call, tf.add), fuses_relu=True)


@rule("Subtract")
def subtract(call: Call) -> Value:
    """Apply `Subtract`."""
    return call.answer(_fold(call, tf.subtract), fuses_relu=True)


@rule("Multiply")
def multiply(call: Call) -> Value:
    """Apply `Multiply`."""
    return call.answer(_fold(call, tf.multiply))


@rule("Average")
def average(call: Call) -> Value:
    """Apply `Average`; of probabilities it gives probabilities."""
    total = call.scope.tap(f"{call.name}/sum", _fold(call, tf.add))
    kinds = {value.distribution for value in call.values}
    distribution = kinds.pop() if len(kinds) == 1 else None
    return call.answer(total * (1 / len(call.values)), distribution=distribution)


@rule("Maximum")
def maximum(call: Call) -> Value:
    """Apply `Maximum`."""
    return call.answer(reduce(tf.maximum, _tensors(call)))


@rule("Minimum")
def minimum(call: Call) -> Value:
    """Apply `Minimum`."""
    return call.answer(reduce(tf.minimum, _tensors(call)))


@rule("Concatenate")
def concatenate(call: Call) -> Value:
    """Apply `Concatenate` along an axis that is not time.

    In 8 bits its branches must have one scale. They take that of the answer at once, where they can: to round them to
    a scale of their own first costs an int8 model of row and column means a hundredth of its agreement with float.
    """
    tensors = [value.deferred()[0] for value in _branches(call)]
    return call.answer(tf.concat(tensors, call.axis(int(call.layer.axis))))
