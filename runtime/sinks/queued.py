"""A sink that the loop never waits for: behind a queue and in a thread of its own."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runtime.errors import FramestepError
from runtime.pauses import Pauses
from runtime.status import Observing

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from runtime.sinks import Record, Sink
    from runtime.status import Ask


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is kept for a sink, and how long it is waited for.

    Attributes:
        frames: records of frames that may wait; the oldest gives way.
        events: records of events, apart from the frames, so that no number of frames pushes one out.
        first_s: the first pause before a sink that failed is tried again; each is twice as long as the one before.
        longest_s: the longest pause.
        jitter: see `Pauses`.
        healthy_s: of working, after which the next pause is the first again.
        check_s: between two looks at a sink, whether something is written to it or not.
        close_s: for writing what waits at the end; a process that is told to stop has 3 s in all.
    """

    frames: int = 256
    events: int = 1000
    first_s: float = 1.0
    longest_s: float = 30.0
    jitter: float = 0.2
    healthy_s: float = 60.0
    check_s: float = 1.0
    close_s: float = 2.5


@runtime_checkable
class Checked(Protocol):
    """A sink that can tell that it no longer works although nothing is written."""

    def check(self) -> None:
        """Do what is due from time to time.

        Raises:
            SinkError: where it no longer works.
        """


class QueuedSink:
    """Keep what a sink has no time for, open it again whenever it fails, and count what is lost.

    `write` never waits and never raises. A record that could not be written is written after the next opening, so a
    sink that fails half-way may get it twice.

    Args:
        name: what is told of it.
        opened: opens the sink; called in the queue's own thread, and again after each failure.
        limits: see `Limits`.
        clock_s: seconds that only grow.
        draw: a number from 0 to 1, for the jitter.
        tell: is told each change, in a sentence; not each try.

    Attributes:
        name: as given.
        up: whether the sink works: since its opening a write went well, or nothing went wrong for a while.
        dropped: records that were lost, by reason: `full` queue, `closing` before they were written, or `refused` by
            an error that another try would not mend.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[], Sink],
        *,
        limits: Limits | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name, self.up = name, False
        self.dropped: Counter[str] = Counter()
        self._limits = limits or Limits()
        self._opened, self._clock_s, self._tell = opened, clock_s, tell
        self._pauses = Pauses(
            first_s=self._limits.first_s, longest_s=self._limits.longest_s, jitter=self._limits.jitter, draw=draw
        )
        self._changed = threading.Condition()
        self._frames: deque[tuple[int, Record]] = deque()
        self._events: deque[tuple[int, Record]] = deque()
        self._count = 0
        self._closing, self._ends_s = False, 0.0
        self._problem: str | None = None
        self._ask: Ask | None = None
        self._sink: Sink | None = None
        self._in_hand = self._advanced = False
        self._thread = threading.Thread(target=self._run, name=f"framestep {name}", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Let a record wait for its turn."""
        with self._changed:
            waiting, room = self._place(record)
            if len(waiting) >= room:
                waiting.popleft()
                self.dropped["full"] += 1
            waiting.append((self._count, record))
            self._count += 1
            self._changed.notify()

    def observe(self, ask: Ask) -> None:
        """Hand on whom to ask, at each opening."""
        with self._changed:
            self._ask = ask
            if isinstance(self._sink, Observing):
                self._sink.observe(ask)

    def finish(self) -> None:
        """Begin to write what waits and to close the sink, without waiting for it; `close` ends it."""
        with self._changed:
            if not self._closing:
                self._closing, self._ends_s = True, self._clock_s() + self._limits.close_s
                self._changed.notify()

    def close(self) -> None:
        """Let what waits be written, for a limited time since `finish`, and close the sink."""
        self.finish()
        # A thread that hangs in a write is left behind: it ends with the process.
        self._thread.join(max(self._ends_s - self._clock_s(), 0.0))
        with self._changed:
            left = len(self._frames) + len(self._events) + self._in_hand
            self.dropped.update({"closing": left} if left else {})
            self._frames.clear()
            self._events.clear()
        if self.dropped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
            self._tell(f"{self.name} lost {self.dropped.total()} records ({reasons}).")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What follows runs in the queue's thread.

    def _run(self) -> None:
        while True:
            problem = self._work()
            self._give_back(problem)
            if problem is None or not self._pause(problem):
                return

    def _work(self) -> str | None:
        """Open and write until it fails, or until it is closed and nothing waits; tell what failed."""
        self._advanced = False
        try:
            sink = self._open()
        except Exception as error:  # noqa: BLE001  # whatever a library raises, the loop goes on
            return _words(error)
        since_s = checked_s = self._clock_s()
        while (record := self._next()) or not self._closing:
            now_s = self._clock_s()
            if now_s - since_s >= self._limits.healthy_s:
                self._pauses.forget()
            try:
                if record:
                    sink.write(record)
                    self._in_hand, self._advanced = False, True
                if isinstance(sink, Checked) and now_s - checked_s >= self._limits.check_s:
                    checked_s = now_s
                    sink.check()
                self._became_up()
            except Exception as error:  # noqa: BLE001  # as above
                if record and self._in_hand:
                    self._keep(record, error)
                return _words(error)
        return None

    def _open(self) -> Sink:
        sink = self._opened()
        with self._changed:
            self._sink = sink
            if self._ask is not None and isinstance(sink, Observing):
                sink.observe(self._ask)
        return sink

    def _became_up(self) -> None:
        # Not at its opening: a file on a full disk can be opened as often as one likes.
        if not self.up:
            self.up, self._problem = True, None
            self._tell(f"{self.name} is on.")

    def _next(self) -> Record | None:
        """Wait for the oldest record; None where it is time to look at the sink, or to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._events or self._closing, self._limits.check_s)
            queues = [queue for queue in (self._frames, self._events) if queue]
            self._in_hand = bool(queues)
            return min(queues, key=lambda queue: queue[0][0]).popleft()[1] if queues else None

    def _keep(self, record: Record, error: Exception) -> None:
        """Put a record back to the front, unless it is itself what is wrong."""
        with self._changed:
            self._in_hand = False
            waiting, room = self._place(record)
            if not isinstance(error, FramestepError):
                self.dropped["refused"] += 1
                self._advanced = True
            elif len(waiting) < room:
                waiting.appendleft((-1, record))
            else:
                self.dropped["full"] += 1

    def _give_back(self, problem: str | None) -> None:
        with self._changed:
            sink, self._sink, self.up = self._sink, None, False
        if sink is None:
            return
        try:
            sink.close()
        except Exception as error:  # noqa: BLE001  # as above
            if problem is None:
                self._tell(f"{self.name} was not closed in good order: {_words(error)}")

    def _pause(self, problem: str) -> bool:
        """Wait before another try; tell whether there is to be one: at the end, for as long as tries lead on."""
        with self._changed:
            if self._closing:
                return self._advanced and bool(self._frames or self._events)
            wait_s = self._pauses.next_s()
        if problem != self._problem:
            self._problem = problem
            self._tell(f"{self.name} is off: {problem} It is tried again, first in {wait_s:.1f} s.")
        with self._changed:
            self._changed.wait_for(lambda: self._closing, wait_s)
            return not self._closing or bool(self._frames or self._events)

    def _place(self, record: Record) -> tuple[deque[tuple[int, Record]], int]:
        return (self._events, self._limits.events) if "event" in record else (self._frames, self._limits.frames)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, FramestepError) else f"{type(error).__name__}."
