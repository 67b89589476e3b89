"""Both ends of a step: the picture that a model takes, and the probabilities that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import tensorflow as tf

from runtime.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converters.keras_graph import Graph
    from converters.step_rules.scope import Scope, Value

Finish: TypeAlias = Literal["as it is", "softmax", "binary"]
"""What becomes of the model's output: a softmax is put behind logits, and one sigmoid unit becomes two classes."""


def frame_of(graph: Graph) -> tuple[bool, int | None, tuple[int, int, int]]:
    """Return whether the input has a time axis, its length, and the frame's shape.

    Raises:
        ConversionError: for an input that is no picture.
    """
    shape = graph.input_shape
    if len(shape) not in (4, 5):
        raise ConversionError(
            f"The model's input has shape {_written(shape)}; a step takes pictures. "
            "Give a model of clips [batch, time, height, width, channels] or pictures [batch, height, width, channels]."
        )
    height, width, channels = shape[-3:]
    if height is None or width is None or channels is None:
        raise ConversionError(
            f"The model's input has shape {_written(shape)}, and a step needs height, width and channels. "
            "Build the model with them."
        )
    if channels not in (1, 3):
        raise ConversionError(
            f"The model's input has {channels} channels; a frame has 1 (gray) or 3 (rgb). Train on one of these."
        )
    return len(shape) == 5, shape[1] if len(shape) == 5 else None, (height, width, channels)


def _written(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def finished(output: Value, scope: Scope) -> tuple[Any, Finish]:
    """Make the model's output the step's probabilities.

    Raises:
        ConversionError: for an output that is no probabilities.
    """
    if output.rank != 2:
        raise ConversionError(
            f"The model's answer for a frame has shape {_written(output.raw().shape)}, not one number a class. "
            "End the model with a Dense layer and a softmax."
        )
    width = int(output.raw().shape[-1])
    if output.distribution == "sigmoid" and width == 1:
        scope.notes.append("The one sigmoid unit p became the two classes 1-p and p.")
        p = output.final()
        return tf.concat([1 - p, p], axis=-1), "binary"
    if width == 1:
        raise ConversionError(
            "The model ends in one unit without a sigmoid, which is no class. End it with a softmax or a sigmoid."
        )
    if output.distribution is None:
        scope.notes.append("The model ends in logits; the step puts a softmax behind them.")
        return tf.nn.softmax(output.ready()), "softmax"
    if output.distribution == "sigmoid":
        scope.notes.append("The classes are sigmoid units of their own; their probabilities do not add up to 1.")
    return tf.identity(output.final()), "as it is"
