"""A run made fit for eight bits: trained on with its bounds, or with the rounding itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from runtime.errors import ConfigError
from toolkit.compression.derivation import Outcome, derive_run, fine_tuning
from toolkit.compression.masks import kept_zeros
from toolkit.compression.simulation import SimulatedNetwork
from toolkit.training.bounding import BoundingConfig, bound_network
from toolkit.training.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from toolkit.compression.derivation import Origin
    from toolkit.models.config import ModelConfig
    from toolkit.training.loop import Row, Watcher
    from toolkit.training.network import Network
    from toolkit.training.run_folder import Run

Method: TypeAlias = Literal["bounded", "aware"]


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """How a run is prepared.

    Attributes:
        method: `bounded` clips; `aware` clips, and rounds as an int8 file does while it is trained.
        epochs: None for a share of those that the run was trained with.
        bounding: see `BoundingConfig`.
    """

    method: Method = "bounded"
    epochs: int | None = None
    bounding: BoundingConfig = field(default_factory=BoundingConfig)

    def __post_init__(self) -> None:
        problems = []
        if self.method not in ("bounded", "aware"):
            problems.append(f"method is {self.method!r}, and must be bounded or aware")
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

    def trained(
        network: Network, origin: Origin, phase: str, after_step: Callable[[int], None] | None
    ) -> Sequence[Row]:
        clips = origin.held.clips
        loop = Loop(network, origin.batches, clips, fine, phase=phase, watcher=watcher, after_step=after_step)
        return loop.run().history

    def make(origin: Origin) -> Outcome:
        def fit(clipped: Network, model: ModelConfig, phase: str) -> Sequence[Row]:
            if config.method == "aware":
                simulated = SimulatedNetwork(clipped, model, pruned=run.sparsity is not None)
                try:
                    # What is held out is looked at with the rounding, too: these accuracies are those of 8 bits.
                    return trained(simulated, origin, phase, simulated.after_step)
                finally:
                    simulated.finish()
            keep = kept_zeros(clipped.model) if run.sparsity is not None else None
            history = trained(clipped, origin, phase, keep)
            if keep is not None:
                # The running mean that the loop ends with is of weights between their step and the mask.
                keep(0)
            return history

        found = bound_network(
            origin.network, run.model_config, origin.batches, config.bounding, fit, phase=config.method
        )
        return Outcome(
            network=found.network,
            history=found.rows,
            model_config=found.model,
            sparsity=run.sparsity,
            notes={"method": config.method, "epochs": fine.epochs, **found.notes},
        )

    return derive_run(run, out, make, force=force, command=command)
