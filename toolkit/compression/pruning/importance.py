"""What each channel is worth: how much the loss would change without it.

First-order Taylor expansion over a gate on each channel (Molchanov et al., "Importance Estimation for Neural Network
Pruning", CVPR 2019): the change of a batch's loss is about the loss's derivative for the gate, and a channel's
importance is the mean of its square over batches. The derivative is the sum of weight x gradient over all weights that
read the channel, since closing the gate and making those weights 0 is the same thing. So nothing is put into the model,
and the units of a cell are measured through time like anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from toolkit.models.widths import Widths
    from toolkit.training.batches import Batch, Batches
    from toolkit.training.network import Network


def importances(
    network: Network,
    widths: Widths,
    batches: Batches,
    *,
    count: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, npt.NDArray[np.float64]]:
    """Measure every channel of every width on training data.

    Args:
        network: the trained model.
        widths: of that model.
        batches: what it was trained on.
        count: of batches that are looked at.
        progress: told how many of how many batches are done.

    Returns:
        Of each width, a number a channel; they can be compared across widths, too.
    """
    variables = [each.variable for name in widths.sizes for each in widths.readers(name)]
    places = {id(variable): place for place, variable in enumerate(variables)}
    found = {name: np.zeros(size) for name, size in widths.sizes.items()}
    gradients = tf.function(lambda given: _gradients(network, variables, given), reduce_retracing=True)
    count = min(count, len(batches))
    for index in range(count):
        given = gradients(_tensors(batches.batch(0, index)))
        for name, size in widths.sizes.items():
            changes = np.zeros(size)
            for weight in widths.readers(name):
                product = weight.variable.numpy() * given[places[id(weight.variable)]].numpy()
                changes += _by_channel(product, weight.reads or 0, size)
            found[name] += changes**2
        progress(index + 1, count)
    return {name: total / count for name, total in found.items()}


def _gradients(network: Network, variables: list[Any], given: Mapping[str, Any]) -> list[Any]:
    states = network.initial_states(tf.shape(given["labels"])[0])
    with tf.GradientTape() as tape:
        logits, _ = network.logits(
            given["frames"], given["still"], given["order"], states, training=False, warps=given.get("warps")
        )
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=given["labels"], logits=logits)
        loss = tf.reduce_sum(entropy * given["weights"]) / tf.maximum(tf.reduce_sum(given["weights"]), 1e-6)
    gradients: list[Any] = tape.gradient(loss, variables)
    return gradients


def _tensors(batch: Batch) -> dict[str, Any]:
    names = ("frames", "labels", "weights", "still", "order", "warps")
    return {name: tf.constant(value) for name in names if (value := getattr(batch, name)) is not None}


def _by_channel(product: npt.NDArray[Any], axis: int, size: int) -> npt.NDArray[np.float64]:
    """Sum over everything but the channels, which change fastest along their axis."""
    rows = np.moveaxis(product.astype(np.float64), axis, 0)
    sums: npt.NDArray[np.float64] = rows.reshape(len(rows) // size, size, -1).sum((0, 2))
    return sums
