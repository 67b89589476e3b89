"""A dataset in figures."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from toolkit.data.streams import segments_of

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset


def summary_of(dataset: Dataset) -> dict[str, Any]:
    """Count what is in a dataset, as JSON types; `classes` are clips a class, `unreadable` the files left out."""
    lengths = [len(clip.frames) for clip in dataset.clips]
    streams = [
        {
            "name": stream.name,
            "frames": len(stream.frames),
            "segments": len(segments_of(stream)),
            "cuts": 0 if stream.cuts is None else int(stream.cuts.sum()),
        }
        for stream in dataset.streams
    ]
    return {
        "sources": list(dataset.sources),
        "clips": len(dataset.clips),
        "classes": dataset.clips_per_class(),
        "groups": len(dataset.groups),
        "fps": dataset.fps,
        "frames": {"total": sum(lengths), "min": min(lengths), "median": median(lengths), "max": max(lengths)}
        if lengths
        else None,
        "frames_per_class": dataset.frames_per_class(),
        "streams": streams,
        "unreadable": [asdict(each) for each in dataset.skipped],
        "damaged": [asdict(each) for each in dataset.damaged],
    }
