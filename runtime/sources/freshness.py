"""How old a live picture is when it arrives."""

from __future__ import annotations

import math

OLDEST_S = 1.0
"""A picture that is older says what was, not what is."""

_FORGET_S = 600.0
"""The two clocks drift apart: what was the least delay so long ago says little."""

_STEP_S = 10.0
"""A presentation time that jumps by more was set anew."""


class Freshness:
    """Tell fresh pictures from stale ones by two clocks: the sender's presentation times and our own.

    The least delay between the two that was seen lately is that of a picture without a queue before it; what another
    picture has more than that is its age. A presentation time that does not advance is that of a picture seen already.

    Attributes:
        stale: how many pictures were not fresh.
    """

    def __init__(self) -> None:
        self.stale = 0
        self._least_s = math.inf
        self._least_at_s = 0.0
        self._last_s: float | None = None

    def captured_s(self, presented_s: float | None, arrived_s: float) -> float | None:
        """Tell when a picture was taken, on our clock; None for one that is stale or was seen already.

        Args:
            presented_s: the sender's time; None where it gives none, and the arrival counts.
            arrived_s: the monotonic clock.
        """
        if presented_s is None:
            return arrived_s
        before_s, self._last_s = self._last_s, presented_s
        if before_s is not None and presented_s <= before_s and before_s - presented_s < _STEP_S:
            self._last_s = before_s
            self.stale += 1
            return None
        jumped = before_s is not None and abs(presented_s - before_s) > _STEP_S
        delay_s = arrived_s - presented_s
        if jumped or delay_s < self._least_s or arrived_s - self._least_at_s > _FORGET_S:
            self._least_s, self._least_at_s = delay_s, arrived_s
        if delay_s - self._least_s > OLDEST_S:
            self.stale += 1
            return None
        return presented_s + self._least_s
