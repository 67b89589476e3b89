"""Stage times."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runtime.latency import Durations, StageTimes


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_one_percent(times_ns: list[int], fraction: float) -> None:
    durations = Durations()
    for time_ns in times_ns:
        durations.add(time_ns)
    exact = float(np.quantile(times_ns, fraction, method="inverted_cdf"))
    assert abs(durations.quantile_ns(fraction) - exact) <= 0.01 * exact


@given(st.lists(st.integers(0, 10**12), max_size=200), st.integers(0, 10**12))
def test_how_many_are_at_most_so_long_is_within_one_percent(times_ns: list[int], bound_ns: int) -> None:
    durations = Durations()
    for time_ns in times_ns:
        durations.add(time_ns)
    (counted,) = durations.at_most([bound_ns])
    assert sum(each <= 0.99 * bound_ns for each in times_ns) <= counted
    assert counted <= sum(each <= 1.01 * bound_ns for each in times_ns)
    assert durations.total_ns == sum(times_ns)


def test_memory_stays_bounded_however_many_durations_there_are() -> None:
    durations = Durations()
    for time_ns in range(0, 10**9, 2000):
        durations.add(time_ns)
    assert durations.count == 500_000
    assert len(durations._counts) < 2000


def test_nothing_measured_is_no_number() -> None:
    assert math.isnan(Durations().quantile_ns(0.5))


def test_a_clock_that_ran_backwards_counts_as_no_time() -> None:
    durations = Durations()
    durations.add(-5)
    assert durations.quantile_ns(0.5) == 0


def test_each_stage_gets_the_time_since_the_stage_before() -> None:
    readings = iter([0, 1_000_000, 1_010_000, 1_040_000, 2_000_000, 2_030_000, 2_080_000])
    times = StageTimes(clock_ns=lambda: next(readings))
    times.start()  # the time before it belongs to none
    times.lap("decode")
    times.lap("step")
    times.start()
    times.lap("decode")
    times.lap("step")
    summary = times.summary()
    assert list(summary) == ["decode", "step"]
    assert [summary["decode"].count, summary["step"].count] == [2, 2]
    assert math.isclose(summary["decode"].p50, 10, rel_tol=0.01)
    assert math.isclose(summary["decode"].p99, 30, rel_tol=0.01)
    assert math.isclose(summary["step"].p99, 50, rel_tol=0.01)
