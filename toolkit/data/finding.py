"""What lies in a source: which films, frame folders and pictures, with which label and group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.errors import DatasetError
from runtime.sources.pictures import SUFFIXES, list_pictures
from toolkit.data.dataset import Skipped
from toolkit.data.splits import natural
from toolkit.data.tables import (
    CLIP_COLUMNS,
    SEGMENT_COLUMNS,
    SegmentRow,
    columns_of,
    read_clips,
    read_segments,
)

FILM_SUFFIXES = frozenset(
    [
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
        ".m2ts",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
        ".y4m",
    ]
)


@dataclass(frozen=True, kw_only=True)
class FoundClip:
    """Something that will be a clip.

    Attributes:
        path: of the film, the folder of pictures, or the one picture.
        kind: which of these.
        label: its class.
        group: see `Clip.group`; None where the expression matches nothing.
    """

    path: Path
    kind: Literal["film", "frames", "picture"]
    label: str
    group: str | None


@dataclass(frozen=True, kw_only=True)
class FoundStream:
    """A film that is a stream.

    Attributes:
        path: of the film.
        table: of its segments; None where it has no labels.
        segments: what the table says; () where there is none.
    """

    path: Path
    table: Path | None
    segments: tuple[SegmentRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that lies in a source."""

    clips: tuple[FoundClip, ...] = ()
    streams: tuple[FoundStream, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def find(source: str, group_by: str | None) -> Found:
    """Look through a source, opening no film.

    Raises:
        DatasetError: where there is nothing that could be data, or a table is wrong.
    """
    path = Path(source)
    if path.is_dir():
        return _find_in_folder(path, group_by)
    if not path.exists():
        raise DatasetError(f"{source} does not exist. Name a folder, a CSV, a film, or digits.")
    if path.suffix.lower() == ".csv":
        if set(SEGMENT_COLUMNS) <= set(columns_of(path)):
            raise DatasetError(f"{path} tells the segments of a film. Name the film, which must stand beside it.")
        return _find_in_table(path, group_by)
    if path.suffix.lower() in FILM_SUFFIXES:
        table = path.with_suffix(".csv")
        return Found(streams=(found_stream(path, table if table.is_file() else None),))
    raise DatasetError(f"{source} is neither a folder, a CSV nor a film ({', '.join(sorted(FILM_SUFFIXES))}).")


def found_stream(film: Path, table: Path | None) -> FoundStream:
    """Pair a film with the table of its segments, which is read."""
    return FoundStream(path=film, table=table, segments=() if table is None else read_segments(table))


def _find_in_folder(folder: Path, group_by: str | None) -> Found:
    streams = _stream_in(folder)
    tables = [
        path for path in _entries(folder) if path.suffix.lower() == ".csv" and set(CLIP_COLUMNS) <= {*columns_of(path)}
    ]
    if len(tables) > 1:
        raise DatasetError(f"{tables[0]} and {tables[1]} both have path and label. Name the one that is meant.")
    if tables:
        found = _find_in_table(tables[0], group_by)
        return Found(clips=found.clips, streams=streams, skipped=found.skipped)
    clips: list[FoundClip] = []
    skipped: list[Skipped] = []
    for inner in _entries(folder):
        # A folder with a recording and its segments is a source of its own, not a class.
        if inner.is_dir() and not _stream_in(inner):
            of_class, useless = _find_in_class(inner, group_by)
            clips.extend(of_class)
            skipped.extend(useless)
    if not clips and not streams:
        _refuse_empty(folder)
    return Found(clips=tuple(clips), streams=streams, skipped=tuple(skipped))


def _stream_in(folder: Path) -> tuple[FoundStream, ...]:
    table = folder / "stream.csv"
    if not table.is_file() or not set(SEGMENT_COLUMNS) <= set(columns_of(table)):
        return ()
    films = [path for path in _entries(folder) if path.stem == "stream" and path.suffix.lower() in FILM_SUFFIXES]
    return (found_stream(films[0], table),) if films else ()


def _find_in_class(folder: Path, group_by: str | None) -> tuple[list[FoundClip], list[Skipped]]:
    clips: list[FoundClip] = []
    skipped: list[Skipped] = []
    for path in _entries(folder):
        kind = _kind(path)
        if kind is not None:
            group = _group(path, group_by)
            clips.append(FoundClip(path=path, kind=kind, label=folder.name, group=group))
        elif path.is_dir():
            skipped.append(Skipped(path=str(path), reason="there is no picture in it"))
    if not clips:
        skipped.append(Skipped(path=str(folder), reason="there is no film in it"))
    return clips, skipped


def _find_in_table(table: Path, group_by: str | None) -> Found:
    clips: list[FoundClip] = []
    skipped: list[Skipped] = []
    for row in read_clips(table):
        path = table.parent / row.path
        kind = _kind(path) if path.exists() else None
        if kind is None:
            reason = "it is neither a film nor pictures" if path.exists() else "it does not exist"
            skipped.append(Skipped(path=str(path), reason=reason))
            continue
        group = row.group if row.group is not None and group_by is None else _group(path, group_by)
        clips.append(FoundClip(path=path, kind=kind, label=row.label, group=group))
    if not clips and not skipped:
        raise DatasetError(f"{table} names no clip. Write a line path,label for each.")
    return Found(clips=tuple(clips), skipped=tuple(skipped))


def _kind(path: Path) -> Literal["film", "frames", "picture"] | None:
    if path.is_dir():
        return "frames" if list_pictures(path) else None
    if path.exists() and not path.is_file():
        return None  # a pipe would be waited for
    suffix = path.suffix.lower()
    if suffix in FILM_SUFFIXES:
        return "film"
    return "picture" if suffix in SUFFIXES else None


def _group(path: Path, group_by: str | None) -> str | None:
    if group_by is None:
        return str(path.resolve())  # the same for every link to a film
    match = re.search(group_by, path.name if path.is_dir() else path.stem)
    if match is None:
        return None
    return str(match.group(1) if match.re.groups and match.group(1) is not None else match.group(0))


def _entries(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda p: natural(p.name))


def _refuse_empty(folder: Path) -> None:
    loose = [path for path in _entries(folder) if path.suffix.lower() in FILM_SUFFIXES]
    tables = [path for path in _entries(folder) if path.suffix.lower() == ".csv"]
    if tables and not any(path.is_dir() for path in _entries(folder)):
        read_clips(tables[0])  # says which column it lacks
    if loose:
        raise DatasetError(
            f"{folder} has films in it ({loose[0].name}), but they have no label. Put each into a folder named after "
            "its class, or write a CSV path,label beside them."
        )
    raise DatasetError(f"{folder} has no films in it. It must hold a folder for each class, with films in them.")
