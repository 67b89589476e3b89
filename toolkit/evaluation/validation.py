"""The validation stream: what was held out, as a labelled stream that decisions and resets are chosen on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.data.dataset import LabelledStream
from toolkit.data.digits import DIGITS
from toolkit.data.streams import segments_of, stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toolkit.data.dataset import Clip, Dataset

VALIDATION_SEED = 2
"""Another order than that in which conversions calibrate and measure."""

MOST_FRAMES = 10_000
"""Eleven minutes at 15 frames a second."""

MOST_BYTES = 1 << 28
"""Of pixels: large pictures make the stream shorter."""

ROUNDS = 3
"""Clips come so often at most, each time in another order: what goes before one changes what is said of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidationStream:
    """A labelled stream of what was held out.

    Attributes:
        stream: its frames go on without a gap; each clip is a segment.
        distinct_frames: how many frames there were to make it of.
    """

    stream: LabelledStream
    distinct_frames: int

    @property
    def rounds(self) -> float:
        """How often a frame is in it, on average."""
        return len(self.stream.frames) / self.distinct_frames


def validation_stream(held: Dataset, *, frames: int | None = None, seed: int = VALIDATION_SEED) -> ValidationStream:
    """Join what was held out: its recordings, then its clips in drawn order, and round again.

    Neighbouring clips are of different classes, as far as there are any left: nothing would tell one event from two.
    Each clip loses up to a quarter of its last frames: clips of one length would bring every border in step with
    resets in turns, and no camera does that. Of moving digits it is their endless stream with the images held out,
    which repeats nothing.

    Args:
        held: with labels.
        frames: how many; None for `ROUNDS` rounds, at most `MOST_FRAMES`, of digits just these.
        seed: of what is drawn.
    """
    source = stream_of(held, seed=seed)
    first = held.clips[0].frames if held.clips else held.streams[0].frames
    most = max(1, min(MOST_FRAMES, MOST_BYTES // first[0].nbytes))
    if held.sources == (DIGITS,):
        chunks = list(source.chunks(frames or most))
        pixels, labels, cuts = (
            np.concatenate([getattr(chunk, key) for chunk in chunks]) for key in ("frames", "labels", "cuts")
        )
        # A model may have the directions in another order.
        places = np.array([held.labels.index(label) for label in source.labels or ()])
        whole = LabelledStream(name=source.name, frames=pixels, labels=places[labels], cuts=cuts)
        # A scene cut is no gap, so nothing resets there: it only ends a segment.
        return ValidationStream(
            stream=replace(whole, cuts=None, segments=segments_of(whole)), distinct_frames=len(labels)
        )
    held = replace(held, clips=_shortened(held.clips, seed))
    once = sum(len(stream.frames) for stream in held.streams) + sum(len(clip.frames) for clip in held.clips)
    count = frames or min(most, ROUNDS * once)
    return ValidationStream(
        stream=_first_frames(source.name, _pieces(held, seed), count), distinct_frames=min(count, once)
    )


def _shortened(clips: Sequence[Clip], seed: int) -> tuple[Clip, ...]:
    rng = np.random.default_rng((seed, len(clips)))
    lengths = [len(clip.frames) - int(rng.integers(len(clip.frames) // 4 + 1)) for clip in clips]
    return tuple(replace(clip, frames=clip.frames[:length]) for clip, length in zip(clips, lengths, strict=True))


def _pieces(held: Dataset, seed: int) -> Iterator[LabelledStream]:
    """Recordings and clips without an end."""
    rng, last = np.random.default_rng(seed), -1
    while True:
        yield from held.streams
        left = [
            list(rng.permutation([i for i, clip in enumerate(held.clips) if clip.label == label]))
            for label in range(len(held.labels))
        ]
        while any(left):
            # The square keeps a class of many clips from being left over at the end.
            odds = np.array([len(places) ** 2 if label != last else 0 for label, places in enumerate(left)], np.float64)
            if odds.any():
                last = int(rng.choice(len(left), p=odds / odds.sum()))
            clip = held.clips[int(left[last].pop())]
            labels = np.full(len(clip.frames), clip.label, np.int64)
            whole = ((0, len(labels) - 1, clip.label),)
            yield LabelledStream(name=clip.name, frames=clip.frames, labels=labels, segments=whole)


def _first_frames(name: str, pieces: Iterator[LabelledStream], count: int) -> LabelledStream:
    """Join pieces until there are so many frames; the last one is cut short."""
    frames, labels, segments, done = [], [], [], 0
    while done < count:
        piece = next(pieces)
        taken = min(len(piece.frames), count - done)
        frames.append(piece.frames[:taken])
        labels.append(piece.labels[:taken])
        segments += [
            (done + first, done + min(last, taken - 1), label)
            for first, last, label in segments_of(piece)
            if first < taken
        ]
        done += taken
    return LabelledStream(
        name=name, frames=np.concatenate(frames), labels=np.concatenate(labels), segments=tuple(segments)
    )
