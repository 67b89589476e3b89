"""What a live source is at: a state machine that knows no camera and reads no clock.

    connecting  -- a picture -->                live
    connecting, live  -- silence -->            stalled
    stalled  -- its reader is ended -->         backing off
    connecting, live  -- a failure -->          backing off
    backing off  -- time, or it came back -->   connecting

Every time is a reading of the monotonic clock, handed in. What is to be done is read from `state` and `deadline_s`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from runtime.pauses import Pauses

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = Literal["connecting", "live", "stalled", "backing off"]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a source is waited for; all in seconds.

    Attributes:
        connect_s: for the first picture after an opening.
        stall_s: between two pictures; ten frame periods where they are longer.
        first_s: the first pause before another try; each is twice as long as the one before.
        longest_s: the longest pause.
        jitter: the fraction by which a pause is drawn longer or shorter, so that many devices do not come at once.
        healthy_s: of being live, after which the next pause is the first again.
    """

    connect_s: float = 15.0
    stall_s: float = 2.0
    first_s: float = 1.0
    longest_s: float = 30.0
    jitter: float = 0.2
    healthy_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a source from a state to another.

    Attributes:
        state: the new one.
        reason: why, in words.
        wait_s: until the next try, for `backing off`.
    """

    state: State
    reason: str
    wait_s: float | None = None


class Watch:
    """The state of one live source.

    Args:
        fps: rate that its model asks for.
        now_s: when it is first opened.
        patience: see `Patience`.
        draw: a number from 0 to 1, for the jitter.
        tell: is told each change.

    Attributes:
        state: see the module.
        deadline_s: when `expire` is to be called, unless something happens before.
    """

    def __init__(
        self,
        *,
        fps: float,
        now_s: float,
        patience: Patience | None = None,
        draw: Callable[[], float] = random.random,
        tell: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self.patience = patience or Patience()
        self.stall_s = max(self.patience.stall_s, 10 / fps)
        self._tell = tell
        self._pauses = Pauses(
            first_s=self.patience.first_s, longest_s=self.patience.longest_s, jitter=self.patience.jitter, draw=draw
        )
        self._live_since_s = now_s
        self.state: State = "connecting"
        self.deadline_s = now_s + self.patience.connect_s

    def picture(self, now_s: float) -> None:
        """Take note of a picture that is fresh."""
        if self.state == "connecting":
            self._live_since_s = now_s
            self._become("live", "pictures come")
        if self.state == "live":
            self.deadline_s = now_s + self.stall_s
            if now_s - self._live_since_s >= self.patience.healthy_s:
                self._pauses.forget()

    def fail(self, now_s: float, reason: str) -> None:
        """Take note that the reader gave up; it waits for another opening."""
        if self.state != "backing off":
            self._back_off(now_s, reason)

    def expire(self, now_s: float) -> None:
        """Act on a deadline that has passed: a silent reader is stalled, a pause is over."""
        if now_s < self.deadline_s:
            return
        if self.state == "backing off":
            self._become("connecting", "another try")
            self.deadline_s = now_s + self.patience.connect_s
        elif self.state != "stalled":
            waited_s = self.stall_s if self.state == "live" else self.patience.connect_s
            self._become("stalled", f"no picture for {waited_s:g} s")

    def ended(self, now_s: float) -> None:
        """Take note that the reader of a stalled source is gone."""
        if self.state == "stalled":
            self._back_off(now_s, "its reader was ended")

    def came_back(self, now_s: float) -> None:
        """Take note that a device that was absent is there again: no pause is worth waiting for."""
        if self.state == "backing off":
            self.deadline_s = now_s

    def _back_off(self, now_s: float, reason: str) -> None:
        wait_s = self._pauses.next_s()
        self.deadline_s = now_s + wait_s
        self._become("backing off", reason, wait_s)

    def _become(self, state: State, reason: str, wait_s: float | None = None) -> None:
        self.state = state
        self._tell(Change(state=state, reason=reason, wait_s=wait_s))
