"""Where predictions go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from runtime.errors import SinkError
from runtime.sinks.addresses import parse, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from runtime.sinks.queued import Limits
    from runtime.spec import Spec

Record: TypeAlias = "dict[str, Any]"
"""JSON types. Of a frame: `index`, `time` (capture time in seconds), `label` (the argmax's), `probabilities` in the
labels' order (null where one is no number), `decision` (the open event's label or null), and `repeated`, `gap` where
true. Of an event: `event` (its label), `start`, `end`: frame numbers, both ends included. Of a live source both have
`utc`: when they were made, by the clock on the wall, which may jump."""

STDOUT = "jsonl:-"


class Sink(Protocol):
    """Something that takes a record for each frame and each event."""

    def write(self, record: Record) -> None:
        """Take one record.

        Raises:
            SinkError: where it cannot be written.
        """

    def close(self) -> None:
        """Finish and give back what was opened."""

    def __enter__(self) -> Self:
        """Keep it open until the block ends."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


def open_sink(text: str, spec: Spec | None = None) -> Sink:
    """Open what a text names.

    Args:
        text: see `addresses.SUPPORTED`.
        spec: of the model whose predictions come; what is told to others names its labels.

    Raises:
        SinkError: where there is no such thing, or it cannot be written to.
        MissingDependencyError: where it needs a library that is not installed.
    """
    return parse(text, spec)()


def open_queued(
    text: str,
    spec: Spec | None = None,
    *,
    limits: Limits | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Sink:
    """Open what a text names behind a queue of its own: it may fail, and is tried again for as long as it takes.

    Standard output gets none: whoever reads it sets the pace, and ends the run by going.

    Args:
        text: as for `open_sink`.
        spec: as for `open_sink`.
        limits: see `Limits`.
        tell: is told what becomes of it, a sentence at each change.

    Raises:
        SinkError: where there is no such thing.
        MissingDependencyError: where it needs a library that is not installed.
    """
    if text == STDOUT:
        return open_sink(text, spec)
    from runtime.sinks.queued import QueuedSink

    return QueuedSink(shown(text), parse(text, spec), limits=limits, tell=tell)


def finish(sinks: Iterable[Sink]) -> None:
    """Let all queues among the sinks begin to end, so that closing one after the other takes no longer than one."""
    from runtime.sinks.queued import QueuedSink

    for sink in sinks:
        if isinstance(sink, QueuedSink):
            sink.finish()


__all__ = ["STDOUT", "Record", "Sink", "SinkError", "finish", "open_queued", "open_sink"]
