"""Where predictions go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from runtime.errors import SinkError

if TYPE_CHECKING:
    from typing_extensions import Self

Record: TypeAlias = "dict[str, Any]"
"""JSON types. Of a frame: `index`, `time` (capture time in seconds), `label` (the argmax's), `probabilities` in the
labels' order (null where one is no number), `decision` (the open event's label or null), and `repeated`, `gap` where
true. Of an event: `event` (its label), `start`, `end`: frame numbers, both ends included."""

SUPPORTED = "jsonl:- for standard output, or jsonl:FILE"


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


def open_sink(text: str) -> Sink:
    """Open what a text names.

    Args:
        text: see `SUPPORTED`.

    Raises:
        SinkError: where there is no such thing, or it cannot be written to.
    """
    kind, _, target = text.partition(":")
    if kind != "jsonl" or not target:
        raise SinkError(f"The sink {text} is not one that framestep writes. Give {SUPPORTED}.")
    from runtime.sinks.jsonl import JsonLinesSink

    return JsonLinesSink(target)
