"""Where a trained model should clip, so that eight bits are spent on what happens and not on what might.

A scene cut drives an encoder's activations and a cell's pre-activations several times above everything else, and an
integer range that holds them has no steps left for the rest. A model that clips, and was trained a little longer
with its clips, loses nothing and has known, tight ranges.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow as tf

from converters.layers.formulas import BOUND_OF
from runtime.errors import ConfigError
from toolkit.models.build import build_model
from toolkit.models.config import Bounds
from toolkit.training.network import Network
from toolkit.training.observing import Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from toolkit.models.config import ModelConfig
    from toolkit.training.batches import Batches
    from toolkit.training.loop import Row

    Fit: TypeAlias = Callable[[Network, ModelConfig, str], Sequence[Row]]
    """Trains a network with clips in place, in a phase of this name, and gives the phase's history."""

_FRESH_EPOCH = 1_000_000
"""No training gets as far: windows are drawn for it that nobody has been trained on."""

_RELU6 = 6.0


@dataclass(frozen=True, kw_only=True)
class BoundingConfig:
    """How tight the bounds are.

    Attributes:
        percentiles: of what each activation and each place of the cell is given on the run's own roll-out; there it
            clips from then on. They are tried in turn until one does no harm.
        pre: the largest bound of a product or of a sum before a gate: a sigmoid of 6 is .9975.
        candidate: the largest before a tanh: tanh of 3 is .995, and 8 bits end at .992.
        c: the largest of an LSTM's c, for each of the percentiles: with 8 bits between -8 and 8 a c forgets whatever
            comes in small steps.
        c_least: the smallest.
        batches: of training data that are looked at.
        compared: batches that the loss before and after is compared on.
        share: epochs of training with the clips, as a fraction of the epochs without.
        rate: the learning rate, as a fraction of the training's.
        errors: standard errors by which the loss may be higher than before; see `bound_network`.
        slack: that much higher is nothing, however sure.
    """

    percentiles: tuple[float, ...] = (99.5, 99.95, 100.0)
    pre: float = 6.0
    candidate: float = 3.0
    c: tuple[float, ...] = (1.0, 2.0, 8.0)
    c_least: float = 0.5
    batches: int = 8
    compared: int = 16
    share: float = 0.25
    rate: float = 0.25
    errors: float = 2.0
    slack: float = 0.01

    def __post_init__(self) -> None:
        names = ("pre", "candidate", "c_least", "batches", "compared", "share", "rate")
        problems = [
            f"{name} is {getattr(self, name)}, and must be above 0" for name in names if not getattr(self, name) > 0
        ]
        if not self.percentiles or not all(0 < each <= 100 for each in self.percentiles):
            problems.append(f"percentiles is {self.percentiles}, and must be numbers above 0 and at most 100")
        if len(self.c) != len(self.percentiles) or not all(each > 0 for each in self.c):
            problems.append(f"c is {self.c}, and must be a number above 0 for each percentile")
        if problems:
            raise ConfigError(f"Bounding: {'; '.join(problems)}. Correct these.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounded:
    """A network with clips.

    Attributes:
        network: trained with them.
        model: what it is made of.
        rows: the history of all that was tried.
        notes: how it went, as JSON types.
    """

    network: Network
    model: ModelConfig
    rows: Sequence[Row]
    notes: dict[str, Any] = field(default_factory=dict)


def bound_network(
    network: Network,
    model: ModelConfig,
    batches: Batches,
    config: BoundingConfig,
    fit: Fit,
    *,
    phase: str = "bounded",
) -> Bounded:
    """Choose where a network clips, and train it on with its clips.

    A choice does no harm where the loss on freshly drawn windows of the training data is no higher than the network's
    without it, window by window, but for what chance explains. What is held out has no say in it. Where every choice
    does harm, the one that does least is taken.

    Args:
        network: the trained one; stays as it is.
        model: what it is made of; bounds that it has are chosen anew.
        batches: what it was trained on.
        config: see `BoundingConfig`.
        fit: see `Fit`.
        phase: what the training is called; the second choice's has a 2 behind it.
    """
    watched = Network(_rebuilt(network.model, model), scale=model.scale, offset=model.offset)
    observed = Observed(watched, batches, config.batches)
    before = _losses(network, batches, config.compared)
    rows: list[Row] = []
    tried: list[_Choice] = []
    for number, percentile in enumerate(config.percentiles, start=1):
        bounds = choose_bounds(observed, model, config, number - 1)
        clipped, bounded = bounded_network(network, model, bounds)
        name = phase if number == 1 else f"{phase} {number}"
        rows += fit(clipped, bounded, name)
        change = _losses(clipped, batches, config.compared) - before
        choice = _Choice(
            network=clipped,
            model=bounded,
            phase=name,
            percentile=percentile,
            loss_change=float(change.mean()),
            standard_error=float(change.std() / np.sqrt(len(change))),
        )
        tried.append(choice)
        if choice.loss_change <= max(config.slack, config.errors * choice.standard_error):
            break
    else:
        choice = min(tried, key=lambda one: one.loss_change)
    notes = {"phase": choice.phase, "percentile": choice.percentile, "tried": [each.told() for each in tried]}
    return Bounded(network=choice.network, model=choice.model, rows=rows, notes=notes)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Choice:
    """One percentile, and what became of the loss with its bounds."""

    network: Network
    model: ModelConfig
    phase: str
    percentile: float
    loss_change: float
    standard_error: float

    def told(self) -> dict[str, float]:
        return {
            "percentile": self.percentile,
            "loss_change": round(self.loss_change, 5),
            "standard_error": round(self.standard_error, 5),
        }


def choose_bounds(observed: Observed, model: ModelConfig, config: BoundingConfig, choice: int = 0) -> Bounds:
    """Take bounds from what occurred.

    Args:
        observed: see `Observed`.
        model: what was observed.
        config: see `BoundingConfig`.
        choice: which of its percentiles, and of the largest c.
    """
    percentile = config.percentiles[choice]
    activations = {}
    for name, values in observed.layers.items():
        reached = np.abs(values) if model.activation == "tanh" else np.maximum(values, 0)
        bound = _percentile(reached, percentile)
        if model.activation == "tanh":
            bound = min(bound, config.candidate)
        elif model.activation == "relu6" or model.preset == "mobilenet":
            bound = min(bound, _RELU6)
        activations[name] = bound
    found: dict[str, float] = defaultdict(float)
    for place, values in observed.places.items():
        name = BOUND_OF[place]
        found[name] = max(found[name], _percentile(np.abs(values), percentile))
    # These cells have nothing but a tanh, or a ramp that ends at 2.5, behind their sum.
    saturated = config.candidate if model.cell in ("rnn", "convlstm") else config.pre
    largest = {"pre": saturated, "candidate": config.candidate, "c": config.c[choice]}
    # With all that occurred, a product is not cut either: only sums are, where the activation behind them ends.
    product = config.pre if percentile < 100 else math.inf
    cell = {name: min(bound, largest.get(name, product)) for name, bound in found.items()}
    if "c" in cell:
        cell["c"] = max(cell["c"], config.c_least)
    return Bounds(activations=activations, **cell)


def bounded_network(network: Network, model: ModelConfig, bounds: Bounds) -> tuple[Network, ModelConfig]:
    """Build the same network with clips, and give it the weights."""
    bounded = replace(model, bounds=bounds)
    return Network(_rebuilt(network.model, bounded), scale=model.scale, offset=model.offset), bounded


def _rebuilt(trained: Any, config: ModelConfig) -> Any:
    model = build_model(config)
    model.set_weights(trained.get_weights())
    return model


def _percentile(values: npt.NDArray[np.float32], percentile: float) -> float:
    found = float(np.percentile(values, percentile))
    if found <= 0:
        # A layer that is almost always silent: bound what it says when it speaks.
        found = float(values.max())
    return round(found, 4) if found > 1e-3 else 1.0


def _losses(network: Network, batches: Batches, count: int) -> npt.NDArray[np.float64]:
    """Tell the weighted cross-entropy of each freshly drawn window, states carried over from batch to batch."""
    losses: list[npt.NDArray[np.float64]] = []
    states: list[Any] = []
    for index in range(min(count, len(batches))):
        batch = batches.batch(_FRESH_EPOCH, index)
        if not states or len(states[0]) != len(batch.frames) or (batch.start < 0).all():
            states = network.initial_states(len(batch.frames))
        logits, states = network.logits(
            batch.frames, batch.still, batch.order, states, training=False, warps=batch.warps
        )
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch.labels, logits=logits).numpy()
        losses.append((entropy * batch.weights).sum(1) / np.maximum(batch.weights.sum(1), 1e-6))
    return np.concatenate(losses).astype(np.float64)
