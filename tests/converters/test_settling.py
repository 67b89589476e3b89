"""When a range has settled, and how many frames it takes: laws over made-up processes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.settling import ENOUGH_FRAMES, LEAST_FRAMES, TOLERANCE, drifts, rounded_up, settling_of

Values = npt.NDArray[np.float32]

SEEDS = st.integers(0, 2**32 - 1)


def remembering(frames: int, memory: float, seed: int, units: int = 4) -> tuple[Values, Values]:
    """Lowest and highest of units that forget exponentially, all starting at zero: a cell's state."""
    rng = np.random.default_rng(seed)
    keep = float(np.exp(-1 / memory))
    noise = rng.normal(size=(frames, units)) * np.sqrt(1 - keep**2)
    values = np.zeros((frames, units))
    state = np.zeros(units)
    for i in range(frames):
        state = keep * state + noise[i]
        values[i] = state
    return values.min(1).astype(np.float32), values.max(1).astype(np.float32)


@given(memory=st.floats(0.1, 8), seed=SEEDS, units=st.integers(1, 8))
@settings(max_examples=25)
def test_a_stationary_process_with_a_short_memory_settles_in_what_calibration_looks_at_first(
    memory: float, seed: int, units: int
) -> None:
    found = settling_of(*remembering(ENOUGH_FRAMES, memory, seed, units))
    assert found.settled is not None
    assert found.settled <= ENOUGH_FRAMES / 2
    assert found.needed is None


@given(frames=st.integers(16, 400), share=st.floats(0, 1), seed=SEEDS, units=st.integers(1, 8))
@settings(max_examples=60)
def test_what_a_stationary_process_is_said_to_need_is_enough(frames: int, share: float, seed: int, units: int) -> None:
    memory = 0.1 + share * frames / 8
    found = settling_of(*remembering(frames, memory, seed, units))
    if found.settled is None:
        assert found.needed is not None
        assert settling_of(*remembering(found.needed, memory, seed + 1, units)).settled is not None


@given(slope=st.floats(0.01, 10), noise=st.floats(0, 1), seed=SEEDS, frames=st.integers(1100, 5000), down=st.booleans())
@settings(max_examples=50)
def test_what_grows_linearly_never_settles_and_no_number_is_enough(
    slope: float, noise: float, seed: int, frames: int, *, down: bool
) -> None:
    rng = np.random.default_rng(seed)
    high = (slope * np.arange(frames) + noise * rng.normal(size=frames)).astype(np.float32)
    low = np.zeros(frames, np.float32)
    found = settling_of(-high, low) if down else settling_of(low, high)
    assert (found.settled, found.needed) == (None, None)


@given(memory=st.floats(0.1, 100), seed=SEEDS)
@settings(max_examples=25)
def test_a_stationary_process_is_no_drift(memory: float, seed: int) -> None:
    low, high = remembering(2000, memory, seed)
    assert not drifts(high)
    assert not drifts(-low)


@given(seed=SEEDS, place=st.floats(0.2, 0.8), rise=st.floats(1, 100))
@settings(max_examples=25)
def test_a_stream_whose_second_part_shows_something_else_is_no_drift(seed: int, place: float, rise: float) -> None:
    values = np.random.default_rng(seed).uniform(size=4000).astype(np.float32)
    values[int(place * 4000) :] += rise
    assert not drifts(values)


def test_the_first_frames_after_a_start_are_no_drift() -> None:
    assert not drifts((1 - np.exp(-np.arange(2000) / 300)).astype(np.float32))


@given(shrink=st.floats(0, 1), seed=SEEDS)
@settings(max_examples=25)
def test_a_range_that_shrinks_holds_what_comes(shrink: float, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(size=1000).astype(np.float32)
    values[500:] *= 1 - shrink
    assert settling_of(-values, values).settled is not None


def test_a_state_that_never_moves_has_settled() -> None:
    still = np.zeros(LEAST_FRAMES, np.float32)
    assert settling_of(still, still).settled == LEAST_FRAMES // 16


@pytest.mark.parametrize("frames", [1, 2, LEAST_FRAMES - 1])
def test_too_few_frames_say_nothing_and_some_are_asked_for(frames: int) -> None:
    still = np.ones(frames, np.float32)
    found = settling_of(-still, still)
    assert found.settled is None
    assert found.needed is not None
    assert found.needed >= ENOUGH_FRAMES


def test_a_range_has_settled_where_growing_by_a_tenth_begins() -> None:
    high = np.ones(1600, np.float32)
    high[:700] = 1 - TOLERANCE - 0.05
    found = settling_of(np.zeros(1600, np.float32), high)
    assert (found.settled, found.before[1], found.after[1]) == (800, 1.0, 1.0)


def test_a_range_that_grows_in_the_second_half_tells_then_and_now() -> None:
    high = np.ones(1600, np.float32)
    high[900:] = 2
    found = settling_of(np.zeros(1600, np.float32), high)
    assert found.settled is None
    assert (found.before, found.after) == ((0.0, 1.0), (0.0, 2.0))


@given(frames=st.floats(1, 1e7))
def test_a_number_for_people_is_rounded_up_to_two_digits(frames: float) -> None:
    rounded = rounded_up(frames)
    assert frames <= rounded <= 1.1 * frames + 1
    assert len(str(rounded).rstrip("0")) <= 2
