"""When a long stream's states go back, the same for every model that is compared on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from runtime.decision import Decision, Event
    from runtime.spec import ResetSpec

    Rows: TypeAlias = tuple[npt.NDArray[np.float32], ...]
    Step: TypeAlias = Callable[[slice, npt.NDArray[np.bool_]], Rows]


def resets_of(reset: ResetSpec, first: int, count: int) -> npt.NDArray[np.bool_]:
    """Tell before which frames of an unbroken stream the policy resets, as far as that is known beforehand.

    A scene cut is no gap: the camera went on. So only `every` acts on a stream that misses no frame, and `event`, of
    which `Walk` knows.

    Args:
        reset: the policy.
        first: the first frame's number in the stream.
        count: how many frames.

    Returns:
        bool [count].
    """
    if reset.every_frames is None:
        return np.zeros(count, np.bool_)
    numbers = np.arange(first, first + count)
    return np.asarray((numbers > 0) & (numbers % reset.every_frames == 0))


class Walk:
    """One model's way along a stream: its states go back where that is planned, or where an event of its own ends.

    Args:
        reset: the policy; `event` needs a decision.
        decision: that makes events of the answers; None where nobody asks for them.
        ahead: frames that are stepped at once although an event may end among them. What comes after such an end is
            stepped again from the initial states, so this changes the time that it takes, and nothing else.

    Attributes:
        frames: walked so far.
        events: that ended so far.
        resets: of the states so far.
    """

    def __init__(self, reset: ResetSpec, decision: Decision | None = None, *, ahead: int = 1) -> None:
        self.frames = 0
        self.events: list[Event] = []
        self.resets = 0
        self._decision = decision
        self._at_events = reset.policy == "event"
        self._ahead = ahead
        self._due = False

    def along(self, planned: npt.NDArray[np.bool_], step: Step) -> Rows:
        """Walk on.

        Args:
            planned: bool [n]; before which of the next frames the states go back in any case.
            step: steps through a part of these frames, resetting before those where its second argument is true. It
                goes on from where it was, which matters only if the part's first frame is no reset. It returns arrays
                with a row a frame, the probabilities first.

        Returns:
            Those arrays for all n frames.
        """
        parts: list[Rows] = []
        start = 0
        while start < len(planned):
            end = min(start + self._ahead, len(planned)) if self._at_events else len(planned)
            resets = planned[start:end].copy()
            resets[0] |= self._due
            rows = step(slice(start, end), resets)
            taken = self._decide(rows[0], resets)
            parts.append(tuple(row[:taken] for row in rows))
            start += taken
        return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _decide(self, probabilities: npt.NDArray[np.float32], resets: npt.NDArray[np.bool_]) -> int:
        """Return how many of these frames hold: those up to the first at whose event's end the states go back."""
        taken, self._due = len(resets), False
        if self._decision is not None:
            for i, (row, reset) in enumerate(zip(probabilities, resets, strict=True)):
                if reset:
                    self._decision.reset()
                ended = self._decision.update(self.frames + i, row).events
                self.events.extend(ended)
                if ended and self._at_events:
                    taken, self._due = i + 1, True
                    break
        self.frames += taken
        self.resets += int(resets[:taken].sum())
        return taken
