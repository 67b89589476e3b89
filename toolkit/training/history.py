"""The history of a run: a table and a plot."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from runtime.atomic import replacing
from toolkit.training.loop import Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write every epoch as a line of CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def write_plot(rows: Sequence[Row], path: Path) -> None:
    """Draw loss and accuracy over the epochs, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    places = range(1, len(rows) + 1)
    left.plot(places, [row.loss for row in rows], label="training")
    looks = [place for place, row in enumerate(rows, start=1) if row.val_loss is not None]
    left.plot(looks, [rows[place - 1].val_loss for place in looks], label="held out")
    left.set(xlabel="epoch", ylabel="cross-entropy")
    right.plot(places, [row.accuracy for row in rows], label="training, frames")
    right.plot(looks, [rows[place - 1].val_accuracy for place in looks], label="held out, clips")
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
    for first, row in enumerate(rows):
        if first and row.phase != rows[first - 1].phase:
            for axes in (left, right):
                axes.axvline(first + 0.5, color="grey", linewidth=0.8)
                axes.annotate(row.phase, (first + 0.6, axes.get_ylim()[0]), color="grey", fontsize=8)
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        canvas.print_png(str(temporary))
