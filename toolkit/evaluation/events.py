"""How well events match true segments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.decision import Event

    Truth: TypeAlias = "tuple[int, int, str]"
    """First frame, last frame (included), label."""

_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class EventScore:
    """Events against true segments.

    Attributes:
        events: how many there were.
        segments: how many there should have been.
        recall: the fraction of segments in which an event of their label starts; None without segments.
        precision: the fraction of events that overlap a segment of their label; None without events.
        false_alarms: events that overlap no segment of their label.
        hours: the stream's length.
        delay_frames: median from a found segment's start to the frame at which its first event is told, which is
            `minimum_frames - 1` after that event's own start; None where none was found.
        delay_s: the same in seconds.
        rounds: how often a frame is in the stream, where it goes round; what came again proves nothing anew.
    """

    events: int
    segments: int
    recall: float | None
    precision: float | None
    false_alarms: int
    hours: float
    delay_frames: float | None
    delay_s: float | None
    rounds: float = 1.0

    @property
    def false_alarms_per_hour(self) -> float:
        """As seen; the smallest rate above 0 that a stream can show is one in its whole length."""
        return self.false_alarms / self.hours

    @property
    def false_alarms_per_hour_at_most(self) -> float:
        """The rate that so few false alarms exclude with a confidence of 95 %; see `largest_rate`."""
        return largest_rate(math.ceil(self.false_alarms / self.rounds)) * self.rounds / self.hours


def within(rate: Any, target: float) -> Any:
    """Whether rates keep to a target; one in a minute is 60 an hour, whatever the last bit of a division says."""
    return rate <= target * (1 + 1e-9)


def score_events(
    events: Sequence[Event], segments: Sequence[Truth], *, frames: int, fps: float, minimum_frames: int = 1
) -> EventScore:
    """Match events with segments.

    Args:
        events: their ends included.
        segments: the truth.
        frames: the stream's length.
        fps: its rate.
        minimum_frames: that an event lasted before it was told, see `DecisionSpec`.
    """
    delays = []
    for first, last, label in segments:
        starts = [event.start for event in events if event.label == label and first <= event.start <= last]
        if starts:
            delays.append(min(starts) - first + minimum_frames - 1)
    false_alarms = sum(
        not any(label == event.label and event.start <= last and event.end >= first for first, last, label in segments)
        for event in events
    )
    delay = median(delays) if delays else None
    return EventScore(
        events=len(events),
        segments=len(segments),
        recall=len(delays) / len(segments) if segments else None,
        precision=1 - false_alarms / len(events) if events else None,
        false_alarms=false_alarms,
        hours=frames / fps / 3600,
        delay_frames=delay,
        delay_s=None if delay is None else delay / fps,
    )


def largest_rate(count: int) -> float:
    """Tell how many events a length has on average at most, where `count` were seen in it, with confidence 95 %.

    It is the mean of the Poisson distribution that gives `count` or fewer with a probability of 5 %: 3.0 where none
    was seen (the rule of three), 4.7 where one was.
    """
    low, high = 0.0, 10.0 + 3.0 * count
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _poisson(count, middle) > 1 - _CONFIDENCE else (low, middle)
    return high


def _poisson(count: int, mean: float) -> float:
    """The probability of `count` or fewer."""
    return sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count + 1))
