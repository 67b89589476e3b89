"""`framestep run`: live inference."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from runtime.pipeline import Pipeline, Summary
    from runtime.sinks import Record, Sink
    from runtime.sources import Source
    from runtime.stepper import Stepper

STDOUT = "jsonl:-"  # runtime.sinks.STDOUT, without importing it here

_PATIENCE_S = 20.0  # of a dry run, for the first frame

SLOW = 0.1
"""From this part of repeated frames on, a source counts as slower than its model."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--source",
    required=True,
    metavar="SRC",
    help="A camera's number or device, rtsp://…, http://…, a film, a folder of pictures, or synthetic.",
)
@click.option(
    "--sink",
    "sinks",
    multiple=True,
    metavar="SINK",
    help="jsonl:-, jsonl:FILE, mqtt://HOST/TOPIC, mqtts://HOST/TOPIC or prometheus:PORT; docs/sinks.md tells more.",
)
@click.option("--json", "as_json", is_flag=True, help=f"A line of JSON a frame and an event on stdout: --sink {STDOUT}")
@click.option("--max-frames", type=click.IntRange(min=1), help="Stop after so many; else at the source's end.")
@click.option("--dry-run", is_flag=True, help="Load, open and step once, say what would happen, and stop.")
@click.option(
    "--interpreter",
    type=click.Choice(["litert", "tflite", "tensorflow"]),
    help="Which one; the first that is installed where not given.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="That a step may use.")
def command(
    *,
    file: Path,
    source: str,
    sinks: tuple[str, ...],
    as_json: bool,
    max_frames: int | None,
    dry_run: bool,
    interpreter: Any,
    threads: int,
) -> None:
    """Step the artifact FILE through a camera, a film or a folder of pictures.

    Without a sink it prints what is decided, a line whenever that changes.
    """
    from runtime.engine import Engine
    from runtime.pipeline import Pipeline
    from runtime.sinks import finish, open_queued, open_sink
    from runtime.sinks.addresses import shown
    from runtime.sources import open_source
    from runtime.sources.redaction import redacted

    wanted = dict.fromkeys((*sinks, STDOUT) if as_json else sinks)
    engine = Engine.open(file, interpreter=interpreter, threads=threads)
    stepper = engine.stepper()
    spec = engine.spec
    with ExitStack() as stack:
        opened = stack.enter_context(open_source(source, spec, tell=say))
        outputs: list[Sink] = []
        for text in wanted:
            # A camera's frames do not wait for a sink; of a film nothing may be lost, so it waits, or ends.
            queued = opened.live and not dry_run
            sink = open_queued(text, spec, tell=say) if queued else open_sink(text, spec)
            outputs.append(stack.enter_context(sink))
        stack.callback(finish, outputs)
        say(
            f"{spec.name} ({spec.precision}) on {engine.interpreter_name} {engine.interpreter_version}, "
            f"{redacted(source)} at {spec.fps:g} frames a second, to "
            f"{', '.join(map(shown, wanted)) or 'standard output'}"
        )
        if dry_run:
            _try_once(stepper, opened)
            return
        pipeline = Pipeline(stepper=stepper, source=opened, sinks=outputs or [WordsSink()], max_frames=max_frames)
        with _stopping(pipeline):
            summary = pipeline.run()
    _tell(summary)


class WordsSink:
    """Print for people: a line whenever the decision changes."""

    def __init__(self) -> None:
        self._decision: str | None = None

    def write(self, record: Record) -> None:
        """Print what is new in a record."""
        if "event" in record:
            click.echo(f"{'':>10}    {record['event']} was frames {record['start']} to {record['end']}")
        elif record["decision"] != self._decision:
            self._decision = record["decision"]
            click.echo(f"{record['time']:>10.2f} s  {self._decision or '–'}")

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _try_once(stepper: Stepper, source: Source) -> None:
    from runtime.errors import SourceError
    from runtime.preprocess import Preprocessor

    # A camera that is away is waited for, when it counts; here it is enough to know.
    given_up = threading.Timer(_PATIENCE_S, source.stop)
    given_up.daemon = True
    given_up.start()
    frame = next(iter(source.frames()), None)
    given_up.cancel()
    if frame is None:
        raise SourceError("The source gives no frame. Name another one.")
    probabilities = stepper.step(Preprocessor(stepper.spec.input)(frame.picture))
    best = int(probabilities.argmax())
    say(
        f"dry run: a frame came and was stepped ({stepper.spec.labels[best]} {probabilities[best]:.2f}); "
        "every sink can be opened; no prediction was written"
    )


@contextmanager
def _stopping(pipeline: Pipeline) -> Iterator[None]:
    """End the loop in good order at SIGTERM and at the first Ctrl-C; a second one ends the process."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, previous[number])
        pipeline.stop()

    previous: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _tell(summary: Summary) -> None:
    for problem in summary.problems:
        say(problem)
    counts = {
        "dropped": summary.dropped,
        "repeated": summary.repeated,
        "missed": summary.missed,
        "broken": summary.broken,
        "gaps": summary.gaps,
        "resets": summary.resets,
        "events": summary.events,
    }
    say(f"{summary.frames} frames; " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    if summary.repeated > SLOW * summary.frames:
        say(
            f"The source is too slow: of {summary.frames} frames {summary.repeated} are repeats. Give more frames a "
            "second, or train at the source's rate."
        )
    stages = [f"{stage} {times.p50:.0f} / {times.p95:.0f}" for stage, times in summary.stages_us.items()]
    if stages:
        say(f"µs a frame, p50 / p95: {', '.join(stages)}")
