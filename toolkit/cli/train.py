"""`framestep train`: from clips and streams to a run."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.events import tell_fit, tell_resets
from toolkit.cli.failure import INTERRUPTED
from toolkit.cli.output import json_option, print_json, print_table, say
from toolkit.cli.reset import POLICY
from toolkit.cli.size import SIZE

if TYPE_CHECKING:
    from toolkit.training.run_folder import Run
    from toolkit.training.session import TrainRequest

_POSITIVE = click.IntRange(min=1)


@click.command()
@click.option(
    "--data", "sources", multiple=True, required=True, metavar="DATA", help="As `data inspect`; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run's folder, new or empty.")
@click.option("--name", help="Of the model; the folder's where not given.")
@click.option(
    "--preset", type=click.Choice(["tiny", "small", "article", "mobilenet"]), default="small", show_default=True
)
@click.option(
    "--cell",
    type=click.Choice(["lstm", "gru", "rnn", "peephole", "convlstm", "none"]),
    default="lstm",
    show_default=True,
    help="What remembers; `none` answers for each picture alone.",
)
@click.option("--input", "kind", type=click.Choice(["rgb", "gray", "difference"]), help="The preset's where not given.")
@click.option("--size", type=SIZE, help="Of the frames; the preset's where not given.")
@click.option("--crop", type=click.Choice(["none", "centre"]), default="none", show_default=True)
@click.option("--fps", type=float, help="Bring everything to this rate; else the data's own.")
@click.option("--units", type=_POSITIVE, help="Of the cell.")
@click.option("--depth", type=_POSITIVE, help="Convolutions of the encoder.")
@click.option("--activation", type=click.Choice(["relu", "relu6", "elu", "tanh"]), default="relu", show_default=True)
@click.option("--pooling", type=click.Choice(["max", "average"]), default="max", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="A file for the encoder of preset mobilenet.")
@click.option("--epochs", type=_POSITIVE, help="So many that they have the preset's steps where not given.")
@click.option("--batch", type=_POSITIVE, help="Windows, or clips, in a step.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="At its highest.")
@click.option("--optimizer", type=click.Choice(["adam", "adamw", "rmsprop", "sgd"]), default="adam", show_default=True)
@click.option("--patience", type=click.IntRange(min=0), default=0, show_default=True, help="Stop early; 0 never does.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything that is drawn.")
@click.option(
    "--stateful/--whole-clips",
    default=None,
    help="Train on windows of joined clips and of streams, the state carried over (the default of a model with a "
    "cell), or on each clip from its beginning.",
)
@click.option("--window", type=click.IntRange(min=2), default=64, show_default=True, help="Frames of a window.")
@click.option(
    "--augment/--no-augment", default=None, help="Warp each clip, and change its speed; digits are left alone."
)
@click.option("--mirror", is_flag=True, help="Also mirror half of the clips: only where no class has a direction.")
@click.option("--group-by", metavar="REGEX", help="Searched in each clip's file name; what it matches is the group.")
@click.option(
    "--guard", type=click.IntRange(min=0), default=0, show_default=True, help="Groups left out between parts."
)
@click.option(
    "--validation", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.25, show_default=True
)
@click.option("--bound/--no-bound", default=True, show_default=True, help="End with a phase that bounds int8 ranges.")
@click.option(
    "--reset",
    type=POLICY,
    default="auto",
    show_default=True,
    metavar=POLICY.choices,
    help="When the states of a stream go back; auto measures it on what was held out.",
)
@click.option(
    "--false-alarms-per-hour",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="That the decision is fitted to, on what was held out.",
)
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="One frame, and shuffled order.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run, given the same options.")
@click.option("--force", is_flag=True, help="Replace the run in --out.")
@json_option
def command(*, out: Path, resume: bool, force: bool, as_json: bool, **options: Any) -> None:
    """Train a network on clips and streams, and write the run.

    Ctrl-C loses nothing: the same command with --resume ends with the weights that it would have had anyway.
    """
    from toolkit.cli.tensorflow import load_tensorflow
    from toolkit.cli.watching import Teller

    load_tensorflow()
    from toolkit.training.session import check_folder, train_run

    check_folder(out, resume=resume, force=force)
    request = _request(out, **options)
    words = shlex.join(["framestep", *sys.argv[1:]])
    try:
        with Teller() as watcher:
            run = train_run(request, out, resume=resume, force=force, watcher=watcher, command=words)
    except KeyboardInterrupt:
        say(f"framestep: Interrupted; {out} keeps what was done. Go on with the same command and --resume.")
        raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        print_json(
            {
                "run": run.folder,
                "val_accuracy": run.val_accuracy,
                "baselines": run.baselines,
                "reset": asdict(run.reset),
                "decision": asdict(run.decision),
                "resets": run.results.get("resets"),
                "events": run.results.get("events"),
                "seconds": run.seconds,
                "val_accuracy_unbounded": run.training.get("val_accuracy_unbounded"),
                "per_class": run.results["per_class"],
                "confusion": run.results["confusion"],
                "labels": run.labels,
            }
        )
    else:
        _tell(run)


def _request(
    out: Path,
    *,
    preset: Any,
    cell: Any,
    kind: Any,
    size: tuple[int, int] | None,
    crop: Any,
    fps: float | None,
    group_by: str | None,
    sources: tuple[str, ...],
    seed: int,
    guard: int,
    validation: float,
    **options: Any,
) -> TrainRequest:
    from toolkit.data.dataset import DataConfig
    from toolkit.data.digits import DIGITS
    from toolkit.models.config import ModelConfig
    from toolkit.training.bounding import BoundingConfig
    from toolkit.training.choosing import ChoosingConfig
    from toolkit.training.defaults import DEFAULTS
    from toolkit.training.run_folder import DataRequest
    from toolkit.training.schedule import TrainConfig
    from toolkit.training.session import TrainRequest
    from toolkit.training.warping import WarpConfig
    from toolkit.training.windows import WindowConfig

    defaults = DEFAULTS[preset]
    only_digits = set(sources) == {DIGITS}
    width, height = size or (defaults.digits_size if only_digits else defaults.size)
    model = ModelConfig(
        preset=preset,
        input=kind or defaults.input,
        width=width,
        height=height,
        cell=cell,
        classes=2,
        units=options["units"],
        depth=options["depth"],
        activation=options["activation"],
        pooling=options["pooling"],
    )
    data = DataConfig(
        width=width,
        height=height,
        colour=model.colour,
        crop=crop,
        fps=fps,
        group_by=group_by,
        min_frames=1 if cell == "none" else 4,
    )
    train = TrainConfig(
        epochs=options["epochs"] or 1,  # see `steps` below
        batch_size=options["batch"] or defaults.batch,
        learning_rate=options["learning_rate"] or defaults.learning_rate,
        optimizer=options["optimizer"],
        motion=defaults.motion,
        patience=options["patience"],
        seed=seed,
    )
    stateful, augment = options["stateful"], options["augment"]
    if augment is None:
        # A digit that leaves on one side comes back on the other: no warp keeps that.
        augment = not only_digits
    return TrainRequest(
        name=options["name"] or out.resolve().name,
        data=DataRequest(sources=sources, config=data, seed=seed, guard=guard, validation=validation),
        model=model,
        train=train,
        stateful=cell != "none" if stateful is None else stateful,
        window=WindowConfig(frames=options["window"], speed=0.25 if augment else 0.0),
        warp=WarpConfig(mirror=options["mirror"]) if augment else None,
        bounding=BoundingConfig() if options["bound"] else None,
        choosing=ChoosingConfig(false_alarms_per_hour=options["false_alarms_per_hour"], reset=options["reset"]),
        steps=None if options["epochs"] else (defaults.digits_steps if only_digits else defaults.steps),
        baseline_share=0.5 if options["baselines"] else 0.0,
        weights=options["weights"],
    )


def _tell(run: Run) -> None:
    rows: list[tuple[object, ...]] = [("this model", f"{run.val_accuracy:.4f}")]
    for name, value in run.baselines.items():
        rows.append((name.replace("_", " "), None if value is None else f"{value:.4f}"))
    print_table(("held out", "accuracy"), rows)
    if "events" in run.results:
        tell_resets(run.results["resets"])
        tell_fit(run.results["events"])
    click.echo(f"{run.folder}: {run.results['clips_trained']} clips trained on, {run.seconds:.0f} s")
