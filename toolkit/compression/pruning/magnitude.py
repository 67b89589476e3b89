"""Weights made 0 by their magnitude, anywhere or two in every four, while the rest is trained on.

tensorflow-model-optimization's wrappers choose the masks and hold them. They stand beside the model's layers and not
in the model: inside a `TimeDistributed` its own callback would not find them, and their step would stay at 0. So the
step is told to each one here, and there is nothing to strip at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from runtime.errors import ConfigError
from toolkit.compression.derivation import Outcome, fine_tuning
from toolkit.compression.masks import kept_zeros, kernel_sparsities, prunable_layers, sparsity
from toolkit.training.loop import Loop

if TYPE_CHECKING:
    from toolkit.compression.derivation import Origin
    from toolkit.compression.pruning.config import PruneConfig, Schedule
    from toolkit.training.loop import Watcher

_UPDATES = 16
"""Times that the masks are chosen anew."""

_RAMP = 2 / 3
"""Of the steps, after which the sparsity is reached; the rest heals."""

_EPOCHS = 0.5
"""Of those that the run was trained with, where none are given."""

_TWO_OF_FOUR = (2, 4)
"""Zeros in so many weights; tfmot groups them along the input channels, and pads a group that is cut short with zeros:
of three channels at least one is 0 then, of two or one none must be."""


class Pruner:
    """The masks of a model's kernels, on the way to a sparsity.

    Args:
        model: of `build_model`'s structure; its kernels are changed in place.
        sparsity: to end with, in every kernel; None for 2:4.
        steps: of the training.
        schedule: see `PruneConfig`; 2:4 is there from the beginning.
    """

    def __init__(self, model: Any, *, sparsity: float | None, steps: int, schedule: Schedule = "polynomial") -> None:
        ramp = max(1, round(_RAMP * steps))
        frequency = max(1, ramp // _UPDATES)
        # tfmot chooses masks at multiples of the frequency: the end must be one.
        self._last = max(1, ramp // frequency) * frequency
        self._done = 0
        choice: dict[str, Any] = _tfmot_choice(model, sparsity, schedule, last=self._last, frequency=frequency)
        self._wrappers = [_wrapper(layer, kernels, choice) for layer, kernels in prunable_layers(model)]
        self._update = tf.function(self._choose_and_mask)
        self._mask = tf.function(self._mask_all)
        if sparsity is None:
            # tfmot chooses 2:4 masks at step 1 and never again.
            self._last = 1
            self.after_step(1)
        elif schedule == "constant":
            self.after_step(0)

    def after_step(self, step: int) -> None:
        """Choose masks where it is time to, and make the masked weights 0 again.

        Args:
            step: of training, from 1.
        """
        if self._done >= self._last:
            self._mask()
        else:
            self._update(tf.constant(step, tf.int64))
        self._done = max(self._done, step)

    def finish(self) -> None:
        """Reach the sparsity, however few steps there were, and leave the masked weights at 0."""
        self.after_step(self._last)

    def _choose_and_mask(self, step: Any) -> None:
        for wrapper in self._wrappers:
            wrapper.pruning_step.assign(step)
            wrapper.pruning_obj.conditional_mask_update()
        self._mask_all()

    def _mask_all(self) -> None:
        for wrapper in self._wrappers:
            wrapper.pruning_obj.weight_mask_op()


def make_zeros(origin: Origin, config: PruneConfig, watcher: Watcher | None) -> Outcome:
    """Prune by magnitude or 2:4; what was 0 in a run that was pruned before stays 0.

    Raises:
        ConfigError: where the run already has more zeros than are asked for.
    """
    run, network, batches = origin.run, origin.network, origin.batches
    if config.method == "magnitude" and run.sparsity is not None:
        least = min(kernel_sparsities(network.model).values())
        if least > config.sparsity:
            raise ConfigError(
                f"{run.folder} was pruned before, to {least:.3f} in every kernel or more; {config.sparsity} would be "
                "less. Ask for a higher --sparsity."
            )
    how = fine_tuning(run, epochs=config.epochs, share=_EPOCHS, rate=config.rate)
    keep = kept_zeros(network.model) if run.sparsity is not None else lambda _: None
    pruner = Pruner(
        network.model,
        sparsity=None if config.method == "2:4" else config.sparsity,
        steps=how.epochs * len(batches),
        schedule=config.schedule,
    )

    def after_step(step: int) -> None:
        keep(step)
        pruner.after_step(step)

    loop = Loop(network, batches, origin.held.clips, how, phase="pruned", watcher=watcher, after_step=after_step)
    fitted = loop.run()
    keep(0)
    pruner.finish()
    schedule = {"schedule": config.schedule} if config.method == "magnitude" else {}
    return Outcome(
        network=network,
        history=fitted.history,
        model_config=run.model_config,
        sparsity=sparsity(network.model),
        notes={"method": config.method, "sparsity": config.sparsity, **schedule, "epochs": how.epochs},
    )


def _tfmot_choice(
    model: Any, sparsity: float | None, schedule: Schedule, *, last: int, frequency: int
) -> dict[str, Any]:
    """What tfmot's wrappers are told: when, and how many."""
    from tensorflow_model_optimization.sparsity import keras as sparsity_keras

    if sparsity is None:
        return {"sparsity_m_by_n": _TWO_OF_FOUR}
    if schedule == "constant":
        chosen = sparsity_keras.ConstantSparsity(sparsity, begin_step=0, end_step=last, frequency=frequency)
    else:
        # A run that was pruned before goes on from there.
        first = min(sparsity, *kernel_sparsities(model).values())
        chosen = sparsity_keras.PolynomialDecay(
            initial_sparsity=first, final_sparsity=sparsity, begin_step=0, end_step=last, frequency=frequency
        )
    return {"pruning_schedule": chosen}


def _wrapper(layer: Any, kernels: list[Any], choice: dict[str, Any]) -> Any:
    from tensorflow_model_optimization.sparsity import keras as sparsity_keras

    # tfmot knows no cells: their layer offers their kernels.
    layer.get_prunable_weights = lambda: kernels
    wrapper = sparsity_keras.prune_low_magnitude(layer, **choice)
    wrapper.build(layer.input_shape)
    return wrapper
