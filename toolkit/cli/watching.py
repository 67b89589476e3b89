"""How training tells the terminal how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli.output import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from toolkit.training.loop import Row


class Teller:
    """A `Watcher` that shows how far each phase is."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._phase = ""
        self._note = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def step(self, *, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """See `Watcher`."""
        if phase != self._phase:
            self._close()
            self._phase, self._note = phase, ""
            self._bar = Progress(phase, epochs * steps).__enter__()
            self._bar.advance((epoch - 1) * steps + step - 1)
        if self._bar is not None:
            self._bar.advance(1, self._note)

    def epoch(self, row: Row, history: Sequence[Row]) -> None:
        """See `Watcher`."""
        held = "" if row.val_accuracy is None else f", held out {row.val_accuracy:.4f}"
        self._note = f"epoch {len(history)}: loss {row.loss:.3f}{held}"

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
