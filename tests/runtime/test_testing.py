"""The stand-ins keep the promises of what they stand in for: one suite for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.engine import Engine
from runtime.errors import FrameError
from runtime.testing import FakeStepper, make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.frame import Pixels


@pytest.fixture(params=["real", "fake"])
def stepper(request: pytest.FixtureRequest, golden: Path) -> Any:
    return FakeStepper(make_spec()) if request.param == "fake" else Engine.open(golden / "tiny.tflite").stepper()


def frames(stepper: Any, count: int = 6) -> list[Pixels]:
    shape = stepper.spec.input.shape[1:]
    # Shades from dark to bright, so that the states have something to remember.
    return [np.full(shape, 40 * number, np.uint8) for number in range(count)]


def roll(stepper: Any, pictures: list[Pixels]) -> list[list[float]]:
    return [stepper.step(picture).tolist() for picture in pictures]


def test_probabilities_are_floats_one_a_label_and_add_up_to_one(stepper: Any) -> None:
    for probabilities in map(stepper.step, frames(stepper)):
        assert (probabilities.dtype, probabilities.shape) == (np.float32, (len(stepper.spec.labels),))
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_probabilities_belong_to_the_caller(stepper: Any) -> None:
    first = stepper.step(frames(stepper)[0])
    kept = first.copy()
    stepper.step(frames(stepper)[-1])
    assert np.array_equal(first, kept)


def test_a_leading_one_changes_nothing(stepper: Any) -> None:
    plain = roll(stepper, frames(stepper))
    stepper.reset()
    assert roll(stepper, [picture[None] for picture in frames(stepper)]) == plain


def test_the_frames_before_matter(stepper: Any) -> None:
    last = roll(stepper, frames(stepper))[-1]
    stepper.reset()
    assert roll(stepper, frames(stepper)[-1:])[0] != last


def test_a_reset_begins_anew(stepper: Any) -> None:
    first = roll(stepper, frames(stepper))
    stepper.reset()
    assert roll(stepper, frames(stepper)) == first


def test_a_snapshot_goes_back_to_where_it_was_taken(stepper: Any) -> None:
    roll(stepper, frames(stepper)[:3])
    snapshot = stepper.snapshot()
    assert snapshot.keys() == {state.name for state in stepper.spec.states}
    rest = roll(stepper, frames(stepper)[3:])
    stepper.restore(snapshot)
    assert roll(stepper, frames(stepper)[3:]) == rest


def test_a_snapshot_of_another_model_is_refused_and_changes_nothing(stepper: Any) -> None:
    roll(stepper, frames(stepper)[:3])
    snapshot = stepper.snapshot()
    wrong_names: dict[str, Any] = {"other": np.zeros(1, np.float32)}
    wrong_shapes = {name: np.zeros((1, 77), np.float32) for name in snapshot}
    for wrong in ({}, wrong_names, wrong_shapes):
        with pytest.raises(FrameError, match=r"Restore one of the same model\.$"):
            stepper.restore(wrong)
    after = stepper.snapshot()
    assert all(np.array_equal(after[name], snapshot[name]) for name in snapshot)


@pytest.mark.parametrize("wrong", [np.zeros((9, 9, 1), np.uint8), "picture", None])
def test_a_frame_that_does_not_fit_is_refused_and_changes_nothing(stepper: Any, wrong: Any) -> None:
    roll(stepper, frames(stepper)[:3])
    snapshot = stepper.snapshot()
    with pytest.raises(FrameError, match=r"the model expects uint8 .*\. Pass it through Preprocessor first\.$"):
        stepper.step(wrong)
    with pytest.raises(FrameError):
        stepper.step(frames(stepper)[0].astype(np.float32))
    after = stepper.snapshot()
    assert all(np.array_equal(after[name], snapshot[name]) for name in snapshot)
