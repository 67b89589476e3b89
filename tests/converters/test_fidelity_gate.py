"""The gate between a conversion and its file."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from converters.fidelity import Gate
from runtime.errors import FidelityError
from runtime.spec import CalibrationSpec, FidelitySpec, InputSpec, Spec, StateDrift

TRUE = FidelitySpec(
    source="digits",
    frames=3000,
    agreement=0.995,
    agreement_first=0.99,
    agreement_last=0.992,
    rmse=0.01,
    accuracy=0.97,
    accuracy_reference=0.975,
)


def test_a_true_artifact_passes() -> None:
    Gate().check(TRUE)


def test_an_artifact_without_labels_is_judged_by_agreement_alone() -> None:
    Gate().check(replace(TRUE, accuracy=None, accuracy_reference=None))


def test_too_little_agreement_is_told_with_both_values() -> None:
    with pytest.raises(FidelityError) as caught:
        Gate().check(replace(TRUE, agreement=0.9))
    assert str(caught.value) == (
        "Agreement with the float model over 3000 frames is 0.9000, below 0.99. "
        "Take another --precision, or calibrate on more of what it will see."
    )


def test_drift_into_the_last_tenth_fails_although_the_whole_agrees() -> None:
    with pytest.raises(FidelityError, match=r"in the last tenth is 0\.5000"):
        Gate().check(replace(TRUE, agreement_last=0.5))


def test_a_fall_of_the_accuracy_fails() -> None:
    with pytest.raises(FidelityError, match=r"falls by 0\.0200, from 0\.9750 to 0\.9550, more than 0\.01"):
        Gate().check(replace(TRUE, accuracy=0.955))


def test_a_gain_of_accuracy_passes() -> None:
    Gate().check(replace(TRUE, accuracy=1.0))


def test_a_failed_gate_is_exit_status_3_and_carries_the_figures() -> None:
    with pytest.raises(FidelityError) as caught:
        Gate(min_agreement=1).check(TRUE)
    assert caught.value.exit_code == 3
    assert caught.value.report["agreement"] == 0.995


def spec_of(precision: Any, *, percentile: float = 97.0) -> Spec:
    """An artifact's spec with one calibrated state."""
    calibration = CalibrationSpec(source="digits", frames=300, percentile=percentile, state_ranges={"c": (-2.0, 3.0)})
    return Spec(
        name="net",
        input=InputSpec(height=6, width=6, channels=1, colour="gray"),
        fps=15.0,
        states=(),
        labels=("a", "b"),
        precision=precision,
        calibration=calibration if precision in ("int8", "mixed") else None,
        sha256="0" * 64,
    )


def drifting(first: float, last: float, lowest: float = -1.0, highest: float = 26.4) -> FidelitySpec:
    drift = StateDrift(lowest=lowest, highest=highest, outside_first=first, outside_last=last)
    other = StateDrift(lowest=0.0, highest=255.0)
    return replace(TRUE, states={"previous": other, "c": drift})


def test_the_line_tells_which_state_left_its_range_how_far_how_often_and_what_to_do() -> None:
    with pytest.raises(FidelityError) as caught:
        Gate().check(replace(drifting(0.06, 0.871), agreement_last=0.4312), spec=spec_of("int8"))
    assert str(caught.value) == (
        "Agreement with the float model over 3000 frames in the last tenth is 0.4312, below 0.99. State c left its "
        "calibrated range -2 to 3 on 87 % of the last tenth's frames (6 % of the first's) and went as far as 26.4. "
        "Calibrate on more of what it will see, bound it with framestep quantize, take another --precision, or train "
        "it with a reset policy."
    )


def test_a_state_that_leaves_below_is_told_as_such() -> None:
    with pytest.raises(FidelityError, match=r"and went as far as -9\."):
        Gate().check(drifting(0.0, 1.0, lowest=-9.0, highest=4.0), spec=spec_of("int8"))


def test_without_drift_the_line_says_so_and_names_another_precision() -> None:
    with pytest.raises(FidelityError) as caught:
        Gate().check(replace(drifting(0.06, 0.07), agreement=0.9), spec=spec_of("int8"))
    assert str(caught.value) == (
        "Agreement with the float model over 3000 frames is 0.9000, below 0.99. No state left its calibrated range. "
        "Bound it with framestep quantize, or take another --precision, such as mixed."
    )


def test_an_int8_state_that_is_mostly_outside_fails_although_the_answers_agree() -> None:
    with pytest.raises(FidelityError, match="do not fit into the artifact's ranges"):
        Gate().check(drifting(0.0, 0.6), spec=spec_of("int8"))


@pytest.mark.parametrize("precision", ["mixed", "dynamic", "float16", "float32"])
def test_a_float_state_may_go_where_it_likes(precision: str) -> None:
    Gate().check(drifting(0.0, 1.0), spec=spec_of(precision))


@pytest.mark.parametrize(
    ("percentile", "outside", "passes"), [(97.0, 0.52, True), (97.0, 0.54, False), (85.0, 0.6, True)]
)
def test_what_the_percentile_leaves_out_itself_is_no_drift(*, percentile: float, outside: float, passes: bool) -> None:
    with contextlib.nullcontext() if passes else pytest.raises(FidelityError):
        Gate().check(drifting(outside, outside), spec=spec_of("int8", percentile=percentile))


def test_confident_disagreements_are_counted_against_their_own_limit() -> None:
    found = replace(TRUE, confident_disagreements=2)
    Gate().check(found)
    Gate(max_confident_disagreements=2).check(found)
    with pytest.raises(FidelityError) as caught:
        Gate(max_confident_disagreements=1).check(found, spec=spec_of("dynamic"))
    assert str(caught.value) == (
        "It differs from the float model on 2 of 3000 frames of which that was sure by more than 0.2; at most 1 may. "
        "Bound it with framestep quantize, or take another --precision, such as float16."
    )


def test_a_float32_artifact_that_differs_is_another_models() -> None:
    with pytest.raises(FidelityError, match="compare it with the very model that it was converted from"):
        Gate().check(replace(TRUE, agreement=0.4), spec=spec_of("float32"))
