"""One model in every precision: each built once, measured, and told as a row of a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.convert import PRECISIONS, convert, describe, prepare
from converters.reference import roll_reference
from runtime.artifact import read_artifact
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


def reference_of(
    piece: Workpiece, frames: int, progress: Callable[[str, int, int], None] = lambda *_: None
) -> Reference:
    """Ask the float model once, for as many frames as are needed at all."""
    config = piece.config
    total = max(frames, config.fidelity_frames)
    return roll_reference(
        piece.step_model,
        piece.fidelity,
        labels=config.labels,
        reset=config.reset,
        decision=config.decision,
        frames=total,
        progress=lambda done: progress("asking the float model", done, total),
    )


def build_variants(
    piece: Workpiece,
    folder: Path,
    reference: Reference | None = None,
    *,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Variant]:
    """Convert to every precision and measure each; calibration and the float model's answers are shared.

    Args:
        piece: the model.
        folder: where the artifacts go, those that fail as well.
        reference: the float model's answers; asked for where not given.
        progress: told the stage, and how many of how many frames it has done.

    Returns:
        One a precision, their costs unknown as yet.

    Raises:
        ConversionError: where nothing can be built at all.
    """
    prepared = prepare(
        piece.model,
        piece.step_model,
        piece.config,
        calibration=piece.calibration,
        precisions=PRECISIONS,
        progress=progress,
    )
    known = reference or reference_of(piece, 0, progress)
    variants, refused = [], []
    for precision in PRECISIONS:
        try:
            variants.append(_variant(piece, prepared, precision, folder=folder, reference=known, progress=progress))
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
        reason = short(error)
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


def short(error: FidelityError) -> str:
    """Leave out what to do, which stands behind the figure: here there is an answer to that already."""
    return str(error).partition(". ")[0] + "."
