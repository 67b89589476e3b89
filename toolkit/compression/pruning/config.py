"""What is pruned, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from runtime.errors import ConfigError

Method: TypeAlias = Literal["magnitude", "2:4", "channels"]
Schedule: TypeAlias = Literal["constant", "polynomial"]

TWO_OF_FOUR = 0.5
"""The only sparsity of 2:4."""


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """What goes, and how the rest is trained on.

    Attributes:
        method: `magnitude` makes the smallest weights of every kernel 0; `2:4` two of every four that follow each
            other along a kernel's input channels; `channels` removes whole channels, features and units, and a smaller
            model is left.
        sparsity: of every kernel the fraction that becomes 0; for `channels` the fraction of the model's multiply-adds
            that goes, at least.
        schedule: of `magnitude`: all at once, or more and more.
        epochs: None for half of those that the run was trained with; for `channels` as many.
        rate: the learning rate, as a fraction of the training's.

    Raises:
        ConfigError: naming every problem.
    """

    method: Method = "magnitude"
    sparsity: float
    schedule: Schedule = "polynomial"
    epochs: int | None = None
    rate: float = 0.5

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)!r}, and must be one of {', '.join(get_args(options))}"
            for name, options in (("method", Method), ("schedule", Schedule))
            if getattr(self, name) not in get_args(options)
        ]
        if not 0 < self.sparsity < 1:
            problems.append(f"sparsity is {self.sparsity}, and must be above 0 and below 1")
        elif self.method == "2:4" and self.sparsity != TWO_OF_FOUR:
            problems.append(f"sparsity is {self.sparsity}, and must be {TWO_OF_FOUR} for 2:4")
        if self.epochs is not None and self.epochs < 1:
            problems.append(f"epochs is {self.epochs}, and must be at least 1")
        if not 0 < self.rate <= 1:
            problems.append(f"rate is {self.rate}, and must be above 0 and at most 1")
        if problems:
            raise ConfigError(f"Pruning: {'; '.join(problems)}. Correct these.")
