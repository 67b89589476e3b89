from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.decision import Event
from runtime.errors import ConfigError, DatasetError
from runtime.spec import DecisionSpec
from toolkit.data.dataset import LabelledStream
from toolkit.evaluation.candidates import grid, tell_all
from toolkit.evaluation.events import largest_rate, within
from toolkit.evaluation.fitting import fit_decision
from toolkit.evaluation.streams import decide, score_on

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.evaluation.events import EventScore

LABELS = ("a", "b", "c")
FPS = 15.0


def drawn(seed: int, *, frames: int = 300, noise: float = 1.5) -> tuple[npt.NDArray[np.float32], LabelledStream]:
    """Segments of 5 to 40 frames, and probabilities that lean to what is right."""
    rng = np.random.default_rng(seed)
    labels: list[int] = []
    while len(labels) < frames:
        labels += [int(rng.integers(3))] * int(rng.integers(5, 41))
    truth = np.array(labels[:frames])
    walk = np.cumsum(rng.normal(0, 0.3, (frames, 3)), axis=0)
    logits = 2 * np.eye(3)[truth] + noise * (rng.normal(0, 1, (frames, 3)) + walk - walk.mean(axis=0))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    stream = LabelledStream(name="drawn", frames=np.zeros((frames, 1, 1, 1), np.uint8), labels=truth)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), stream


def segments(stream: LabelledStream) -> tuple[tuple[int, int, int], ...]:
    from toolkit.data.streams import segments_of

    return segments_of(stream)


def score(probabilities: npt.NDArray[np.float32], stream: LabelledStream, decision: DecisionSpec) -> EventScore:
    return score_on(decide(probabilities, LABELS, decision), stream, LABELS, fps=FPS, decision=decision)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), target=st.sampled_from([0.0, 100.0, 400.0, 1000.0]))
def test_a_fitted_decision_meets_its_target_on_its_own_stream_or_says_so(seed: int, target: float) -> None:
    probabilities, stream = drawn(seed)
    fitted = fit_decision(probabilities, segments(stream), fps=FPS, target_per_hour=target)
    reached = score(probabilities, stream, fitted.decision)
    assert fitted.met == (reached.false_alarms_per_hour <= target)
    assert reached.recall


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_lower_target_never_finds_more(seed: int) -> None:
    probabilities, stream = drawn(seed)
    recalls = []
    for target in (0.0, 60.0, 300.0, 900.0):
        fitted = fit_decision(probabilities, segments(stream), fps=FPS, target_per_hour=target)
        recalls.append(score(probabilities, stream, fitted.decision).recall or 0.0)
    assert recalls == sorted(recalls)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_many_decisions_at_once_tell_what_each_alone_tells(seed: int) -> None:
    probabilities, _ = drawn(seed, frames=120, noise=3)
    probabilities[7] = np.nan
    rng = np.random.default_rng(seed)
    resets, everything = rng.random(120) < 0.03, grid(FPS)
    specs = [everything[i] for i in rng.integers(len(everything), size=12).tolist()]
    told = tell_all(specs, probabilities, resets)
    for i, spec in enumerate(specs):
        mine = told.decision == i
        found = [
            Event(label=LABELS[label], start=start, end=end)
            for label, start, end in zip(
                told.label[mine].tolist(), told.start[mine].tolist(), told.end[mine].tolist(), strict=True
            )
        ]
        assert found == list(decide(probabilities, LABELS, spec, resets))


def test_none_in_the_grid_finds_more_within_the_target() -> None:
    probabilities, stream = drawn(5)
    target = 300.0
    best = score(
        probabilities, stream, fit_decision(probabilities, segments(stream), fps=FPS, target_per_hour=target).decision
    )
    assert best.recall is not None
    for spec in grid(FPS)[::97]:
        other = score(probabilities, stream, spec)
        assert other.recall is not None
        assert other.false_alarms_per_hour > target or other.recall <= best.recall


def test_of_decisions_that_find_as_many_the_soonest_is_taken() -> None:
    labels = np.repeat([0, 1, 0, 1], 20)
    probabilities = np.full((80, 2), 0.05, np.float32)
    probabilities[np.arange(80), labels] = 0.95
    runs = tuple((first, first + 19, first // 20 % 2) for first in range(0, 80, 20))
    decision = fit_decision(probabilities, runs, fps=FPS, target_per_hour=0).decision
    assert (decision.smoothing, decision.minimum_frames, decision.refractory_frames) == (1.0, 1, 0)


def test_a_fit_is_the_same_each_time() -> None:
    probabilities, stream = drawn(1)
    one, other = (fit_decision(probabilities, segments(stream), fps=FPS, target_per_hour=60) for _ in range(2))
    assert one == other


def test_a_model_that_finds_nothing_keeps_the_default() -> None:
    # always sure of what never is
    probabilities = np.tile(np.array([0, 0, 1], np.float32), (50, 1))
    fitted = fit_decision(probabilities, ((0, 24, 0), (25, 49, 1)), fps=FPS, target_per_hour=60)
    assert (fitted.decision, fitted.met) == (DecisionSpec(), False)


def test_where_none_meets_the_target_the_one_with_the_fewest_false_alarms_is_taken() -> None:
    # Nothing that finds the `a` of the second half leaves out the `b` of the first, which is as long and as sure.
    probabilities = np.eye(3, dtype=np.float32)[np.repeat([1, 0], 30)]
    fitted = fit_decision(probabilities, ((30, 59, 0),), fps=FPS, target_per_hour=0)
    assert fitted.met is False
    events = decide(probabilities, LABELS, fitted.decision)
    assert [event.label for event in events] == ["b", "a"]


def test_a_rate_of_exactly_the_target_keeps_to_it() -> None:
    for minutes in range(1, 200):
        assert within(minutes / (minutes * 900 / 15 / 3600), 60.0)
    assert not within(60.01, 60.0)


def test_a_stream_without_segments_fits_nothing() -> None:
    with pytest.raises(DatasetError, match="cannot be fitted on a stream without labels"):
        fit_decision(np.ones((3, 1), np.float32), (), fps=FPS, target_per_hour=1)


@pytest.mark.parametrize("target", [-1, float("nan"), float("inf")])
def test_a_target_is_a_rate(target: float) -> None:
    with pytest.raises(ConfigError, match=r"The target is .* must be a number of at least 0"):
        fit_decision(np.ones((3, 1), np.float32), ((0, 2, 0),), fps=FPS, target_per_hour=target)


def test_what_no_false_alarm_excludes_is_the_rule_of_three() -> None:
    rates = [largest_rate(count) for count in (0, 1, 10, 1000)]
    # scipy: half of chi2's quantile 0.95 of twice count + 1 degrees of freedom
    assert rates == pytest.approx([2.99573, 4.74386, 16.9622, 1053.6], rel=1e-4)


def test_what_comes_again_in_other_rounds_proves_nothing_anew() -> None:
    from dataclasses import replace

    probabilities, stream = drawn(2)
    once = score(probabilities, stream, DecisionSpec())
    thrice = replace(once, false_alarms=3 * once.false_alarms, hours=3 * once.hours, rounds=3.0)
    assert thrice.false_alarms_per_hour == pytest.approx(once.false_alarms_per_hour)
    assert thrice.false_alarms_per_hour_at_most == pytest.approx(once.false_alarms_per_hour_at_most)
