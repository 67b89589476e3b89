"""`framestep verify`: an artifact against its trained model, over a stream of any length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.output import json_option, print_json, say, staged_progress


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--against", required=True, metavar="RUN|MODEL", type=click.Path(path_type=Path), help="What is true.")
@click.option("--data", required=True, multiple=True, metavar="DATA", help="Folder, table, film, or digits.")
@click.option("--frames", type=click.IntRange(min=10), default=3000, show_default=True, help="Length of the stream.")
@click.option("--min-agreement", type=click.FloatRange(0, 1), default=0.99, show_default=True)
@click.option("--max-accuracy-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@click.option(
    "--interpreter",
    type=click.Choice(["litert", "tflite", "tensorflow"]),
    help="That runs the artifact; the first that is installed where not given.",
)
@click.option("--trust", is_flag=True, help="Load classes that framestep does not know; they may run any code.")
@json_option
def command(
    *,
    file: Path,
    against: Path,
    data: tuple[str, ...],
    frames: int,
    min_agreement: float,
    max_accuracy_drop: float,
    interpreter: Any,
    trust: bool,
    as_json: bool,
) -> None:
    """Run the artifact FILE beside the float model over a long stream, and hold it to the gate.

    The exit status is 3 where they disagree too often.
    """
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    from converters.fidelity import Gate
    from toolkit.conversion import verify

    with staged_progress() as progress:
        figures = verify(file, against, data, frames=frames, interpreter=interpreter, trust=trust, progress=progress)
    Gate(min_agreement=min_agreement, max_accuracy_drop=max_accuracy_drop).check(figures)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(figures))
        return
    say(f"{figures.frames} frames of {figures.source}")
    for name in ("agreement", "agreement_first", "agreement_last", "rmse", "accuracy", "accuracy_reference"):
        value = getattr(figures, name)
        click.echo(f"{name:<20} {'–' if value is None else f'{value:.4f}'}")
