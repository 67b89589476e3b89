"""`--precision auto`: build every precision, hold each to the gate, ship the cheapest of those that pass."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.artifact_writer import write_artifact
from converters.convert import Converted, check_folder
from converters.fidelity import Gate, measure_fidelity
from runtime.artifact import read_artifact
from runtime.atomic import replacing
from runtime.engine import Engine
from runtime.errors import FidelityError
from toolkit.variants import Variant, build_variants, reference_of, short, with_costs

if TYPE_CHECKING:
    from collections.abc import Callable

    from converters.reference import Reference
    from toolkit.conversion import Workpiece
    from toolkit.evaluation.instructions import Target
    from toolkit.evaluation.step_cost import Costs

AUTO_FRAMES = 10_000
"""Of the stream on which each precision is measured."""

PROOF_FRAMES = 100_000
"""Of the stream on which the one that is chosen must hold the gate too; docs/decisions/8-auto.md tells why."""

AUTO_GATE = Gate(min_agreement=0.995, max_confident_disagreements=0)
"""What is chosen among holds more than what is asked for by name: where int8 falls, there is another."""

NEAR = 1.03
"""Up to this many times the least cost is as good as that: the smaller file wins then. Times differ by as much from
one run to the next, and float16 costs what float32 does, at half the bytes."""


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
    proof_frames: int | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Choice:
    """Write the artifact whose step is the cheapest for the target among those that hold the gate.

    Args:
        piece: the model; its configuration's precision does not matter, and `keep` keeps what fails as
            `NAME.PRECISION.failed.tflite`.
        path: of the artifact.
        target: the board that it is for; None for this machine.
        proof_frames: over which the chosen one must hold the gate once more, or the next one is; None for no proof.
        progress: told the stage, and how many of how many frames it has done.

    Raises:
        FidelityError: where none passes; it carries the table.
        ConversionError: where nothing can be built at all, or the artifact's folder does not exist.
    """
    check_folder(path)
    with tempfile.TemporaryDirectory(prefix="framestep-") as folder:
        reference = reference_of(piece, proof_frames or 0, progress)
        variants = build_variants(piece, Path(folder), reference, progress=progress)
        costs, variants = with_costs(variants, target, progress=progress)
        if proof_frames is not None:
            variants = _proved(piece, variants, reference, proof_frames, progress)
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


def _proved(
    piece: Workpiece,
    variants: list[Variant],
    reference: Reference,
    frames: int,
    progress: Callable[[str, int, int], None],
) -> list[Variant]:
    """Measure the cheapest over a longer stream, and the next one where it fails there, until one has not."""
    while (best := cheapest(variants)) is not None and best.path is not None and best.spec is not None:
        stage = f"{best.precision}: proving it"
        fidelity = measure_fidelity(
            piece.step_model,
            Engine.open(best.path).stepper(),
            piece.fidelity,
            frames=frames,
            reference=reference,
            progress=lambda done, stage=stage: progress(stage, done, frames),  # type: ignore[misc]  # a default
        )
        proved = replace(best, spec=replace(best.spec, fidelity=fidelity))
        try:
            piece.config.gate.check(fidelity, spec=proved.spec)
        except FidelityError as error:
            proved = replace(proved, passed=False, reason=short(error))
        variants = [proved if each is best else each for each in variants]
        if proved.passed:
            break
    return variants


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
