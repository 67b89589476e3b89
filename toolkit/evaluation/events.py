"""How well events match true segments."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.decision import Event

    Truth: TypeAlias = "tuple[int, int, str]"
    """First frame, last frame (included), label."""


@dataclass(frozen=True, kw_only=True)
class EventScore:
    """Events against true segments.

    Attributes:
        events: how many there were.
        segments: how many there should have been.
        recall: the fraction of segments in which an event of their label starts; None without segments.
        precision: the fraction of events that overlap a segment of their label; None without events.
        false_alarms_per_hour: events that overlap no segment of their label.
        delay_frames: median from a found segment's start to its first event's start; None where none was found.
    """

    events: int
    segments: int
    recall: float | None
    precision: float | None
    false_alarms_per_hour: float
    delay_frames: float | None


def score_events(events: Sequence[Event], segments: Sequence[Truth], *, frames: int, fps: float) -> EventScore:
    """Match events with segments.

    Args:
        events: their ends included.
        segments: the truth.
        frames: the stream's length.
        fps: its rate.
    """
    delays = []
    for first, last, label in segments:
        starts = [event.start for event in events if event.label == label and first <= event.start <= last]
        if starts:
            delays.append(min(starts) - first)
    false_alarms = sum(
        not any(label == event.label and event.start <= last and event.end >= first for first, last, label in segments)
        for event in events
    )
    return EventScore(
        events=len(events),
        segments=len(segments),
        recall=len(delays) / len(segments) if segments else None,
        precision=1 - false_alarms / len(events) if events else None,
        false_alarms_per_hour=false_alarms * 3600 * fps / frames,
        delay_frames=median(delays) if delays else None,
    )
