"""Which frames of a stream a model can be expected to know: those that are not just after a border."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converters.stream import NO_LABEL
from toolkit.data.streams import segments_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.data.dataset import LabelledStream

SETTLED_AFTER = 12
"""Frames after a border, from which on a frame counts: so many must be seen before what moves now is told apart."""


def settled_frames(stream: LabelledStream, *, after: int = SETTLED_AFTER) -> npt.NDArray[np.bool_]:
    """Tell which labelled frames lie so far behind the last border, bool [t].

    A border is the beginning of a segment or a cut; the stream's own beginning is one.

    Args:
        stream: labelled.
        after: a border's own frame is 0 behind it.
    """
    borders = np.zeros(len(stream.labels), np.bool_)
    borders[[first for first, _, _ in segments_of(stream)]] = True
    if stream.cuts is not None:
        borders |= stream.cuts
    places = np.arange(len(borders))
    since = places - np.maximum.accumulate(np.where(borders, places, 0))
    settled: npt.NDArray[np.bool_] = (since >= after) & (stream.labels != NO_LABEL)
    return settled


def settled_accuracy(probabilities: npt.NDArray[np.float32], stream: LabelledStream) -> float | None:
    """Give the fraction of settled frames whose argmax is right; None where a stream has none."""
    settled = settled_frames(stream)
    if not settled.any():
        return None
    return float((probabilities.argmax(axis=1) == stream.labels)[settled].mean())
