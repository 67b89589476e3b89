"""The two tables that describe data: `path,label[,group]`, and `start_frame,end_frame,label` of a stream."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLIP_COLUMNS = ("path", "label")
SEGMENT_COLUMNS = ("start_frame", "end_frame", "label")


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """One line of a table of clips.

    Attributes:
        path: as it stands there, from the table's folder.
        label: the class.
        group: None where there is none.
    """

    path: str
    label: str
    group: str | None


@dataclass(frozen=True, kw_only=True)
class SegmentRow:
    """One line of a table of segments.

    Attributes:
        first: the first frame's number in the film, from 0.
        last: the last frame's.
        label: the class.
    """

    first: int
    last: int
    label: str


def columns_of(path: Path) -> tuple[str, ...]:
    """Give the names in a table's first line, in lower case; () where it is no text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(name.strip().lower() for name in next(csv.reader(file), []))
    except (UnicodeDecodeError, csv.Error):
        return ()


def read_clips(path: Path) -> tuple[ClipRow, ...]:
    """Read a table of clips.

    Raises:
        DatasetError: where a column or a cell is missing.
    """
    rows = []
    for line, cells in _rows(path, CLIP_COLUMNS):
        for column in CLIP_COLUMNS:
            if not cells[column]:
                raise DatasetError(f"{path}, line {line} has no {column}. Fill it in, or remove the line.")
        rows.append(ClipRow(path=cells["path"], label=cells["label"], group=cells.get("group") or None))
    return tuple(rows)


def read_segments(path: Path) -> tuple[SegmentRow, ...]:
    """Read a table of segments, in order.

    Raises:
        DatasetError: where a column is missing, a number is none, or segments overlap.
    """
    rows: list[tuple[int, SegmentRow]] = []
    for line, cells in _rows(path, SEGMENT_COLUMNS):
        try:
            first, last = int(cells["start_frame"]), int(cells["end_frame"])
        except ValueError:
            raise DatasetError(
                f"{path}, line {line} goes from {cells['start_frame']!r} to {cells['end_frame']!r}; both must be "
                "numbers of frames, from 0."
            ) from None
        if not 0 <= first <= last:
            raise DatasetError(
                f"{path}, line {line} goes from frame {first} to {last}; the first must be at least 0 and the last "
                "not before it."
            )
        if not cells["label"]:
            raise DatasetError(f"{path}, line {line} has no label. Fill it in, or remove the line.")
        rows.append((line, SegmentRow(first=first, last=last, label=cells["label"])))
    rows.sort(key=lambda row: row[1].first)
    for (_, before), (line, row) in itertools.pairwise(rows):
        if row.first <= before.last:
            raise DatasetError(
                f"{path}, line {line} begins at frame {row.first}, but a segment before it lasts to frame "
                f"{before.last} (both ends are included). Make the segments not overlap."
            )
    if not rows:
        raise DatasetError(f"{path} has no segments. Write a line start_frame,end_frame,label for each.")
    return tuple(row for _, row in rows)


def _rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Each line's number and its cells by column."""
    columns = columns_of(path)
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DatasetError(
            f"{path} has the columns {', '.join(columns) or 'none'}; it lacks {', '.join(missing)}. Its first line "
            f"must be {','.join(needed)}{'[,group]' if needed is CLIP_COLUMNS else ''}."
        )
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            next(reader)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    padded = [cell.strip() for cell in cells] + [""] * (len(columns) - len(cells))
                    rows.append((reader.line_num, dict(zip(columns, padded, strict=False))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no readable CSV: {error}. Save it as UTF-8 with commas.") from None
    return rows
