"""`framestep verify`: an artifact against its trained model, over a stream of any length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.output import json_option, print_json, say, staged_progress

_FIGURES = (
    "agreement",
    "agreement_first",
    "agreement_last",
    "confident_disagreements",
    "rmse",
    "accuracy",
    "accuracy_reference",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--against", required=True, metavar="RUN|MODEL", type=click.Path(path_type=Path), help="What is true.")
@click.option("--data", required=True, multiple=True, metavar="DATA", help="Folder, table, film, or digits.")
@click.option("--frames", type=click.IntRange(min=10), default=3000, show_default=True, help="Length of the stream.")
@click.option("--min-agreement", type=click.FloatRange(0, 1), default=0.99, show_default=True)
@click.option("--max-accuracy-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@click.option(
    "--max-confident-disagreements",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of frames on which the float model's two largest probabilities are more than 0.2 apart; any number where "
    "not given.",
)
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
    max_confident_disagreements: int | None,
    interpreter: Any,
    trust: bool,
    as_json: bool,
) -> None:
    """Run the artifact FILE beside the float model over a long stream, and hold it to the gate.

    The exit status is 3 where they disagree too often.
    """
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    from dataclasses import asdict

    from converters.fidelity import Gate
    from toolkit.cli.fidelity_words import state_words
    from toolkit.verification import verify

    with staged_progress() as progress:
        found = verify(file, against, data, frames=frames, interpreter=interpreter, trust=trust, progress=progress)
    figures = {**asdict(found.fidelity), "interpreter": found.interpreter, "precision": found.spec.precision}
    gate = Gate(
        min_agreement=min_agreement,
        max_accuracy_drop=max_accuracy_drop,
        max_confident_disagreements=max_confident_disagreements,
    )
    gate.check(found.fidelity, figures, spec=found.spec)
    if as_json:
        print_json(figures)
        return
    say(f"{found.fidelity.frames} frames of {found.fidelity.source}, on {found.interpreter}")
    for name in _FIGURES:
        click.echo(f"{name:<24} {_number(figures[name])}")
    calibration = asdict(found.spec)["calibration"]
    for words in state_words(figures, calibration):
        click.echo(f"state {words}")


def _number(value: float | None) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "–" if value is None else str(value)
