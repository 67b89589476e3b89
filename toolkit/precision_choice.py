"""`--precision auto`: build every precision, hold each to the gate, ship the cheapest of those that pass."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.artifact_writer import write_artifact
from converters.convert import PRECISIONS, Converted, check_folder, convert, describe, prepare
from converters.fidelity import Gate
from converters.reference import roll_reference
from runtime.artifact import read_artifact
from runtime.atomic import replacing
from runtime.errors import ConversionError, FidelityError
from toolkit.evaluation.step_cost import step_costs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from converters.convert import Prepared
    from converters.reference import Reference
    from runtime.spec import Precision, Spec
    from toolkit.conversion import Workpiece
    from toolkit.evaluation.instructions import Target
    from toolkit.evaluation.step_cost import Costs

AUTO_FRAMES = 10_000
"""Of the stream on which each precision is measured; docs/decisions/8-auto.md tells why as many."""

AUTO_GATE = Gate(min_agreement=0.995, max_confident_disagreements=0)
"""What is chosen among holds more than what is asked for by name: where int8 falls, there is another."""

NEAR = 1.03
"""Up to this many times the least cost is as good as that: the smaller file wins then. Times differ by as much from
one run to the next, and float16 costs what float32 does, at half the bytes."""

_FIGURES = (
    "frames",
    "agreement",
    "agreement_first",
    "agreement_last",
    "confident_disagreements",
    "accuracy",
    "accuracy_reference",
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One precision of a model, measured.

    Attributes:
        precision: which.
        passed: whether it holds the gate.
        reason: where it does not: which figure, and both values.
        path: of the artifact; None where it could not be built.
        spec: of the artifact; None where it could not be built.
        bytes: of the file.
        gzip_bytes: of the file, compressed.
        cost: of a step, in the unit of the choice.
    """

    precision: Precision
    passed: bool
    reason: str | None = None
    path: Path | None = None
    spec: Spec | None = None
    bytes: int | None = None
    gzip_bytes: int | None = None
    cost: float | None = None

    def row(self, unit: str) -> dict[str, Any]:
        """Give what is told of it, as JSON types."""
        fidelity = {} if self.spec is None or self.spec.fidelity is None else asdict(self.spec.fidelity)
        cost = self.cost
        counted = unit == "instructions"
        return {
            "precision": self.precision,
            "passed": self.passed,
            "reason": self.reason,
            "bytes": self.bytes,
            "gzip_bytes": self.gzip_bytes,
            **{name: fidelity.get(name) for name in _FIGURES},
            "instructions": int(cost) if cost is not None and counted else None,
            "step_us": None if counted else cost,
        }


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was shipped, and what against.

    Attributes:
        converted: the artifact.
        table: of all precisions; see `Variant.row`.
        why: one line that says why it was chosen.
        note: where the cost is not the target's, what that would have needed.
    """

    converted: Converted
    table: tuple[dict[str, Any], ...]
    why: str
    note: str | None


def choose_precision(
    piece: Workpiece,
    path: Path,
    *,
    target: Target | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Choice:
    """Write the artifact whose step is the cheapest for the target among those that hold the gate.

    Args:
        piece: the model; its configuration's precision does not matter, and `keep` keeps what fails as
            `NAME.PRECISION.failed.tflite`.
        path: of the artifact.
        target: the board that it is for; None for this machine.
        progress: told the stage, and how many of how many frames it has done.

    Raises:
        FidelityError: where none passes; it carries the table.
        ConversionError: where nothing can be built at all, or the artifact's folder does not exist.
    """
    check_folder(path)
    with tempfile.TemporaryDirectory(prefix="framestep-") as folder:
        variants = build_variants(piece, Path(folder), progress=progress)
        costs, variants = with_costs(variants, target, progress=progress)
        table = tuple(each.row(costs.unit) for each in variants)
        if piece.config.keep:
            _keep_failed(variants, path)
        best = cheapest(variants)
        if best is None or best.path is None or best.spec is None:
            raise FidelityError(_none_passed(variants), report=_no_artifact(table))
        why = _why(best, variants, costs)
        told = {"target": target, "measured_on": costs.where, "gate": asdict(piece.config.gate), "why": why}
        made = {**best.spec.made, "auto": json.dumps({**told, "variants": table})}
        spec = replace(best.spec, made=made)
        write_artifact(path, read_artifact(best.path).content, spec)
    return Choice(converted=Converted(path=path, spec=spec), table=table, why=why, note=costs.note)


def build_variants(
    piece: Workpiece, folder: Path, *, progress: Callable[[str, int, int], None] = lambda *_: None
) -> list[Variant]:
    """Convert to every precision and measure each; calibration and the float model's answers are shared.

    Args:
        piece: the model.
        folder: where the artifacts go, those that fail as well.
        progress: told the stage, and how many of how many frames it has done.

    Returns:
        One a precision, their costs unknown as yet.

    Raises:
        ConversionError: where nothing can be built at all.
    """
    config, stream = piece.config, piece.fidelity
    prepared = prepare(
        piece.model,
        piece.step_model,
        config,
        calibration=piece.calibration,
        precisions=PRECISIONS,
        progress=progress,
    )
    reference = roll_reference(
        piece.step_model,
        stream,
        labels=config.labels,
        reset=config.reset,
        decision=config.decision,
        frames=config.fidelity_frames,
        progress=lambda done: progress("asking the float model", done, config.fidelity_frames),
    )
    variants, refused = [], []
    for precision in PRECISIONS:
        try:
            variants.append(_variant(piece, prepared, precision, folder=folder, reference=reference, progress=progress))
        except ConversionError as error:  # the others may do
            refused.append(error)
            variants.append(Variant(precision=precision, passed=False, reason=str(error)))
    if len(refused) == len(variants):
        raise refused[0]
    return variants


def _variant(
    piece: Workpiece,
    prepared: Prepared,
    precision: Precision,
    *,
    folder: Path,
    reference: Reference,
    progress: Callable[[str, int, int], None],
) -> Variant:
    """Convert to one precision, and keep it whether it passes or not."""
    path, reason = folder / f"{precision}.tflite", None
    try:
        convert(
            prepared,
            path,
            replace(piece.config, precision=precision, keep=True),
            fidelity=piece.fidelity,
            reference=reference,
            progress=lambda stage, done, total: progress(f"{precision}: {stage}", done, total),
        )
    except FidelityError as error:
        # What to do stands behind it; here there is an answer to that already.
        reason = str(error).partition(". ")[0] + "."
        path = Path(str(error.report["path"]))
    spec = read_artifact(path).spec
    sizes: Mapping[str, Any] = describe(path, spec)
    return Variant(
        precision=precision,
        passed=reason is None,
        reason=reason,
        path=path,
        spec=spec,
        bytes=sizes["bytes"],
        gzip_bytes=sizes["gzip_bytes"],
    )


def with_costs(
    variants: list[Variant],
    target: Target | None = None,
    *,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[Costs, list[Variant]]:
    """Measure what a step of each costs, of those that failed too; see `step_costs`."""
    paths = [each.path for each in variants if each.path is not None]
    costs = step_costs(paths, target, progress=lambda done: progress("measuring costs", done, len(paths)))
    values = dict(zip(paths, costs.values, strict=True))
    return costs, [each if each.path is None else replace(each, cost=values[each.path]) for each in variants]


def cheapest(variants: list[Variant]) -> Variant | None:
    """Return what is chosen of variants with costs; None where none passed."""
    passed = [each for each in variants if each.passed]
    if not passed:
        return None
    least = min(each.cost or 0.0 for each in passed)
    near = [each for each in passed if (each.cost or 0.0) <= NEAR * least]
    return min(near, key=lambda each: (each.bytes or 0, each.cost or 0.0))


def _why(best: Variant, variants: list[Variant], costs: Costs) -> str:
    """Say why it was chosen, in a line."""
    passed = [each for each in variants if each.passed]
    cost = f"{best.cost:,.0f} instructions" if costs.unit == "instructions" else f"{best.cost:.1f} µs"
    if len(passed) == 1:
        return f"{best.precision}, the only one that holds the gate: {cost} a frame on {costs.where}."
    cheaper = [each for each in passed if (each.cost or 0.0) < (best.cost or 0.0)]
    rank = f"within {100 * (NEAR - 1):.0f} % of the cheapest, and smaller" if cheaper else "the cheapest"
    return f"{best.precision}, {rank} of the {len(passed)} that hold the gate: {cost} a frame on {costs.where}."


def _keep_failed(variants: list[Variant], path: Path) -> None:
    """Keep what failed its gate under a name that says so."""
    for each in variants:
        if each.path is not None and not each.passed:
            kept = path.with_name(f"{path.stem}.{each.precision}.failed{path.suffix}")
            with replacing(kept) as copy:
                copy.write_bytes(each.path.read_bytes())


def _none_passed(variants: list[Variant]) -> str:
    reasons = " ".join(f"{each.precision}: {each.reason}" for each in variants if each.reason is not None)
    return f"No precision holds the gate. {reasons} Train longer, or lower the gate knowingly."


def _no_artifact(table: tuple[dict[str, Any], ...]) -> dict[str, object]:
    """Give what `--json` prints of a choice without an artifact."""
    nothing = dict.fromkeys(("path", "precision", "bytes", "gzip_bytes", "fidelity"))
    return {**nothing, "variants": list(table)}
