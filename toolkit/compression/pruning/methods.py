"""From a run to a pruned run, by any method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.compression.derivation import derive_run
from toolkit.compression.pruning.channels import remove_channels
from toolkit.compression.pruning.magnitude import make_zeros

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.compression.derivation import Origin, Outcome
    from toolkit.compression.pruning.config import PruneConfig
    from toolkit.training.loop import Watcher
    from toolkit.training.run_folder import Run


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
        ConfigError: where `out` cannot be used, or the run cannot be pruned so.
        DatasetError: where the run's data is not there any more.
    """

    def make(origin: Origin) -> Outcome:
        work = remove_channels if config.method == "channels" else make_zeros
        return work(origin, config, watcher)

    return derive_run(run, out, make, force=force, watcher=watcher, command=command)
