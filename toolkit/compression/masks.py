"""The zeros of a pruned model: which weights can be pruned, how many are 0, and what keeps them so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CELL_KERNELS = ("kernel", "recurrent_kernel", "peephole_kernel")


def prunable_layers(model: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Give the layers that can be pruned, each with its kernels.

    Those are convolutions, dense layers and cells (their layer stands for them), inside any wrapper. Depthwise kernels
    stay: they are few, and each is all that its channel has.
    """
    for layer in _leaves(model):
        if isinstance(layer, tf_keras.layers.RNN):
            yield layer, [getattr(layer.cell, name) for name in _CELL_KERNELS if hasattr(layer.cell, name)]
        elif isinstance(layer, tf_keras.layers.DepthwiseConv2D):
            continue
        elif isinstance(layer, (tf_keras.layers.Conv2D, tf_keras.layers.Dense)):
            yield layer, [layer.kernel]


def kept_zeros(model: Any) -> Callable[[int], None]:
    """Give what a `Loop` calls after every step so that every kernel weight that is 0 now stays 0.

    Args:
        model: whose weights are changed in place.
    """
    kernels = [kernel for _, kernels in prunable_layers(model) for kernel in kernels]
    masks = [tf.cast(kernel != 0, kernel.dtype) for kernel in kernels]

    def mask() -> None:
        for kernel, kept in zip(kernels, masks, strict=True):
            kernel.assign(kernel * kept)

    masking = tf.function(mask)

    def after_step(_: int) -> None:
        masking()

    return after_step


def kernel_sparsities(model: Any) -> dict[str, float]:
    """Tell the fraction of each prunable kernel's weights that is 0, by `layer/kernel`."""
    return {
        f"{layer.name}/{_own_name(kernel)}": float(np.mean(kernel.numpy() == 0))
        for layer, kernels in prunable_layers(model)
        for kernel in kernels
    }


def sparsity(model: Any) -> float:
    """Tell the fraction of all prunable weights that is 0."""
    kernels = [kernel.numpy() for _, kernels in prunable_layers(model) for kernel in kernels]
    return float(sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels))


def _leaves(layer: Any) -> Iterator[Any]:
    if isinstance(layer, tf_keras.Model):
        for inner in layer.layers:
            yield from _leaves(inner)
    elif isinstance(layer, tf_keras.layers.Wrapper):
        yield from _leaves(layer.layer)
    else:
        yield layer


def _own_name(weight: Any) -> str:
    return str(weight.name).rsplit("/", 1)[-1].partition(":")[0]
