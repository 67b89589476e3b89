"""Whole channels, features and units taken out of encoder, cell and head: a smaller model is left, and trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.errors import ConfigError
from toolkit.compression.derivation import Outcome, fine_tuning
from toolkit.compression.masks import kept_zeros, sparsity
from toolkit.compression.pruning.choice import choose
from toolkit.compression.pruning.importance import importances
from toolkit.models.build import build_model
from toolkit.models.widths import Widths
from toolkit.training.loop import Loop, Silent
from toolkit.training.network import Network

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from toolkit.compression.derivation import Origin
    from toolkit.compression.pruning.choice import Kept
    from toolkit.compression.pruning.config import PruneConfig
    from toolkit.models.config import ModelConfig
    from toolkit.training.loop import Watcher

_BATCHES = 32
"""Of training data that the importances come from."""

_EPOCHS = 1.0
"""Of those that the run was trained with, where none are given: a model that lost half of a layer has more to learn
again than one that lost single weights."""

_VECTOR = 8
"""Output channels that the kernels of every target compute at least; see `ChoiceConfig`."""


def remove_channels(origin: Origin, config: PruneConfig, watcher: Watcher | None) -> Outcome:
    """Remove channels and train what is left.

    Raises:
        ConfigError: where the model is not as its configuration builds it, or nearly all of it would have to go.
    """
    run, batches = origin.run, origin.batches
    widths = widths_of(origin.network.model, run.model_config)
    watcher = watcher or Silent()
    found = importances(
        origin.network,
        widths,
        batches,
        count=_BATCHES,
        progress=lambda done, all_of_them: watcher.step(
            phase="importance", epoch=1, epochs=1, step=done, steps=all_of_them
        ),
    )
    kept = choose(widths, found, multiply_adds=(1 - config.sparsity) * widths.multiply_adds)
    model, smaller = smaller_model(origin.network.model, widths, kept)
    network = Network(model, scale=smaller.scale, offset=smaller.offset)
    how = fine_tuning(run, epochs=config.epochs, share=_EPOCHS, rate=config.rate)
    # Zeros of a run that was pruned before come along, and stay.
    after_step = kept_zeros(model) if run.sparsity is not None else None
    loop = Loop(network, batches, origin.held.clips, how, phase="channels", watcher=watcher, after_step=after_step)
    fitted = loop.run()
    if after_step is not None:
        after_step(0)
    left = widths_of(model, smaller).multiply_adds
    return Outcome(
        network=network,
        history=fitted.history,
        model_config=smaller,
        sparsity=None if run.sparsity is None else sparsity(model),
        notes={
            "method": "channels",
            "sparsity": config.sparsity,
            "epochs": how.epochs,
            "multiply_adds": {"before": widths.multiply_adds, "after": left},
            "narrow": _narrow(widths, kept),
            "widths": {name: {"before": size, "after": len(kept[name])} for name, size in widths.sizes.items()},
            "importance": "(sum of weight x gradient)^2 over a channel's readers, mean over batches of training data",
            "removed": {name: _removed(found[name], kept[name]) for name in widths.sizes},
        },
    )


def widths_of(model: Any, config: ModelConfig) -> Widths:
    """Give a model's widths.

    Raises:
        ConfigError: where the model is not as its configuration builds it.
    """
    shapes = [tuple(weight.shape) for weight in build_model(config).weights]
    if shapes != [tuple(weight.shape) for weight in model.weights]:
        raise ConfigError(
            "The run's model is not as framestep train builds it: its channels cannot be told. Remove channels from "
            "the run that it was made from, before anything else is done to it."
        )
    return Widths(model, config)


def smaller_model(model: Any, widths: Widths, kept: Kept) -> tuple[Any, ModelConfig]:
    """Build a model of the channels that stay, with their weights.

    Args:
        model: stays as it is.
        widths: of that model.
        kept: see `Kept`.
    """
    config = widths.config_with({name: len(places) for name, places in kept.items()})
    smaller = build_model(config)
    smaller.set_weights(widths.cut(model.get_weights(), kept))
    return smaller, config


def _narrow(widths: Widths, kept: Kept) -> list[str]:
    """The convolutions that were cut below a vector, which a board pays for in time."""
    convolutions = [name for name in widths.sizes if name not in ("features", "cell", "head")]
    return [name for name in convolutions if len(kept[name]) < min(_VECTOR, widths.sizes[name])]


def _removed(found: npt.NDArray[np.float64], kept: npt.NDArray[np.int64]) -> list[dict[str, float]]:
    """The channels that went, the least important first, each with its share of its width's importance."""
    total = float(found.sum()) or 1.0
    gone = sorted(set(range(len(found))) - set(kept.tolist()), key=lambda channel: found[channel])
    return [{"channel": channel, "share": round(float(found[channel]) / total, 6)} for channel in gone]
