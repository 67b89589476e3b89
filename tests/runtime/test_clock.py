"""The frame clock: which frame serves which tick."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import FrameClock, Tick
from runtime.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def frames_at(times_s: Sequence[float]) -> list[Frame]:
    return [Frame(picture=None, time_s=time_s, index=index) for index, time_s in enumerate(times_s)]


def steady(rate: float, count: int, *, start_s: float = 0.0) -> list[float]:
    return [start_s + index / rate for index in range(count)]


def jittered(rate: float, count: int, periods: float) -> list[float]:
    dice = np.random.default_rng(1)
    return [(index + dice.uniform(-periods, periods)) / rate for index in range(count)]


def ticks(clock: FrameClock, times_s: Sequence[float]) -> list[Tick]:
    return list(clock.select(frames_at(times_s)))


def indices(source_fps: float, fps: float, count: int) -> list[int]:
    return [tick.index for tick in ticks(FrameClock(fps), steady(source_fps, count))]


def test_thirty_to_fifteen_takes_every_second_frame() -> None:
    assert indices(30, 15, 9) == [0, 2, 4, 6, 8]


def test_ten_to_fifteen_repeats_every_second_frame() -> None:
    assert indices(10, 15, 7) == [0, 1, 1, 2, 3, 3, 4, 5, 5, 6]


def test_equal_rates_take_every_frame_once() -> None:
    assert indices(15, 15, 2000) == list(range(2000))


@pytest.mark.parametrize(("source_fps", "fps"), [(24, 15), (25, 15), (15, 10), (60, 15), (29.97, 15)])
def test_a_faster_source_never_leaves_a_tick_empty(source_fps: float, fps: float) -> None:
    clock = FrameClock(fps)
    served = ticks(clock, steady(source_fps, 1000))
    assert clock.repeated == 0
    assert abs(len(served) - 1000 * fps / source_fps) <= 1


@pytest.mark.parametrize("rate", [14.9, 15.0, 15.1])
def test_a_jittering_source_of_about_the_models_rate_only_slips_as_often_as_the_rates_differ(rate: float) -> None:
    clock = FrameClock(15)
    served = ticks(clock, jittered(rate, 3000, 0.2))
    assert clock.dropped + clock.repeated <= abs(3000 - 3000 * 15 / rate) + 1
    assert abs(len(served) - 3000 * 15 / rate) <= 1


def test_jitter_of_a_fifth_of_a_period_costs_less_than_a_frame_in_fifty() -> None:
    dice = np.random.default_rng(2)
    clock = FrameClock(15)
    ticks(clock, [(index + dice.normal(0, 0.2)) / 15 for index in range(3000)])
    assert clock.dropped + clock.repeated < 60


def test_a_jittering_source_of_twice_the_rate_still_gives_every_second_frame() -> None:
    served = ticks(FrameClock(15), jittered(30, 3000, 0.2))
    assert [tick.index for tick in served] == list(range(0, 3000, 2))


def test_a_variable_rate_film_is_held_where_it_is_slow_and_thinned_where_it_is_fast() -> None:
    times_s = [0.0, 0.1, 0.2, 0.5, 0.52, 0.54, 0.56, 0.6]
    assert [tick.index for tick in ticks(FrameClock(10), times_s)] == [0, 1, 2, 2, 2, 3, 5]


def test_hours_bring_no_drift() -> None:
    hours_s = 2 * 3600
    clock = FrameClock(5)
    served = ticks(clock, steady(10, 10 * hours_s))
    assert len(served) == 5 * hours_s
    assert (clock.dropped, clock.repeated, clock.gaps) == (5 * hours_s, 0, 0)


def test_a_rate_that_is_no_round_number_brings_no_drift() -> None:
    served = ticks(FrameClock(15), steady(30000 / 1001, 100_000))
    assert abs(len(served) - 100_000 * 1001 / 30000 * 15) <= 1


def test_a_pause_longer_than_the_limit_is_a_gap_without_repeats() -> None:
    clock = FrameClock(10, gap_s=1.0)
    served = ticks(clock, [*steady(10, 5), *steady(10, 5, start_s=60.03)])
    assert [tick.index for tick in served] == list(range(10))
    assert [tick.index for tick in served if tick.gap] == [5]
    assert (clock.gaps, clock.repeated, clock.dropped) == (1, 0, 0)


def test_a_pause_within_the_limit_is_filled_with_the_frame_before_it() -> None:
    clock = FrameClock(10, gap_s=1.0)
    served = ticks(clock, [0.0, 0.1, 0.6])
    assert [(tick.index, tick.repeated) for tick in served] == [
        (0, False),
        (1, False),
        (1, True),
        (1, True),
        (1, True),
        (1, True),
        (2, False),
    ]
    assert clock.repeated == 4


def test_the_first_frame_is_no_gap_whatever_its_time() -> None:
    assert [tick.gap for tick in ticks(FrameClock(10), [1e6, 1e6 + 0.1])] == [False, False]


def test_time_that_stands_still_or_runs_backwards_is_dropped_and_counted() -> None:
    clock = FrameClock(10)
    served = ticks(clock, [0.0, 0.1, 0.1, 0.05, float("nan"), 0.2])
    assert [tick.index for tick in served] == [0, 1, 5]
    assert clock.dropped == 3


def test_a_tick_is_given_before_the_next_frame_is_asked_for() -> None:
    asked = []

    def source() -> Iterator[Frame]:
        for frame in frames_at(steady(15, 3)):
            asked.append(frame.index)
            yield frame

    for tick in FrameClock(15).select(source()):
        assert asked[-1] == tick.index


rates = st.floats(2, 120)
times = st.lists(st.floats(1e-4, 0.9), min_size=1, max_size=200).map(
    lambda pauses: [sum(pauses[:count]) for count in range(len(pauses) + 1)]
)


@given(times, rates)
def test_ticks_are_as_many_as_the_time_asks_for(times_s: list[float], fps: float) -> None:
    served = ticks(FrameClock(fps), times_s)
    assert abs(len(served) - 1 - times_s[-1] * fps) <= 1.5


@given(times, rates)
def test_frames_are_served_in_their_order_and_counted_from_nought(times_s: list[float], fps: float) -> None:
    served = ticks(FrameClock(fps), times_s)
    assert [tick.number for tick in served] == list(range(len(served)))
    for before, after in pairwise(served):
        assert after.index == before.index if after.repeated else after.index > before.index


@given(times, rates)
def test_every_frame_is_served_or_dropped_and_every_extra_tick_is_a_repeat(times_s: list[float], fps: float) -> None:
    clock = FrameClock(fps)
    served = ticks(clock, times_s)
    assert clock.frames == len(times_s)
    assert len(served) == clock.frames - clock.dropped + clock.repeated
    assert clock.repeated == sum(tick.repeated for tick in served)


@given(times, rates)
def test_a_frame_serves_a_tick_within_one_period_of_its_time(times_s: list[float], fps: float) -> None:
    for tick in ticks(FrameClock(fps), times_s):
        if not tick.repeated:
            assert -0.75 - 1e-6 <= tick.frame.time_s * fps - tick.number <= 1 + 1e-6


@given(st.floats(1, 60), st.floats(1, 60), st.floats(-1e6, 1e6))
def test_the_hour_at_which_a_stream_starts_changes_nothing(source_fps: float, fps: float, start_s: float) -> None:
    # Binary fractions, so that the start adds no rounding.
    period_s, start_s = round(1024 / source_fps) / 1024, round(start_s)
    early = ticks(FrameClock(fps, 2.0), [period_s * index for index in range(50)])
    late = ticks(FrameClock(fps, 2.0), [start_s + period_s * index for index in range(50)])
    assert [tick.index for tick in early] == [tick.index for tick in late]
