"""`framestep prune`: from a run to a sparser run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from toolkit.cli.output import json_option, print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new run's folder, new or empty.")
@click.option("--method", type=click.Choice(["magnitude"]), default="magnitude", show_default=True)
@click.option(
    "--sparsity",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Fraction of every kernel's weights that become 0.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Of training on; half of the run's where not given.")
@click.option("--force", is_flag=True, help="Replace the run in --out.")
@json_option
def command(
    *, run: Path, out: Path, method: str, sparsity: float, epochs: int | None, force: bool, as_json: bool
) -> None:
    """Make the smallest weights of RUN zero while it is trained on with its own data, and write a run.

    The files that are made from it are smaller once compressed; they are not faster.
    """
    del method  # the only one there is
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    from toolkit.cli.tensorflow import load_tensorflow
    from toolkit.cli.watching import Teller

    load_tensorflow()
    from toolkit.compression.pruning.config import PruneConfig
    from toolkit.compression.pruning.methods import prune_run
    from toolkit.training.run_folder import Run

    with Teller() as watcher:
        pruned = prune_run(
            Run.load(run),
            out,
            PruneConfig(sparsity=sparsity, epochs=epochs),
            force=force,
            watcher=watcher,
            command=shlex.join(["framestep", *sys.argv[1:]]),
        )
    if as_json:
        print_json({"run": pruned.folder, "sparsity": pruned.sparsity, "val_accuracy": pruned.val_accuracy})
    else:
        click.echo(f"{pruned.folder}: sparsity {pruned.sparsity:.3f}, held out {pruned.val_accuracy:.4f}")
