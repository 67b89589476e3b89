"""The state machine of a live source, without a camera and without a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sources.freshness import OLDEST_S, Freshness
from runtime.sources.watch import Change, Patience, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence


def watch(*, draw: float = 0.5, tell: list[Change] | None = None, patience: Patience | None = None) -> Watch:
    changes: list[Change] = [] if tell is None else tell
    return Watch(fps=15.0, now_s=0.0, patience=patience, draw=lambda: draw, tell=changes.append)


def test_the_first_picture_makes_it_live() -> None:
    machine = watch()
    assert machine.state == "connecting"
    machine.picture(3.0)
    assert (machine.state, machine.deadline_s) == ("live", 5.0)


def test_silence_makes_it_stalled_and_then_it_waits_for_its_reader_to_end() -> None:
    changes: list[Change] = []
    machine = watch(tell=changes)
    machine.picture(1.0)
    machine.expire(2.9)
    assert [change.state for change in changes] == ["live"]
    machine.expire(3.0)
    machine.expire(1e9)
    assert [change.state for change in changes] == ["live", "stalled"]
    machine.ended(4.0)
    assert machine.deadline_s == 5.0
    machine.expire(5.0)
    assert [change.state for change in changes] == ["live", "stalled", "backing off", "connecting"]


def test_a_slow_model_stalls_after_ten_frame_periods() -> None:
    machine = Watch(fps=0.5, now_s=0.0)
    machine.picture(0.0)
    assert machine.deadline_s == 20.0


def test_pauses_double_up_to_the_longest_and_are_forgotten_after_health() -> None:
    changes: list[Change] = []
    machine, now_s = watch(tell=changes), 0.0
    for _ in range(7):
        machine.fail(now_s, "no")
        now_s = machine.deadline_s
        machine.expire(now_s)
    assert [change.wait_s for change in changes if change.wait_s] == [1, 2, 4, 8, 16, 30, 30]
    machine.picture(now_s)
    machine.picture(now_s + 59)
    machine.fail(now_s + 59, "no")
    assert changes[-1].wait_s == 30
    machine.expire(now_s := machine.deadline_s)
    machine.picture(now_s)
    machine.picture(now_s + 60)
    machine.fail(now_s + 60, "no")
    assert changes[-1].wait_s == 1


@pytest.mark.parametrize(("draw", "wait_s"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_a_pause_is_drawn_a_fifth_longer_or_shorter(draw: float, wait_s: float) -> None:
    changes: list[Change] = []
    watch(draw=draw, tell=changes).fail(0.0, "no")
    assert changes[0].wait_s == pytest.approx(wait_s)


def test_a_device_that_came_back_ends_the_pause() -> None:
    machine = watch()
    machine.fail(0.0, "unplugged")
    machine.came_back(0.1)
    machine.expire(0.1)
    assert machine.state == "connecting"


@given(st.lists(st.tuples(st.sampled_from("pfec"), st.floats(0, 40)), max_size=60))
def test_whatever_happens_it_never_waits_longer_than_its_longest_pause(events: Sequence[tuple[str, float]]) -> None:
    machine, now_s = watch(draw=1.0), 0.0
    for kind, pause_s in events:
        now_s += pause_s
        machine.expire(now_s)
        match kind:
            case "p":
                machine.picture(now_s)
            case "f":
                machine.fail(now_s, "no")
            case "e":
                machine.ended(now_s)
            case _:
                machine.came_back(now_s)
        longest_s = {"backing off": 36.0, "connecting": 15.0, "live": 2.0, "stalled": 2.0}[machine.state]
        assert machine.deadline_s <= now_s + longest_s


@given(st.lists(st.floats(0.001, 5.0), min_size=1, max_size=50), st.floats(-1e6, 1e6))
def test_pictures_that_arrive_at_their_pace_are_fresh_whatever_the_senders_clock_says(
    spacings: Sequence[float], offset_s: float
) -> None:
    freshness, now_s = Freshness(), 100.0
    for spacing in spacings:
        now_s += spacing
        assert freshness.captured_s(now_s + offset_s, now_s) == pytest.approx(now_s, abs=1e-6)
    assert freshness.stale == 0


def test_a_picture_that_waited_in_a_queue_is_taken_for_when_it_was_made() -> None:
    freshness = Freshness()
    assert freshness.captured_s(0.0, 100.0) == 100.0
    assert freshness.captured_s(0.1, 100.6) == pytest.approx(100.1)


def test_a_picture_older_than_a_second_is_stale() -> None:
    freshness = Freshness()
    freshness.captured_s(0.0, 100.0)
    assert freshness.captured_s(0.1, 100.1 + OLDEST_S + 0.01) is None
    assert freshness.captured_s(0.2, 100.2 + OLDEST_S - 0.01) is not None
    assert freshness.stale == 1


def test_a_picture_that_was_presented_before_is_stale() -> None:
    freshness = Freshness()
    freshness.captured_s(5.0, 100.0)
    assert freshness.captured_s(5.0, 100.1) is None
    assert freshness.captured_s(4.9, 100.2) is None


def test_a_senders_clock_that_is_set_back_begins_anew() -> None:
    freshness = Freshness()
    freshness.captured_s(5000.0, 100.0)
    assert freshness.captured_s(0.0, 100.1) == pytest.approx(100.1)


def test_pictures_without_times_count_as_they_arrive() -> None:
    assert Freshness().captured_s(None, 7.0) == 7.0
