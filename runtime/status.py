"""How the loop is, for whoever tells it to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from runtime.latency import Durations
    from runtime.sources.live import Counts
    from runtime.sources.watch import Watch


@dataclass(frozen=True, kw_only=True)
class QueueCounts:
    """What became of one sink behind a queue.

    Attributes:
        name: of the sink, without secrets.
        up: whether it works.
        dropped: records that it lost, by reason.
    """

    name: str
    up: bool
    dropped: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the loop has come to by now.

    Attributes:
        name: of the artifact.
        precision: of the artifact.
        frames: by what became of them: `stepped`, `repeated`, `dropped`, `missed`, `broken`, `stale`.
        resets: of the states, by reason: `gap`, `every`, `event`.
        gaps: pauses longer than the spec allows.
        events: told.
        durations: of each stage.
        source: the source's state; that of a film is always `live`.
        latest_s: capture time of the newest frame on the monotonic clock; None before the first, and of a film.
        queues: of the sinks that have one.
    """

    name: str
    precision: str
    frames: dict[str, int]
    resets: dict[str, int]
    gaps: int
    events: int
    durations: dict[str, Durations]
    source: str
    latest_s: float | None
    queues: tuple[QueueCounts, ...]


Ask: TypeAlias = "Callable[[], Status]"


@runtime_checkable
class Observing(Protocol):
    """A sink that tells more than records."""

    def observe(self, ask: Ask) -> None:
        """Take note of whom to ask how the loop is."""


@runtime_checkable
class Queue(Protocol):
    """A sink behind a queue."""

    name: str
    up: bool
    dropped: Counter[str]


@runtime_checkable
class Watched(Protocol):
    """A source that may be away."""

    watch: Watch
    counts: Counts
