"""`framestep bench`: what artifacts cost, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.output import bytes_words, json_option, print_json, print_table


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--source", metavar="SRC", help="Where the pictures come from, as for `framestep run`; else synthetic.")
@click.option("--frames", default=1000, show_default=True, type=click.IntRange(min=1), help="Timed for each file.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="That a step may use.")
@click.option(
    "--interpreter",
    type=click.Choice(["litert", "tflite", "tensorflow"]),
    help="Which one steps; the first that is installed where not given.",
)
@json_option
def command(
    *, files: tuple[Path, ...], source: str | None, frames: int, threads: int, interpreter: Any, as_json: bool
) -> None:
    """Time the artifacts FILE... in turns: step, stages, memory, cold start, sizes."""
    from toolkit.evaluation.bench import BenchConfig, bench

    config = BenchConfig(source=source, frames=frames, threads=threads, interpreter=interpreter)
    results = bench(files, config)
    if as_json:
        print_json({"files": results})
        return
    print_table(
        ("file", "step p50 µs", "p95", "p99", "preprocess", "decode", "memory", "cold start ms", "bytes", "gzip"),
        [_row(result) for result in results],
    )


def _row(result: dict[str, Any]) -> list[object]:
    step, stages = result["step_us"], result["stages_us"]
    return [
        result["path"],
        step["p50"],
        step["p95"],
        step["p99"],
        stages["preprocess"]["p50"],
        stages["decode"]["p50"] if stages["decode"] else None,
        bytes_words(result["rss_bytes"]),
        result["cold_start_ms"],
        bytes_words(result["bytes"]),
        bytes_words(result["gzip_bytes"]),
    ]
