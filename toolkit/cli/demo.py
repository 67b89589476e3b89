"""`framestep demo`: the whole way on built-in data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.output import bytes_words, json_option, print_json, print_table, say


@click.command()
@json_option
def command(*, as_json: bool) -> None:
    """Train, prune, convert, compare, time and run on moving digits; everything is left in the folder demo.

    Ends in a table of the artifacts: accuracy on clips held out, agreement with the trained model over a stream,
    size, size after gzip, and the time of a frame.
    """
    from toolkit.cli.tensorflow import load_tensorflow
    from toolkit.cli.watching import Teller

    load_tensorflow()
    from toolkit.demo import DemoConfig, Listener, demo

    folder = Path("demo")
    with Teller() as watcher:
        found = demo(folder, DemoConfig(), Listener(stage=say, watcher=watcher))
    if as_json:
        print_json(found)
        return
    _tell(found)


def _tell(found: dict[str, Any]) -> None:
    lstm = found["runs"]["lstm"]
    baselines = lstm["baselines"]
    click.echo(
        f"The CNN-LSTM tells {lstm['val_accuracy']:.1%} of the clips held out; from one frame "
        f"{baselines['single_frame']:.1%} are told, from shuffled frames {baselines['shuffled_order']:.1%}."
    )
    click.echo()
    print_table(
        ("artifact", "accuracy", "agreement", "size", "gzip", "µs a frame"),
        [_row(variant) for variant in found["variants"]],
    )
    click.echo()
    film = found["film"]
    click.echo(f"{film['path']}: {film['frames']} frames, {film['frame_accuracy']:.1%} told right, each on its own")
    click.echo(f"framestep run {found['artifact']} --source {film['path']}")
    click.echo(f"The artifact is {found['artifact']}; all this took {found['seconds']:.0f} s.")


def _row(variant: dict[str, Any]) -> tuple[object, ...]:
    return (
        variant["name"],
        f"{variant['accuracy']:.4f}",
        f"{variant['fidelity']['agreement']:.4f}",
        bytes_words(variant["bytes"]),
        bytes_words(variant["gzip_bytes"]),
        f"{variant['step_us']['p50']:.1f}",
    )
