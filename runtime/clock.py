"""From a source's own rate to the one that the model was trained at.

A pure function of the frames' capture times: no clock is read here. Ticks stand at `anchor + k / fps`, counted from the
anchor and not from one another, so that hours bring no drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.frame import Frame

_PERIOD_WEIGHT = 0.1
"""Of the newest spacing in the running mean of the source's period."""

_EQUAL = 0.9
"""The period in ticks from which on a source counts as one of the model's own rate, or slower."""

_EARLY = 0.75
"""How early in ticks a frame of such a source may be. With the tick that it may be late, jitter has room on both sides
wherever drift has brought it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One frame at the model's rate.

    Attributes:
        frame: what to step with.
        number: the clock's count of ticks, from 0.
        repeated: whether the tick before had the same frame, since the source gave none for this one.
        gap: whether frames were missing before this one for longer than the limit.
    """

    frame: Frame
    number: int
    repeated: bool = False
    gap: bool = False

    @property
    def index(self) -> int:
        """The source's number of the frame."""
        return self.frame.index


class FrameClock:
    """Select, repeat and drop a source's frames so that they come at a steady rate.

    A frame serves a tick that it reaches, or one that it is nearer to than the next frame is expected to be; the first
    to do so serves it, and the others are dropped. The tick that follows the last one is also served by a frame that is
    up to a tick late and, where the source has the model's own rate, by one that is up to 3/4 of a tick early: so such
    a source may jitter and drift without a frame being dropped for one tick and repeated for the next. Ticks without a
    frame are served by the one before, once a later frame shows that they were missed. After a pause longer than
    `gap_s` no frame is invented: the ticks begin anew with `gap` set. A frame whose time does not lie after the one
    before it is dropped.

    Args:
        fps: ticks a second.
        gap_s: the longest pause between two frames that is filled with repeats, in seconds.

    Attributes:
        frames: frames taken from the source.
        dropped: of these, how many served no tick.
        repeated: ticks served by the frame of the tick before.
        gaps: pauses longer than `gap_s`.
    """

    def __init__(self, fps: float, gap_s: float = 1.0) -> None:
        self.fps = fps
        self.gap_s = gap_s
        self.frames = 0
        self.dropped = 0
        self.repeated = 0
        self.gaps = 0

    def select(self, frames: Iterable[Frame]) -> Iterator[Tick]:
        """Give the ticks of a stream, each as soon as the frame that serves it is there."""
        number = 0
        place = 0  # of the last tick, counted from the anchor
        period: float | None = None  # of the source, in ticks
        anchor_s = latest_s = 0.0
        held: Frame | None = None
        for frame in frames:
            self.frames += 1
            pause_s = frame.time_s - latest_s
            if held is None or frame.begins or pause_s > self.gap_s:
                gap = held is not None
                self.gaps += gap
                anchor_s, place = frame.time_s, 0
                missed = 0
            elif not pause_s > 0:
                self.dropped += 1
                continue
            else:
                gap = False
                spacing = pause_s * self.fps
                period = spacing if period is None else period + _PERIOD_WEIGHT * (spacing - period)
                reached = _serves((frame.time_s - anchor_s) * self.fps, place + 1, period)
                missed = reached - place - 1
                place = max(place, reached)
            latest_s = frame.time_s
            if missed < 0:
                self.dropped += 1
                continue
            for _ in range(missed):
                self.repeated += 1
                yield Tick(frame=held, number=number, repeated=True)  # type: ignore[arg-type]  # missed is 0 at first
                number += 1
            held = frame
            yield Tick(frame=frame, number=number, gap=gap)
            number += 1


def _serves(position: float, expected: int, period: float) -> int:
    """Tell which tick a frame serves, `expected` if it may."""
    early = math.floor(position + (_EARLY if period > _EQUAL else period / 2))
    late = math.floor(position)
    return min(max(expected, late), early)
