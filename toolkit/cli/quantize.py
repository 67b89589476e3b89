"""`framestep quantize`: from a run to one whose integer ranges are known."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

import click

from toolkit.cli.output import json_option, print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new run's folder, new or empty.")
@click.option(
    "--method",
    type=click.Choice(["bounded", "aware"]),
    default="bounded",
    show_default=True,
    help="Clip where the run hardly ever goes; or clip there, and round as 8 bits do while it is trained on.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Of training on; a quarter of the run's where not given.")
@click.option("--force", is_flag=True, help="Replace the run in --out.")
@json_option
def command(
    *, run: Path, out: Path, method: Literal["bounded", "aware"], epochs: int | None, force: bool, as_json: bool
) -> None:
    """Train RUN on with its own data so that 8 bits are enough for it, and write a run.

    Activations, products, gates and an LSTM's c get bounds, which become the ranges of every int8 file that is made
    from the run. Bounds that RUN has are chosen anew; what was pruned stays pruned.
    """
    from toolkit.cli.tensorflow import load_tensorflow
    from toolkit.cli.watching import Teller

    load_tensorflow()
    from toolkit.compression.quantization import QuantizeConfig, quantize_run
    from toolkit.training.run_folder import Run

    with Teller() as watcher:
        quantized = quantize_run(
            Run.load(run),
            out,
            QuantizeConfig(method=method, epochs=epochs),
            force=force,
            watcher=watcher,
            command=shlex.join(["framestep", *sys.argv[1:]]),
        )
    if as_json:
        print_json({"run": quantized.folder, "val_accuracy": quantized.val_accuracy, "sparsity": quantized.sparsity})
    else:
        click.echo(f"{quantized.folder}: held out {quantized.val_accuracy:.4f}")
