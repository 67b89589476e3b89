"""What pruning a run costs and gives.

    python benchmarks/pruning.py RUN [--epochs N] [--precision P] [--work FOLDER] [--json FILE]

The run is pruned by every method that framestep has, each trained on with the run's own data. The table gives accuracy
on the clips held out, weights that are zero, multiply-adds, bytes of the artifact after gzip, and the time of a step,
all artifacts timed in turns in one process. A run that is in FOLDER already is not made again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.training.run_folder import Run

WAYS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("magnitude-0.8", {"method": "magnitude", "sparsity": 0.8}),
    ("2-4", {"method": "2:4", "sparsity": 0.5}),
    ("channels-0.4", {"method": "channels", "sparsity": 0.4}),
    ("channels-0.5", {"method": "channels", "sparsity": 0.5}),
)
COLUMNS = ("accuracy", "zeros", "multiply_adds", "of_adds", "gzip_bytes", "of_gzip", "step_us", "of_time")


def main() -> None:
    """Prune, convert, time, and print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description="What pruning a run costs and gives.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, help="of training on; as framestep prune has them where not given")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--work", type=Path, help="keep the runs and the artifacts here")
    parser.add_argument("--frames", type=int, default=3000, help="timed for each artifact")
    parser.add_argument("--only", nargs="*", default=[name for name, _ in WAYS], help="of the ways")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        rows = measure(options.run, work, options)
    print(f"{'run':16}" + "".join(f"{name:>14}" for name in COLUMNS))
    for name, row in rows.items():
        print(f"{name:16}" + "".join(f"{_words(row[column]):>14}" for column in COLUMNS))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def measure(folder: Path, work: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Give a row for the run and one for each way of pruning it."""
    from toolkit.compression.pruning.config import PruneConfig
    from toolkit.compression.pruning.methods import prune_run
    from toolkit.evaluation.bench import BenchConfig, bench
    from toolkit.training.run_folder import Run

    runs = {"as it was": Run.load(folder)}
    for name, way in WAYS:
        if name not in options.only:
            continue
        if not (work / name / "run.json").is_file():
            prune_run(runs["as it was"], work / name, PruneConfig(**way, epochs=options.epochs))
        runs[name] = Run.load(work / name)
        print(f"{name}: {runs[name].val_accuracy:.4f}", flush=True)
    files = [artifact(run, work / f"{run.name}-{options.precision}.tflite", options.precision) for run in runs.values()]
    timed = bench(files, BenchConfig(frames=options.frames))
    rows = {
        name: {
            "accuracy": run.val_accuracy,
            "zeros": run.sparsity or 0.0,
            "multiply_adds": multiply_adds(run),
            "gzip_bytes": result["gzip_bytes"],
            "step_us": result["step_us"]["p50"],
        }
        for (name, run), result in zip(runs.items(), timed, strict=True)
    }
    first = rows["as it was"]
    for row in rows.values():
        for name, of in (("of_adds", "multiply_adds"), ("of_gzip", "gzip_bytes"), ("of_time", "step_us")):
            row[name] = row[of] / first[of]
    return rows


def artifact(run: Run, path: Path, precision: Any) -> Path:
    """Convert a run, whatever its fidelity, which is not what is measured here."""
    from converters.fidelity import Gate
    from toolkit.conversion import ConversionRequest, convert_run

    request = ConversionRequest(precision=precision, gate=Gate(min_agreement=0, max_accuracy_drop=1), frames=500)
    return convert_run(run, path, request).path


def multiply_adds(run: Run) -> int:
    """Count those of a frame."""
    from toolkit.models.widths import Widths

    return Widths(run.model(), run.model_config).multiply_adds


def _words(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


if __name__ == "__main__":
    main()
