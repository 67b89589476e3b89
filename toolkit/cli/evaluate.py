"""`framestep evaluate`: accuracy on clips, or on a labelled recording."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.events import tell_fit
from toolkit.cli.output import json_option, print_json, print_table, say, staged_progress
from toolkit.cli.reset import CHOICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.evaluation.recordings import Recording
    from toolkit.evaluation.streams import StreamResult
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
    help="What of the data.  [default: what was held out of a run's own sources and of digits, else all]",
)
@click.option(
    "--like", metavar="RUN", type=click.Path(path_type=Path), help="The run whose held-out part FILE is given."
)
@click.option("--pair", "pairs", multiple=True, metavar="A,B", help="Also tell how well these two are told apart.")
@click.option(
    "--stream",
    metavar="FILM|FOLDER|digits|validation",
    help="Instead of clips: a recording, a folder with stream.mp4 and stream.csv, the endless stream of digits held "
    "out, or what a run held out, joined.",
)
@click.option(
    "--segments", metavar="CSV", type=click.Path(path_type=Path), help="Its labels: start_frame,end_frame,label."
)
@click.option("--frames", type=click.IntRange(min=1), help="Of digits or validation; some minutes where not given.")
@click.option(
    "--reset",
    "choice",
    type=CHOICE,
    metavar=CHOICE.choices,
    default="spec",
    show_default=True,
    help="When states go back on a stream: as the spec says, never, at every true segment's start, or so that each "
    "frame is the last of N that are stepped anew.",
)
@click.option("--fit-decision", "fit", is_flag=True, help="Also fit the decision on this stream.")
@click.option(
    "--false-alarms-per-hour",
    "target",
    type=click.FloatRange(min=0),
    help="That --fit-decision fits to.  [default: 60]",
)
@click.option("--store", is_flag=True, help="Write the fitted decision into the RUN.")
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
    stream: str | None,
    segments: Path | None,
    frames: int | None,
    choice: str,
    fit: bool,
    target: float | None,
    store: bool,
    interpreter: Any,
    threads: int,
    seed: int,
    as_json: bool,
) -> None:
    """Measure the accuracy of a RUN's folder or an artifact FILE.

    On clips: each from a reset on, its answer the class of the highest mean probability over its last half. On a
    stream: frame by frame, by segment, and by event. The delay of an event is that of the frame at which it is told,
    from its segment's start; settled frames come 12 or more after a segment's start.

    --fit-decision chooses smoothing, thresholds and durations that find the most segments on this stream with no more
    false alarms an hour than the target, and says what they reach on it: on the very stream that they are fitted to.
    """
    if stream is not None and sources:
        raise click.UsageError("--data and --stream exclude each other.")
    if segments is not None and stream is None:
        raise click.UsageError("--segments belongs to --stream FILM.")
    if not model.is_dir() and stream is None and not sources and like is None:
        raise click.UsageError("An artifact needs --data, --like or --stream.")
    _check_fit(model, stream, choice=choice, fit=fit, target=target, store=store)
    from toolkit.evaluation.subject import open_subject

    subject = open_subject(model, interpreter=interpreter, threads=threads)
    with staged_progress() as show:
        if stream is not None:
            recording = _recording(subject, stream, segments, like=like, frames=frames)
            figures = _evaluate_stream(subject, recording, choice, show, fit=fit, target=target)
        else:
            figures = _evaluate_data(
                subject, show, sources=sources, part=part, like=like, choice=choice, pairs=pairs, seed=seed
            )
    if store and subject.run is not None:
        from toolkit.training.choosing import store_decision

        store_decision(subject.run, figures["fit"])
    figures = {"path": str(model), **figures}
    if as_json:
        print_json(figures)
    else:
        _tell(figures)


def _check_fit(model: Path, stream: str | None, *, choice: str, fit: bool, target: float | None, store: bool) -> None:
    if (target is not None or store) and not fit:
        raise click.UsageError("--false-alarms-per-hour and --store belong to --fit-decision.")
    if fit and (stream is None or choice != "spec"):
        raise click.UsageError("--fit-decision needs --stream, and its resets as the spec says.")
    if store and not model.is_dir():
        raise click.UsageError("--store writes into a run; of an artifact, convert its run again.")


def _recording(
    subject: Subject, stream: str, segments: Path | None, *, like: Path | None, frames: int | None
) -> Recording:
    from toolkit.evaluation.recordings import open_recording
    from toolkit.training.run_folder import Run

    run = None if like is None else Run.load(like)
    recording = open_recording(subject, stream, segments, like=run, frames=frames)
    for each in recording.damaged:
        say(f"{each.path}: {each.reason}")
    return recording


def _evaluate_data(
    subject: Subject,
    show: Show,
    *,
    sources: tuple[str, ...],
    part: Any,
    like: Path | None,
    choice: str,
    pairs: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    from toolkit.evaluation.clips import evaluate_clips
    from toolkit.evaluation.recordings import recording_of
    from toolkit.evaluation.subject import load_part, words_on
    from toolkit.training.run_folder import Run

    named = [_pair(text, subject.labels) for text in pairs]
    run = None if like is None else Run.load(like)
    dataset, taken = load_part(
        subject, sources, part=part, like=run, progress=lambda done, total: show("decoding", done, total)
    )
    if dataset.skipped:
        say(f"{len(dataset.skipped)} files left out: framestep data inspect names them.")
    is_stream = not dataset.clips and len(dataset.streams) == 1
    origin = subject.run or run
    # Of a stream of its own, a run is asked below.
    if origin is not None and part is None and not (is_stream and subject.run):
        words = words_on(origin, sources, taken)
        if words is not None:
            say(words)
    if is_stream:
        return _evaluate_stream(subject, recording_of(subject, dataset.streams[0]), choice, show)
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


def _evaluate_stream(
    subject: Subject, recording: Recording, choice: str, show: Show, *, fit: bool = False, target: float | None = None
) -> dict[str, Any]:
    from toolkit.evaluation.streams import evaluate_stream

    stream = recording.validation.stream
    if recording.trained_on:
        say(f"{stream.name} is among what the run was trained on: this tells little of what it can do.")
    word, _, window = choice.partition(":")
    result = evaluate_stream(
        subject.predictor,
        stream,
        subject.labels,
        fps=subject.fps,
        choice=word,  # type: ignore[arg-type]  # CHOICE has let no other word through
        window=int(window) if window else None,
        reset=subject.reset,
        decision=subject.decision,
        progress=lambda done: show("evaluating", done, len(stream.frames)),
    )
    score = result.events
    figures = {
        "frame_accuracy": result.frame_accuracy,
        "frame_accuracy_settled": result.frame_accuracy_settled,
        "segment_accuracy": result.segment_accuracy,
        "event_recall": score.recall,
        "event_precision": score.precision,
        "false_alarms_per_hour": score.false_alarms_per_hour,
        "delay_frames": score.delay_frames,
        "delay_s": score.delay_s,
        "stream": stream.name,
        "frames": result.frames,
        "segments": score.segments,
        "events": score.events,
        "false_alarms": score.false_alarms,
        "reset": choice,
        "resets": result.resets,
        "decision": asdict(subject.decision),
        "trained_on": recording.trained_on,
        "labels": subject.labels,
        "per_class": result.per_class,
        "confusion": result.confusion,
    }
    return figures | ({"fit": _fit(subject, recording, result, target)} if fit else {})


def _fit(subject: Subject, recording: Recording, result: StreamResult, target: float | None) -> dict[str, Any]:
    from toolkit.evaluation.fit_report import fit_on, report_events
    from toolkit.training.choosing import FALSE_ALARMS_PER_HOUR

    wanted = FALSE_ALARMS_PER_HOUR if target is None else target
    decision = fit_on(result, recording.validation, fps=subject.fps, target_per_hour=wanted)
    return report_events(
        subject.predictor,
        recording.validation,
        subject.labels,
        fps=subject.fps,
        policy=subject.reset,
        result=result,
        decision=decision,
        target_per_hour=wanted,
    )


def _tell(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if (isinstance(value, (int, float)) or value is None) and name != "trained_on":
            click.echo(f"{name:<22} {_words(value)}")
    for name, value in figures.get("pairs", {}).items():
        click.echo(f"{name:<22} {_words(value)}")
    if "fit" in figures:
        tell_fit(figures["fit"])
    labels, per_class = figures["labels"], figures["per_class"]
    print_table(
        ("is \\ was called", *labels, "right"),
        [(label, *row, _words(per_class[label])) for label, row in zip(labels, figures["confusion"], strict=True)],
    )


def _words(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
