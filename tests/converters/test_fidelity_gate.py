"""The gate between a conversion and its file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converters.fidelity import Gate
from runtime.errors import FidelityError
from runtime.spec import FidelitySpec

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
