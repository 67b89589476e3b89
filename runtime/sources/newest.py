"""One place between two threads, for the newest thing alone."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlot(Generic[T]):
    """Hand things from one thread to another, of several always the newest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._ended = False

    def put(self, item: T) -> None:
        """Replace what was not taken yet."""
        with self._changed:
            self._item = item
            self._changed.notify()

    def end(self) -> None:
        """Say that nothing more comes; what was not taken yet still can be."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """Wait for the next thing; None where there is none in that time, or never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._ended, timeout_s)
            item, self._item = self._item, None
            return item

    @property
    def ended(self) -> bool:
        """Whether nothing more comes and nothing is left."""
        with self._changed:
            return self._ended and self._item is None
