"""Magnitude pruning: the smallest weights become 0, a few more at a time, while the rest is trained on.

tensorflow-model-optimization's wrappers choose the masks and hold them. They stand beside the model's layers and not
in the model: inside a `TimeDistributed` its own callback would not find them, and their step would stay at 0. So the
step is told to each one here, and there is nothing to strip at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from runtime.errors import ConfigError
from toolkit.compression.derivation import Outcome, derive_run, fine_tuning
from toolkit.compression.masks import prunable_layers, sparsity
from toolkit.training.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from toolkit.compression.derivation import Origin
    from toolkit.training.loop import Watcher
    from toolkit.training.run_folder import Run

_UPDATES = 16
"""Times that the masks are chosen anew."""

_RAMP = 2 / 3
"""Of the steps, after which the sparsity is reached; the rest heals."""


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """How much becomes 0, and how it is trained on.

    Attributes:
        sparsity: of every kernel, a fraction.
        epochs: None for half of those that the run was trained with.
        rate: the learning rate, as a fraction of the training's.
    """

    sparsity: float
    epochs: int | None = None
    rate: float = 0.5

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.sparsity < 1:
            problems.append(f"sparsity is {self.sparsity}, and must be above 0 and below 1")
        if self.epochs is not None and self.epochs < 1:
            problems.append(f"epochs is {self.epochs}, and must be at least 1")
        if not 0 < self.rate <= 1:
            problems.append(f"rate is {self.rate}, and must be above 0 and at most 1")
        if problems:
            raise ConfigError(f"Pruning: {'; '.join(problems)}. Correct these.")


class Pruner:
    """The masks of a model's kernels, on the way to a sparsity.

    Args:
        model: of `build_model`'s structure; its kernels are changed in place.
        sparsity: to end with, in every kernel.
        steps: of the training.
    """

    def __init__(self, model: Any, *, sparsity: float, steps: int) -> None:
        from tensorflow_model_optimization.sparsity import keras as sparsity_keras

        ramp = max(1, round(_RAMP * steps))
        frequency = max(1, ramp // _UPDATES)
        # tfmot chooses masks at multiples of the frequency: the end must be one.
        self._last = max(1, ramp // frequency) * frequency
        schedule = sparsity_keras.PolynomialDecay(
            initial_sparsity=0.0, final_sparsity=sparsity, begin_step=0, end_step=self._last, frequency=frequency
        )
        self._wrappers = []
        for layer, kernels in prunable_layers(model):
            # A recurrent layer offers its cell's.
            layer.get_prunable_weights = lambda kernels=kernels: kernels
            wrapper = sparsity_keras.prune_low_magnitude(layer, pruning_schedule=schedule)
            wrapper.build(layer.input_shape)
            self._wrappers.append(wrapper)
        self._apply = tf.function(self._update)

    def after_step(self, step: int) -> None:
        """Choose masks where it is time to, and make the masked weights 0 again.

        Args:
            step: of training, from 1.
        """
        self._apply(tf.constant(step, tf.int64))

    def finish(self) -> None:
        """Reach the sparsity, however few steps there were."""
        self.after_step(self._last)

    def kernels(self) -> Iterator[tuple[str, float]]:
        """Tell each kernel's name and the fraction of its weights that is 0."""
        for wrapper in self._wrappers:
            for weight, _, _ in wrapper.pruning_vars:
                yield f"{wrapper.layer.name}/{weight.name}", float(np.mean(weight.numpy() == 0))

    def sparsity(self) -> float:
        """Tell the fraction of all prunable weights that is 0."""
        weights = [weight.numpy() for wrapper in self._wrappers for weight, _, _ in wrapper.pruning_vars]
        return float(sum((each == 0).sum() for each in weights) / sum(each.size for each in weights))

    def _update(self, step: Any) -> None:
        for wrapper in self._wrappers:
            wrapper.pruning_step.assign(step)
            wrapper.pruning_obj.conditional_mask_update()
            wrapper.pruning_obj.weight_mask_op()


def prune_run(
    run: Run,
    out: Path,
    config: PruneConfig,
    *,
    force: bool = False,
    watcher: Watcher | None = None,
    command: str = "",
) -> Run:
    """Make a pruned run from a run, trained on with its own data and settings.

    Args:
        run: stays as it is.
        out: the new run's folder; see `derive_run`.
        config: see `PruneConfig`.
        force: take the place of the run that is there.
        watcher: see `Watcher`.
        command: how the user asked, for the model card.

    Raises:
        ConfigError: where `out` cannot be used.
        DatasetError: where the run's data is not there any more.
    """

    def make(origin: Origin) -> Outcome:
        how = fine_tuning(run, epochs=config.epochs, share=0.5, rate=config.rate)
        network, batches = origin.network, origin.batches
        pruner = Pruner(network.model, sparsity=config.sparsity, steps=how.epochs * len(batches))
        loop = Loop(
            network, batches, origin.held.clips, how, phase="pruned", watcher=watcher, after_step=pruner.after_step
        )
        fitted = loop.run()
        pruner.finish()
        return Outcome(
            network=network,
            history=fitted.history,
            model_config=run.model_config,
            sparsity=sparsity(network.model),
            notes={"method": "magnitude", "epochs": how.epochs, "sparsity": config.sparsity},
        )

    return derive_run(run, out, make, force=force, command=command)
