"""The table of `convert --precision auto`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.cli.output import print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_variants(rows: Sequence[dict[str, Any]], chosen: str | None) -> None:
    """Print a row for each precision, and on stderr why those fell that did.

    Args:
        rows: see `toolkit.variants.Variant.row`.
        chosen: the precision that was.
    """
    counted = any(row["instructions"] is not None for row in rows)
    cost = "instr/frame" if counted else "µs/frame"
    header = ("precision", "", cost, "kB", "gzip kB", "frames", "agreement", "last tenth", "sure, other", "accuracy")
    print_table(header, [_cells(row, chosen, counted=counted) for row in rows])
    for row in rows:
        if row["reason"] is not None:
            say(f"{row['precision']} fell: {row['reason']}")


def _cells(row: dict[str, Any], chosen: str | None, *, counted: bool) -> list[str | None]:
    verdict = "chosen" if row["precision"] == chosen else "holds" if row["passed"] else "fails"
    cost = _number(row["instructions"], ",d") if counted else _number(row["step_us"], ".1f")
    sizes = [None if row[name] is None else f"{row[name] / 1000:.1f}" for name in ("bytes", "gzip_bytes")]
    agreement = [_number(row[name], ".4f") for name in ("agreement", "agreement_last")]
    return [
        row["precision"],
        verdict,
        cost,
        *sizes,
        _number(row["frames"], ",d"),
        *agreement,
        _number(row["confident_disagreements"], "d"),
        _number(row["accuracy"], ".4f"),
    ]


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
