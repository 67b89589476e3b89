"""The learning rate and the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from runtime.errors import ConfigError

Optimizer: TypeAlias = Literal["adam", "adamw", "rmsprop", "sgd"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the weights are found.

    Attributes:
        epochs: at most.
        batch_size: clips or windows in a step.
        learning_rate: at its highest.
        optimizer: see `Optimizer`.
        averaging: the weights that are kept are a running mean over the steps, in which the mean before weighs this; 0
            keeps them as they are. Early on it weighs less, so that the first weights are soon forgotten.
        clip_norm: the gradient's norm over all weights is cut to this.
        warm_up: fraction of the steps in which the rate rises; then it falls along half a cosine, to 0.01 of itself.
        motion: how much it counts at first, beside the classes, that the cell tells where to the motion went (see
            `MotionTask`); it counts less with every step, and nothing at the end. 0 never asks.
        patience: epochs without a lower validation loss after which training ends, the best weights kept; 0 for none:
            then it goes to the end of the schedule and keeps the last weights, which no look at the validation part
            has chosen.
        looks: how often the clips held out are looked at, evenly over the epochs; after each where `patience` needs it.
        seed: of everything that is drawn.
    """

    epochs: int
    batch_size: int = 16
    learning_rate: float = 0.004
    optimizer: Optimizer = "adam"
    averaging: float = 0.99
    clip_norm: float = 1.0
    warm_up: float = 0.03
    motion: float = 0.0
    patience: int = 0
    looks: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, and must be {words}"
            for name, words, holds in (
                ("epochs", "at least 1", self.epochs >= 1),
                ("batch_size", "at least 1", self.batch_size >= 1),
                ("learning_rate", "above 0", 0 < self.learning_rate < math.inf),
                ("clip_norm", "above 0", 0 < self.clip_norm < math.inf),
                ("averaging", "0 or more, and below 1", 0 <= self.averaging < 1),
                ("warm_up", "0 to 1", 0 <= self.warm_up <= 1),
                ("motion", "at least 0", 0 <= self.motion < math.inf),
                ("patience", "at least 0", self.patience >= 0),
                ("looks", "at least 1", self.looks >= 1),
                ("seed", "at least 0", self.seed >= 0),
                ("optimizer", f"one of {', '.join(get_args(Optimizer))}", self.optimizer in get_args(Optimizer)),
            )
            if not holds
        ]
        if problems:
            raise ConfigError(f"Training: {'; '.join(problems)}. Correct these.")

    def rate(self, step: int, steps: int) -> float:
        """Tell the learning rate of a step, 0 to `steps` - 1."""
        rising = self.warm_up * steps
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        done = (step - rising) / max(1.0, steps - rising)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def motion_at(self, step: int, steps: int) -> float:
        """Tell what the motion counts in a step, 0 to `steps` - 1."""
        return self.motion * (1 - step / steps)

    def looks_at(self, epoch: int) -> bool:
        """Tell whether the clips held out are looked at after an epoch, 0 to `epochs` - 1; after the last they are."""
        return bool(self.patience) or (epoch + 1) * self.looks // self.epochs > epoch * self.looks // self.epochs

    def make_optimizer(self) -> Any:
        """Make the optimiser; the loop sets its rate at every step."""
        import tf_keras

        kinds = {
            "adam": tf_keras.optimizers.Adam,
            "adamw": tf_keras.optimizers.AdamW,
            "rmsprop": tf_keras.optimizers.RMSprop,
            "sgd": lambda rate: tf_keras.optimizers.SGD(rate, momentum=0.9),
        }
        return kinds[self.optimizer](self.learning_rate)
