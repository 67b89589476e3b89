"""`framestep evaluate`: accuracy on clips, or on a labelled recording."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.output import json_option, print_json, print_table, say, staged_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.data.dataset import LabelledStream
    from toolkit.evaluation.subject import Subject

    Show = Callable[[str, int, int], None]


@click.command()
@click.argument("model", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.option(
    "--data", "sources", multiple=True, metavar="DATA", help="As `data inspect`; a run's own where not given."
)
@click.option(
    "--part",
    type=click.Choice(["validation", "all"]),
    help="What of the data.  [default: what was held out of a run's own data and of digits, else all]",
)
@click.option(
    "--like", metavar="RUN", type=click.Path(path_type=Path), help="The run whose held-out part FILE is given."
)
@click.option("--pair", "pairs", multiple=True, metavar="A,B", help="Also tell how well these two are told apart.")
@click.option("--stream", metavar="FILM", type=click.Path(path_type=Path), help="A recording, instead of clips.")
@click.option(
    "--segments", metavar="CSV", type=click.Path(path_type=Path), help="Its labels: start_frame,end_frame,label."
)
@click.option(
    "--reset",
    "choice",
    type=click.Choice(["spec", "never", "borders"]),
    default="spec",
    show_default=True,
    help="When states go back on a recording: as the spec says, never, or at every true segment's start.",
)
@click.option("--interpreter", type=click.Choice(["litert", "tflite", "tensorflow"]), help="That runs an artifact.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the clips' order.")
@json_option
def command(
    *,
    model: Path,
    sources: tuple[str, ...],
    part: Any,
    like: Path | None,
    pairs: tuple[str, ...],
    stream: Path | None,
    segments: Path | None,
    choice: Any,
    interpreter: Any,
    threads: int,
    seed: int,
    as_json: bool,
) -> None:
    """Measure the accuracy of a RUN's folder or an artifact FILE.

    On clips: each from a reset on, its answer the class of the highest mean probability over its last half. On a
    recording: frame by frame, by segment, and by event.
    """
    if stream is not None and sources:
        raise click.UsageError("--data and --stream exclude each other.")
    if segments is not None and stream is None:
        raise click.UsageError("--segments belongs to --stream FILM.")
    if not model.is_dir() and stream is None and not sources and like is None:
        raise click.UsageError("An artifact needs --data, --like or --stream.")
    from toolkit.evaluation.subject import open_subject

    subject = open_subject(model, interpreter=interpreter, threads=threads)
    with staged_progress() as show:
        if stream is not None:
            recording = _recording(subject, stream, segments)
            figures = _evaluate_stream(subject, recording, choice, show)
        else:
            figures = _evaluate_data(
                subject, show, sources=sources, part=part, like=like, choice=choice, pairs=pairs, seed=seed
            )
    figures = {"path": str(model), **figures}
    if as_json:
        print_json(figures)
    else:
        _tell(figures)


def _recording(subject: Subject, stream: Path, segments: Path | None) -> LabelledStream:
    from toolkit.data.loading import load_stream

    beside = stream.with_suffix(".csv")
    table = segments if segments is not None else beside if beside.is_file() else None
    dataset = load_stream(stream, table, subject.data_config())
    for each in dataset.damaged:
        say(f"{each.path}: {each.reason}")
    return dataset.streams[0]


def _evaluate_data(
    subject: Subject,
    show: Show,
    *,
    sources: tuple[str, ...],
    part: Any,
    like: Path | None,
    choice: Any,
    pairs: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    from toolkit.evaluation.clips import evaluate_clips
    from toolkit.evaluation.subject import load_part
    from toolkit.training.run_folder import Run

    named = [_pair(text, subject.labels) for text in pairs]
    run = None if like is None else Run.load(like)
    dataset, taken = load_part(
        subject, sources, part=part, like=run, progress=lambda done, total: show("decoding", done, total)
    )
    if dataset.skipped:
        say(f"{len(dataset.skipped)} files left out: framestep data inspect names them.")
    if not dataset.clips and len(dataset.streams) == 1:
        return _evaluate_stream(subject, dataset.streams[0], choice, show)
    total = len(dataset.clips)
    result = evaluate_clips(
        subject.predictor,
        dataset.clips,
        subject.labels,
        seed=seed,
        progress=lambda done: show("evaluating", done, total),
    )
    return {
        "accuracy": result.accuracy,
        "clips": result.clips,
        "part": taken,
        "labels": result.labels,
        "per_class": result.per_class,
        "confusion": result.confusion,
        "pairs": {f"{a},{b}": result.pair_accuracy(a, b) for a, b in named},
        "unreadable": len(dataset.skipped),
    }


def _pair(text: str, labels: tuple[str, ...]) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not set(names) <= set(labels):
        raise click.UsageError(
            f"--pair is {text!r}; name two of {', '.join(labels)}, as in --pair {','.join(labels[:2])}."
        )
    return names[0], names[1]


def _evaluate_stream(subject: Subject, recording: LabelledStream, choice: Any, show: Show) -> dict[str, Any]:
    from toolkit.evaluation.streams import evaluate_stream

    total, seen = len(recording.frames), subject.trained_on(Path(recording.name))
    if seen:
        say(f"{recording.name} is among what the run was trained on: this tells little of what it can do.")
    result = evaluate_stream(
        subject.predictor,
        recording,
        subject.labels,
        fps=subject.fps,
        choice=choice,
        reset=subject.reset,
        decision=subject.decision,
        progress=lambda done: show("evaluating", done, total),
    )
    events = asdict(result.events)
    return {
        "frame_accuracy": result.frame_accuracy,
        "segment_accuracy": result.segment_accuracy,
        "event_recall": events["recall"],
        "event_precision": events["precision"],
        "false_alarms_per_hour": events["false_alarms_per_hour"],
        "delay_frames": events["delay_frames"],
        "frames": result.frames,
        "segments": events["segments"],
        "events": events["events"],
        "reset": choice,
        "resets": result.resets,
        "trained_on": seen,
        "labels": subject.labels,
        "per_class": result.per_class,
        "confusion": result.confusion,
    }


def _tell(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if (isinstance(value, (int, float)) or value is None) and name != "trained_on":
            click.echo(f"{name:<22} {_words(value)}")
    for name, value in figures.get("pairs", {}).items():
        click.echo(f"{name:<22} {_words(value)}")
    labels, per_class = figures["labels"], figures["per_class"]
    print_table(
        ("is \\ was called", *labels, "right"),
        [(label, *row, _words(per_class[label])) for label, row in zip(labels, figures["confusion"], strict=True)],
    )


def _words(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
