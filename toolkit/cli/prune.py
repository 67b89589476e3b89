"""`framestep prune`: from a run to a smaller run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.output import json_option, print_json

if TYPE_CHECKING:
    from toolkit.training.run_folder import Run

_SPARSITY = {"magnitude": 0.8, "2:4": 0.5, "channels": 0.4}
"""Where none is given."""


def _checked_sparsity(method: str, sparsity: float | None) -> float:
    if sparsity is None:
        return _SPARSITY[method]
    if method == "2:4" and sparsity != _SPARSITY[method]:
        raise click.UsageError(f"--method 2:4 makes two of every four weights zero: --sparsity 0.5, not {sparsity:g}.")
    return sparsity


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new run's folder, new or empty.")
@click.option(
    "--method",
    type=click.Choice(list(_SPARSITY)),
    default="magnitude",
    show_default=True,
    help="The smallest weights anywhere; the two smallest of every four input channels; or whole channels.",
)
@click.option(
    "--sparsity",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="magnitude: fraction of every kernel's weights that become 0 (0.8 where not given). 2:4: 0.5, no other. "
    "channels: fraction of the model's multiply-adds that go (0.4 where not given).",
)
@click.option(
    "--schedule",
    type=click.Choice(["polynomial", "constant"]),
    help="How magnitude gets there: more and more zeros, over two thirds of the training (polynomial), or all at once.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Of training on; half of the run's where not given, for channels as many.",
)
@click.option("--force", is_flag=True, help="Replace the run in --out.")
@json_option
def command(
    *,
    run: Path,
    out: Path,
    method: Any,
    sparsity: float | None,
    schedule: Any,
    epochs: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Take weights out of RUN while it is trained on with its own data, and write a run.

    Weights that are zero (magnitude, 2:4) make the files that come of it smaller once compressed, and no faster.
    Removing channels makes the model itself smaller: files, memory and time. All of them may follow each other.
    """
    if schedule is not None and method != "magnitude":
        raise click.UsageError(f"--schedule belongs to --method magnitude, not to {method}.")
    sparsity = _checked_sparsity(method, sparsity)
    from toolkit.cli.tensorflow import load_tensorflow
    from toolkit.cli.watching import Teller

    load_tensorflow()
    from toolkit.compression.pruning.config import PruneConfig
    from toolkit.compression.pruning.methods import prune_run
    from toolkit.training.run_folder import Run

    config = PruneConfig(method=method, sparsity=sparsity, schedule=schedule or "polynomial", epochs=epochs)
    with Teller() as watcher:
        pruned = prune_run(
            Run.load(run),
            out,
            config,
            force=force,
            watcher=watcher,
            command=shlex.join(["framestep", *sys.argv[1:]]),
        )
    if as_json:
        print_json(_answer(pruned))
    else:
        _say(pruned)


def _answer(pruned: Run) -> dict[str, Any]:
    notes = pruned.training["derivations"][-1]
    cost = notes.get("multiply_adds")
    return {
        "run": pruned.folder,
        "method": notes["method"],
        "sparsity": pruned.sparsity if cost is None else 1 - cost["after"] / cost["before"],
        "val_accuracy": pruned.val_accuracy,
        "kernel_sparsities": pruned.results.get("kernel_sparsities"),
        "multiply_adds": cost,
        "widths": notes.get("widths"),
        "narrow": notes.get("narrow"),
    }


def _warn(narrow: list[str]) -> None:
    click.echo(
        f"Fewer than 8 channels are left of {', '.join(narrow)}: a Raspberry Pi takes longer for that than for 8. Time "
        "it there, or ask for a lower --sparsity.",
        err=True,
    )


def _say(pruned: Run) -> None:
    answer = _answer(pruned)
    words = []
    if answer["multiply_adds"] is not None:
        before, after = answer["multiply_adds"]["before"], answer["multiply_adds"]["after"]
        widths = (f"{name} {size['before']} to {size['after']}" for name, size in answer["widths"].items())
        words += [f"{after:,} of {before:,} multiply-adds ({', '.join(widths)})"]
        if answer["narrow"]:
            _warn(answer["narrow"])
    if pruned.sparsity is not None:
        words += [f"sparsity {pruned.sparsity:.3f}"]
    click.echo(f"{pruned.folder}: {'; '.join(words)}; held out {pruned.val_accuracy:.4f}")
