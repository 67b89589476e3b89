"""Pauses between tries that grow, for whatever fails and may come back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pauses:
    """Give the pause before each try, twice as long as the one before.

    Args:
        first_s: the first, in seconds.
        longest_s: the longest.
        jitter: the fraction by which a pause is drawn longer or shorter, so that many devices do not come at once.
        draw: a number from 0 to 1, for the jitter.
    """

    def __init__(
        self, *, first_s: float, longest_s: float, jitter: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._first_s, self._longest_s, self._jitter, self._draw = first_s, longest_s, jitter, draw
        self._next_s = first_s

    def next_s(self) -> float:
        """Draw the pause before the next try."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s * (1 + self._jitter * (2 * self._draw() - 1))

    def forget(self) -> None:
        """Begin with the first pause again, after some time of health."""
        self._next_s = self._first_s
