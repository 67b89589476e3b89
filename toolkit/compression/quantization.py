"""A run made fit for eight bits: trained on with its bounds, or with the rounding itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runtime.errors import ConfigError
from toolkit.compression.derivation import Outcome, derive_run, fine_tuning
from toolkit.compression.masks import kept_zeros
from toolkit.training.bounding import BoundingConfig, bound_network
from toolkit.training.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from toolkit.compression.derivation import Origin
    from toolkit.models.config import ModelConfig
    from toolkit.training.loop import Row, Watcher
    from toolkit.training.network import Network
    from toolkit.training.run_folder import Run
    from toolkit.training.schedule import TrainConfig

Method: TypeAlias = Literal["bounded"]


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """How a run is prepared.

    Attributes:
        method: `bounded` clips.
        epochs: None for a share of those that the run was trained with.
        bounding: see `BoundingConfig`.
    """

    method: Method = "bounded"
    epochs: int | None = None
    bounding: BoundingConfig = field(default_factory=BoundingConfig)

    def __post_init__(self) -> None:
        problems = []
        if self.method != "bounded":
            problems.append(f"method is {self.method!r}, and must be bounded")
        if self.epochs is not None and self.epochs < 1:
            problems.append(f"epochs is {self.epochs}, and must be at least 1")
        if problems:
            raise ConfigError(f"Quantizing: {'; '.join(problems)}. Correct these.")


def quantize_run(
    run: Run,
    out: Path,
    config: QuantizeConfig,
    *,
    force: bool = False,
    watcher: Watcher | None = None,
    command: str = "",
) -> Run:
    """Make a run whose integer ranges are known from a run, trained on with its own data and settings.

    Bounds that the run has are chosen anew, from what it gives before it clips. The zeros of a pruned run stay.

    Args:
        run: stays as it is.
        out: the new run's folder; it appears when all is done.
        config: see `QuantizeConfig`.
        force: take the place of the run that is there.
        watcher: see `Watcher`.
        command: how the user asked, for the model card.

    Raises:
        ConfigError: where `out` cannot be used, or the run's encoder has a layer that cannot be simulated in integers.
        DatasetError: where the run's data is not there any more.
    """
    fine = fine_tuning(run, epochs=config.epochs, share=config.bounding.share, rate=config.bounding.rate)

    def make(origin: Origin) -> Outcome:
        def fit(clipped: Network, _: ModelConfig, phase: str) -> Sequence[Row]:
            return _trained_on(clipped, origin, fine, phase, watcher)

        found = bound_network(origin.network, run.model_config, origin.batches, config.bounding, fit)
        return Outcome(
            network=found.network,
            history=found.rows,
            model_config=found.model,
            sparsity=run.sparsity,
            notes={"method": config.method, "epochs": fine.epochs, **found.notes},
        )

    return derive_run(run, out, make, force=force, command=command)


def _trained_on(
    clipped: Network, origin: Origin, fine: TrainConfig, phase: str, watcher: Watcher | None
) -> Sequence[Row]:
    keep: Any = kept_zeros(clipped.model) if origin.run.sparsity is not None else None
    loop = Loop(clipped, origin.batches, origin.held.clips, fine, phase=phase, watcher=watcher, after_step=keep)
    history = loop.run().history
    if keep is not None:
        # The running mean that the loop ends with is of weights between their step and the mask.
        keep(0)
    return history
