"""Clips and recordings as endless streams: what calibration, fidelity and evaluation step through."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from converters.stream import NO_LABEL, FrameStream, StreamChunk
from runtime.errors import DatasetError
from toolkit.data.dataset import Clip
from toolkit.data.digits import DIGITS, DigitsConfig, DigitsStream, images_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from toolkit.data.dataset import Dataset, LabelledStream

    Piece: TypeAlias = "tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.int64]]"

Segment: TypeAlias = "tuple[int, int, int]"
"""First frame, last frame (included), label."""


def segments_of(stream: LabelledStream) -> tuple[Segment, ...]:
    """Give a stream's labelled segments: those it names, else each run of one label that no cut divides."""
    if stream.segments:
        return stream.segments
    if not len(stream.labels):
        return ()
    changes = np.diff(stream.labels) != 0
    if stream.cuts is not None:
        changes |= stream.cuts[1:]
    borders = np.flatnonzero(changes) + 1
    firsts, ends = [0, *borders.tolist()], [*borders.tolist(), len(stream.labels)]
    found = ((first, end - 1, int(stream.labels[first])) for first, end in zip(firsts, ends, strict=True))
    return tuple(segment for segment in found if segment[2] != NO_LABEL)


def segment_clips(stream: LabelledStream, segments: Sequence[Segment] | None = None) -> tuple[Clip, ...]:
    """Cut a stream into clips, one a segment; each is a group of its own."""
    chosen = segments_of(stream) if segments is None else segments
    return tuple(
        Clip(
            name=f"{stream.name}[{first}-{last}]",
            label=label,
            group=f"{stream.name}[{first}-{last}]",
            frames=stream.frames[first : last + 1],
        )
        for first, last, label in chosen
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedStream:
    """Recordings and clips one after another, each join a cut; the clips in another order every round.

    Attributes:
        name: see `FrameStream`.
        labels: see `FrameStream`.
        clips: shuffled anew for every round.
        recordings: before the clips of every round, in their order.
        seed: of the shuffling.
    """

    name: str
    labels: tuple[str, ...] | None
    clips: tuple[Clip, ...] = ()
    recordings: tuple[LabelledStream, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.distinct:
            raise DatasetError("A stream was asked for, but the data has no frames. Name other data.")

    @property
    def distinct(self) -> int:
        """The frames of a round."""
        return sum(len(clip.frames) for clip in self.clips) + sum(len(each.frames) for each in self.recordings)

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        """Give exactly `frames` frames; only one chunk is copied into memory at a time."""
        pieces = self._pieces()
        rest: Piece | None = None
        for start in range(0, frames, size):
            wanted = min(size, frames - start)
            taken: list[Piece] = []
            while wanted:
                piece = rest if rest is not None else next(pieces)
                count = min(wanted, len(piece[0]))
                taken.append(_cut_out(piece, 0, count))
                rest = _cut_out(piece, count, len(piece[0])) if count < len(piece[0]) else None
                wanted -= count
            pixels, cuts, labels = (np.concatenate(parts) for parts in zip(*taken, strict=True))
            cuts[0] &= start > 0
            yield StreamChunk(frames=pixels, cuts=cuts, labels=labels)

    def _pieces(self) -> Iterator[Piece]:
        """Whole recordings and clips; the first frame of each is a cut."""
        for turn in itertools.count():
            for recording in self.recordings:
                if len(recording.frames):
                    cuts = np.zeros(len(recording.frames), np.bool_) if recording.cuts is None else recording.cuts
                    yield recording.frames, _with_cut(cuts), recording.labels
            for i in np.random.default_rng((self.seed, turn)).permutation(len(self.clips)).tolist():
                pixels = self.clips[i].frames
                if len(pixels):
                    labels = np.full(len(pixels), self.clips[i].label, np.int64)
                    yield pixels, _with_cut(np.zeros(len(pixels), np.bool_)), labels


def joined_clips(
    clips: Sequence[Clip], seed: int, labels: tuple[str, ...] | None = None, *, name: str | None = None
) -> FrameStream:
    """Join clips in drawn order without a gap, each join a cut."""
    return JoinedStream(name=name or f"{len(clips)} clips joined", labels=labels, clips=tuple(clips), seed=seed)


def film_stream(stream: LabelledStream, labels: tuple[str, ...] | None = None) -> FrameStream:
    """Go round and round one recording; its end and beginning meet in a cut."""
    labelled = bool((stream.labels != NO_LABEL).any())
    return JoinedStream(name=stream.name, labels=labels if labelled else None, recordings=(stream,))


def stream_of(dataset: Dataset, *, seed: int) -> FrameStream:
    """Give all of a dataset as one stream: its recordings, then its clips joined, and round again.

    Of moving digits it is a `DigitsStream` that shows the same images.
    """
    if dataset.sources == (DIGITS,) and dataset.clips:
        height, width, channels = dataset.clips[0].frames.shape[1:]
        colour: Literal["gray", "rgb"] = "gray" if channels == 1 else "rgb"
        config = DigitsConfig(width=width, height=height, colour=colour, fps=dataset.fps)
        return DigitsStream(config=config, images=images_of(dataset.clips), seed=seed)
    parts = [recording.name for recording in dataset.streams]
    if dataset.clips:
        parts.append(f"{len(dataset.clips)} clips joined")
    labelled = bool(dataset.clips) or any((each.labels != NO_LABEL).any() for each in dataset.streams)
    return JoinedStream(
        name=" + ".join(parts),
        labels=dataset.labels if labelled else None,
        clips=dataset.clips,
        recordings=dataset.streams,
        seed=seed,
    )


def _cut_out(piece: Piece, start: int, end: int) -> Piece:
    pixels, cuts, labels = piece
    return pixels[start:end], cuts[start:end], labels[start:end]


def _with_cut(cuts: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    marked = cuts.copy()
    marked[0] = True
    return marked
