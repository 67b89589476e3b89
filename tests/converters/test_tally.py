"""The figures of a comparison, counted chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.stream import NO_LABEL
from converters.tally import CONFIDENT_MARGIN, Tally

if TYPE_CHECKING:
    import numpy.typing as npt

    from runtime.spec import FidelitySpec

RANGES = {"h": (-1.0, 1.0)}
FRAMES = 57


def drawn(seed: int) -> tuple[npt.NDArray[Any], ...]:
    """Answers, reference, lowest and highest of two states, and truth."""
    rng = np.random.default_rng(seed)
    reference = rng.dirichlet([0.5] * 3, FRAMES).astype(np.float32)
    answers = (0.6 * reference + 0.4 * rng.dirichlet([0.5] * 3, FRAMES)).astype(np.float32)
    lowest, highest = np.sort(rng.normal(scale=0.8, size=(2, FRAMES, 2)), axis=0).astype(np.float32)
    return answers, reference, lowest, highest, rng.integers(-1, 3, FRAMES)


def counted(seed: int, size: int) -> FidelitySpec:
    answers, reference, lowest, highest, truth = drawn(seed)
    tally = Tally(FRAMES, ["h", "c"], RANGES)
    for start in range(0, FRAMES, size):
        part = slice(start, start + size)
        tally.add(answers[part], (reference[part], lowest[part], highest[part]), truth[part])
    return tally.result("a stream")


@given(seed=st.integers(0, 1000), size=st.integers(1, 60))
def test_the_figures_are_those_of_the_whole_stream_whatever_the_chunks(seed: int, size: int) -> None:
    found = counted(seed, size)
    answers, reference, lowest, highest, truth = drawn(seed)
    same = answers.argmax(1) == reference.argmax(1)
    known = truth != NO_LABEL
    best = np.sort(reference, axis=1)
    outside = (lowest[:, 0] < -1 - 2 / 255) | (highest[:, 0] > 1 + 2 / 255)
    assert found.agreement == same.mean()
    assert (found.agreement_first, found.agreement_last) == (same[:5].mean(), same[-5:].mean())
    assert found.confident_disagreements == (~same & (best[:, -1] - best[:, -2] > CONFIDENT_MARGIN)).sum()
    assert found.rmse == pytest.approx(np.sqrt(((answers - reference) ** 2).mean()), rel=1e-5)
    assert found.accuracy == pytest.approx((answers.argmax(1) == truth)[known].mean())
    assert found.accuracy_reference == pytest.approx((reference.argmax(1) == truth)[known].mean())
    h, c = found.states["h"], found.states["c"]
    assert (h.outside_first, h.outside_last) == (outside[:5].mean(), outside[-5:].mean())
    assert (h.lowest, h.highest) == (lowest[:, 0].min(), highest[:, 0].max())
    assert (c.lowest, c.highest) == (lowest[:, 1].min(), highest[:, 1].max())


def test_a_state_that_was_not_calibrated_is_neither_in_nor_out() -> None:
    assert counted(0, 10).states["c"].outside_last is None


def test_one_eight_bit_step_beyond_its_range_is_still_within() -> None:
    tally = Tally(10, ["h"], {"h": (-1.0, 1.0)})
    edge = np.full((10, 1), 1 + 1.9 / 255, np.float32)
    same = np.tile([0.9, 0.1], (10, 1)).astype(np.float32)
    tally.add(same, (same, -edge, edge), np.full(10, NO_LABEL))
    assert tally.result("a stream").states["h"].outside_last == 0


def test_an_answer_that_is_no_number_agrees_with_nothing_and_is_no_accident_of_the_report() -> None:
    tally = Tally(10, [], {})
    reference = np.tile([0.9, 0.1], (10, 1)).astype(np.float32)
    answers = reference.copy()
    answers[3] = np.nan
    nothing = np.zeros((10, 0), np.float32)
    tally.add(answers, (reference, nothing, nothing), np.zeros(10, np.int64))
    found = tally.result("a stream")
    assert (found.agreement, found.confident_disagreements, found.accuracy) == (0.9, 1, 0.9)
    assert np.isfinite(found.rmse)


def test_without_labels_there_is_no_accuracy() -> None:
    tally = Tally(10, [], {})
    reference, nothing = np.tile([0.9, 0.1], (10, 1)).astype(np.float32), np.zeros((10, 0), np.float32)
    tally.add(reference, (reference, nothing, nothing), np.full(10, NO_LABEL))
    found = tally.result("a stream")
    assert (found.accuracy, found.accuracy_reference) == (None, None)
