"""The validation stream: what was held out, as a labelled stream that decisions and resets are chosen on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.data.dataset import LabelledStream
from toolkit.data.digits import DIGITS
from toolkit.data.streams import segments_of, stream_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.data.dataset import Clip, Dataset

VALIDATION_SEED = 2
"""Another order than that in which conversions calibrate and measure."""

MOST_FRAMES = 10_000
"""Eleven minutes at 15 frames a second."""

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

    Of moving digits it is their endless stream with the images held out, which repeats nothing.

    Args:
        held: with labels.
        frames: how many; None for `ROUNDS` rounds, at most `MOST_FRAMES`, of digits just these.
        seed: of the order.
    """
    endless = held.sources == (DIGITS,)
    if not endless:
        held = replace(held, clips=_shortened(held.clips, seed))
    source = stream_of(held, seed=seed)
    once = sum(len(clip.frames) for clip in held.clips) + sum(len(each.frames) for each in held.streams)
    count = frames or (MOST_FRAMES if endless else min(MOST_FRAMES, ROUNDS * once))
    chunks = list(source.chunks(count))
    pixels, labels, cuts = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("frames", "labels", "cuts")
    )
    joined = LabelledStream(name=source.name, frames=pixels, labels=labels, cuts=cuts)
    return ValidationStream(
        # A scene cut is no gap, so nothing resets there: it only ends a segment.
        stream=LabelledStream(name=source.name, frames=pixels, labels=labels, segments=segments_of(joined)),
        distinct_frames=count if endless else min(count, once),
    )


def _shortened(clips: Sequence[Clip], seed: int) -> tuple[Clip, ...]:
    """Leave up to a quarter of each clip's last frames out.

    Clips of one length would bring every border in step with resets in turns, and no camera does that.
    """
    rng = np.random.default_rng((seed, len(clips)))
    lengths = [len(clip.frames) - int(rng.integers(len(clip.frames) // 4 + 1)) for clip in clips]
    return tuple(replace(clip, frames=clip.frames[:length]) for clip, length in zip(clips, lengths, strict=True))
