"""Where a stream's states go back, of each side of a comparison by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.resets import Walk, resets_of
from runtime.decision import Decision
from runtime.spec import DecisionSpec, ResetSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from converters.resets import Rows

LABELS = ("a", "b")
DECISION = DecisionSpec(smoothing=0.5, on=0.6, off=0.5, minimum_frames=2)


class Leaky:
    """A model with one state: a running sum of its frames, which tells between two classes."""

    def __init__(self) -> None:
        self.state = 0.0
        self.stepped = 0

    def step(self, frames: npt.NDArray[np.float64], resets: npt.NDArray[np.bool_]) -> Rows:
        rows = []
        for frame, reset in zip(frames, resets, strict=True):
            self.state = float(frame) + (0.0 if reset else 0.7 * self.state)
            self.stepped += 1
            p = 1 / (1 + np.exp(-self.state))
            rows.append((p, 1 - p, self.state, float(reset)))
        table = np.array(rows, np.float32)
        return table[:, :2], table[:, 2:]


def walked(
    frames: npt.NDArray[np.float64], policy: ResetSpec, *, size: int, ahead: int
) -> tuple[npt.NDArray[np.float32], Walk]:
    model, walk = Leaky(), Walk(policy, Decision(DECISION, LABELS), ahead=ahead)
    parts = []
    for start in range(0, len(frames), size):
        chunk = frames[start : start + size]
        planned = resets_of(policy, walk.frames, len(chunk))

        def step(part: slice, resets: npt.NDArray[np.bool_], chunk: npt.NDArray[np.float64] = chunk) -> Rows:
            return model.step(chunk[part], resets)

        parts.append(np.concatenate(walk.along(planned, step), axis=1))
    return np.concatenate(parts), walk


def as_the_device_does(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The loop of the runtime: reset after the frame that ended an event."""
    model, decision = Leaky(), Decision(DECISION, LABELS)
    rows, due = [], False
    for index, frame in enumerate(frames):
        if due:
            decision.reset()
        answer = np.concatenate(model.step(np.array([frame]), np.array([due])), axis=1)[0]
        due = bool(decision.update(index, answer[:2]).events)
        rows.append(answer)
    return np.array(rows)


some_frames = st.lists(st.floats(-3, 3), min_size=1, max_size=80).map(np.array)


@pytest.mark.parametrize("policy", ["never", "gap", "event"])
def test_a_stream_without_gaps_has_no_reset_that_is_known_beforehand(policy: str) -> None:
    reset = ResetSpec(policy=policy)  # type: ignore[arg-type]  # parametrised over the literals
    assert not resets_of(reset, 0, 50).any()


def test_every_n_frames_resets_before_each_nth_whatever_the_chunks() -> None:
    reset = ResetSpec(policy="every", every_frames=7)
    whole = resets_of(reset, 0, 50)
    parts = np.concatenate([resets_of(reset, 0, 20), resets_of(reset, 20, 30)])
    np.testing.assert_array_equal(whole, parts)
    assert np.flatnonzero(whole).tolist() == [7, 14, 21, 28, 35, 42, 49]


@given(frames=some_frames, size=st.integers(1, 40), ahead=st.integers(1, 40))
def test_an_events_end_resets_as_on_the_device_however_far_ahead_it_steps(
    frames: npt.NDArray[np.float64], size: int, ahead: int
) -> None:
    rows, walk = walked(frames, ResetSpec(policy="event"), size=size, ahead=ahead)
    expected = as_the_device_does(frames)
    np.testing.assert_array_equal(rows, expected)
    assert walk.resets == expected[:, 3].sum()
    assert walk.frames == len(frames)


def test_the_law_of_events_is_put_to_the_test_by_streams_that_have_some() -> None:
    waves = np.tile([2.0] * 8 + [-2.0] * 8, 6)
    _, walk = walked(waves, ResetSpec(policy="event"), size=25, ahead=8)
    assert walk.resets > 5
    assert {event.label for event in walk.events} == {"a", "b"}


@given(frames=some_frames, size=st.integers(1, 40))
def test_events_do_not_reset_where_the_policy_is_another(frames: npt.NDArray[np.float64], size: int) -> None:
    rows, walk = walked(frames, ResetSpec(policy="gap"), size=size, ahead=1)
    assert walk.resets == 0
    (answers, _) = Leaky().step(frames, np.zeros(len(frames), np.bool_))
    np.testing.assert_array_equal(rows[:, :2], answers)


def test_stepping_ahead_wastes_no_more_than_it_steps_ahead() -> None:
    model, walk = Leaky(), Walk(ResetSpec(policy="event"), Decision(DECISION, LABELS), ahead=4)
    waves = np.tile([2.0] * 8 + [-2.0] * 8, 6)
    walk.along(np.zeros(len(waves), np.bool_), lambda part, resets: model.step(waves[part], resets))
    assert model.stepped <= len(waves) + 3 * walk.resets
