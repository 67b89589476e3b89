"""From probabilities to events."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.decision import Decision, Event
from runtime.spec import DecisionSpec

LABELS = ("rest", "wave", "point")


def decide(stream: list[str], spec: DecisionSpec) -> tuple[list[str | None], list[Event]]:
    """Feed a stream of certain labels, `.` being certain of nothing."""
    decision = Decision(spec, LABELS)
    labels: list[str | None] = []
    events: list[Event] = []
    for index, name in enumerate(stream):
        verdict = decision.update(index, certain(name))
        labels.append(verdict.label)
        events += verdict.events
    return labels, events + list(decision.finish())


def certain(name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array([1 / 3 if name == "." else float(label == name) for label in LABELS], np.float32)


def rules(*, smoothing: float = 1.0, minimum: int = 1, refractory: int = 0) -> DecisionSpec:
    return DecisionSpec(smoothing=smoothing, on=0.6, off=0.4, minimum_frames=minimum, refractory_frames=refractory)


def test_an_event_has_its_first_and_its_last_frame() -> None:
    labels, events = decide([".", "wave", "wave", "wave", "."], rules())
    assert labels == [None, "wave", "wave", "wave", None]
    assert events == [Event(label="wave", start=1, end=3)]


def test_an_event_that_is_open_at_the_end_is_told_by_finish() -> None:
    assert decide(["wave", "wave"], rules())[1] == [Event(label="wave", start=0, end=1)]


def test_an_event_starts_at_on_and_ends_under_off() -> None:
    decision = Decision(rules(), ("a", "b"))
    shares = [0.59, 0.60, 0.41, 0.40, 0.39]
    held = [decision.update(i, np.array([share, 0.0], np.float64)).label for i, share in enumerate(shares)]
    assert held == [None, "a", "a", "a", None]


def test_another_label_that_reaches_on_takes_over() -> None:
    labels, events = decide(["wave", "wave", "point", "point"], rules())
    assert labels == ["wave", "wave", "point", "point"]
    assert events == [Event(label="wave", start=0, end=1), Event(label="point", start=2, end=3)]


def test_what_is_too_short_is_never_told() -> None:
    labels, events = decide([".", "wave", "wave", ".", "."], rules(minimum=3))
    assert labels == [None] * 5
    assert events == []


def test_a_label_is_held_back_until_it_has_lasted() -> None:
    labels, events = decide(["wave"] * 4, rules(minimum=3))
    assert labels == [None, None, "wave", "wave"]
    assert events == [Event(label="wave", start=0, end=3)]


def test_after_an_event_its_label_rests_and_others_do_not() -> None:
    labels, _ = decide(["wave", ".", "wave", "wave", "wave", "."], rules(refractory=2))
    assert labels == ["wave", None, None, "wave", "wave", None]
    assert decide(["wave", ".", "point"], rules(refractory=2))[0] == ["wave", None, "point"]


def test_smoothing_is_a_running_mean_that_starts_at_the_first_frame() -> None:
    labels, _ = decide(["wave", ".", ".", ".", "."], rules(smoothing=0.5))
    # 1, 2/3, 1/2, 5/12, 3/8 against off = 0.4
    assert labels == ["wave", "wave", "wave", "wave", None]


def test_a_single_odd_frame_is_smoothed_away() -> None:
    _, events = decide(["wave"] * 10 + ["point"] + ["wave"] * 10, rules(smoothing=0.3))
    assert events == [Event(label="wave", start=0, end=20)]


def test_a_reset_forgets_the_mean_and_keeps_the_event() -> None:
    decision = Decision(rules(smoothing=0.1), LABELS)
    for index in range(20):
        decision.update(index, certain("wave"))
    decision.reset()
    verdict = decision.update(20, certain("point"))
    assert verdict.events == (Event(label="wave", start=0, end=19),)
    assert verdict.label == "point"


def test_finish_twice_tells_an_event_once() -> None:
    decision = Decision(rules(), LABELS)
    decision.update(0, certain("wave"))
    assert len(decision.finish()) == 1
    assert decision.finish() == ()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_holds_nothing_up_and_is_forgotten(broken: float) -> None:
    decision = Decision(rules(smoothing=0.5), LABELS)
    assert decision.update(0, np.full(3, broken, np.float32)).label is None
    for index in range(1, 6):
        label = decision.update(index, certain("wave")).label
    assert label == "wave"


def test_the_callers_probabilities_are_left_alone() -> None:
    decision = Decision(rules(smoothing=0.5), LABELS)
    given_ = np.array([1.0, 0.0, 0.0])
    decision.update(0, given_)
    decision.update(1, np.array([0.0, 1.0, 0.0]))
    assert given_.tolist() == [1.0, 0.0, 0.0]


@given(
    st.lists(st.sampled_from([*LABELS, "."]), max_size=60),
    st.sampled_from([0.2, 0.5, 1.0]),
    st.integers(1, 5),
    st.integers(0, 6),
)
def test_events_never_overlap_and_keep_their_rules(
    stream: list[str], smoothing: float, minimum: int, refractory: int
) -> None:
    labels, events = decide(stream, rules(smoothing=smoothing, minimum=minimum, refractory=refractory))
    for event in events:
        assert event.end - event.start + 1 >= minimum
        assert labels[event.start + minimum - 1 : event.end + 1] == [event.label] * (
            event.end - event.start + 2 - minimum
        )
    for before, after in pairwise(events):
        assert after.start > before.end
        if after.label == before.label:
            assert after.start - before.end > refractory
    assert sum(label is not None for label in labels) == sum(event.end - event.start + 2 - minimum for event in events)
