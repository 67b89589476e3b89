"""`--precision auto`: build every precision, keep those that pass their gate, ship the cheapest."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.artifact_writer import write_artifact
from converters.convert import PRECISIONS, Converted, check_folder
from runtime.artifact import read_artifact
from runtime.errors import FidelityError
from toolkit.evaluation.bench import BenchConfig, bench

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.spec import Precision

BENCH_FRAMES = 1000
"""Steps timed of each candidate, in turns."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was shipped, and what against.

    Attributes:
        converted: the artifact.
        table: for each precision `precision`, `bytes`, `agreement`, `agreement_last`, `accuracy`, `step_us` (median;
            None for one that failed) and `passed`.
    """

    converted: Converted
    table: tuple[dict[str, Any], ...]


def choose_precision(path: Path, build: Callable[[Precision, Path], Converted]) -> Choice:
    """Write the artifact whose step is the fastest here among those that pass.

    Args:
        path: of the artifact.
        build: converts to a precision under a name.

    Raises:
        FidelityError: where none passes; it carries the table.
        ConversionError: where a conversion fails for another reason, or the artifact's folder does not exist.
    """
    check_folder(path)
    with tempfile.TemporaryDirectory(prefix="framestep-") as folder:
        rows, passed = [], []
        for precision in PRECISIONS:
            candidate = Path(folder, f"{precision}.tflite")
            try:
                converted = build(precision, candidate)
            except FidelityError as error:
                rows.append(_row(precision, error.report, passed=False))
                continue
            fidelity = converted.spec.fidelity
            figures = {"bytes": candidate.stat().st_size, "fidelity": None if fidelity is None else vars(fidelity)}
            rows.append(_row(precision, figures, passed=True))
            passed.append(converted)
        if not passed:
            raise FidelityError(
                f"None of {', '.join(PRECISIONS)} agrees with the float model well enough. Train longer, or lower "
                "--min-agreement knowingly.",
                report={"variants": rows},
            )
        _time(passed, rows)
        best = min((row for row in rows if row["passed"]), key=lambda row: float(row["step_us"]))
        chosen = next(each for each in passed if each.spec.precision == best["precision"])
        spec = replace(chosen.spec, made={**chosen.spec.made, "auto": json.dumps(rows)})
        write_artifact(path, read_artifact(chosen.path).content, spec)
    return Choice(converted=Converted(path=path, spec=spec), table=tuple(rows))


def _row(precision: str, figures: Any, *, passed: bool) -> dict[str, Any]:
    fidelity = figures["fidelity"] or {}
    return {
        "precision": precision,
        "bytes": figures["bytes"],
        **{name: fidelity.get(name) for name in ("agreement", "agreement_last", "accuracy")},
        "step_us": None,
        "passed": passed,
    }


def _time(passed: Sequence[Converted], rows: Sequence[dict[str, Any]]) -> None:
    """Time the candidates in turns, and note each median in its row."""
    times = bench([each.path for each in passed], BenchConfig(frames=BENCH_FRAMES))
    medians = {each.spec.precision: time["step_us"]["p50"] for each, time in zip(passed, times, strict=True)}
    for row in rows:
        row["step_us"] = medians.get(row["precision"])
