"""What a run was made from, in the model card's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.training.run_folder import Run

_OWN = ("from", "method", "importance")
"""Notes that stand elsewhere in the text."""

_SHOWN = 12
"""Channels that are named one by one; of more, the number."""


def lineage(run: Run) -> list[str]:
    """Give the card's part on the runs that this one was made from, as Markdown; [] for a run that was trained."""
    derivations = run.training.get("derivations", [])
    if not derivations:
        return []
    lines = ["## Made from", ""]
    for number, notes in enumerate(derivations, start=1):
        plain = [
            f"{key} {value}" for key, value in notes.items() if key not in _OWN and not isinstance(value, (dict, list))
        ]
        lines.append(f"{number}. `{notes['from']}` by `{notes['method']}`: {', '.join(plain)}.")
        if "widths" in notes:
            lines += ["", *_channels(notes), ""]
    if run.sparsity is not None:
        lines += ["", f"{run.sparsity:.4f} of the weights that can be pruned are zero:", ""]
        kernels = run.results.get("kernel_sparsities", {})
        lines += [
            "| kernel | zeros |",
            "|---|---|",
            *[f"| `{name}` | {share:.4f} |" for name, share in kernels.items()],
        ]
    return [*lines, ""]


def _channels(notes: Mapping[str, Any]) -> Iterator[str]:
    cost = notes["multiply_adds"]
    yield (
        f"   {cost['after']:,} of {cost['before']:,} multiply-adds a frame are left. What went was worth least by its "
        f"{notes['importance']}; beside each channel stands its share of that of its layer."
    )
    yield ""
    yield "   | | before | after | removed |"
    yield "   |---|---|---|---|"
    for name, size in notes["widths"].items():
        removed = notes["removed"][name]
        words = ", ".join(f"{each['channel']} ({each['share']:.2g})" for each in removed[:_SHOWN])
        rest = f" and {len(removed) - _SHOWN} more" if len(removed) > _SHOWN else ""
        yield f"   | `{name}` | {size['before']} | {size['after']} | {words or 'none'}{rest} |"
