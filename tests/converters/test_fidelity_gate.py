"""The gate between a conversion and its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.fidelity import Gate
from converters.resets import resets_of
from runtime.errors import FidelityError
from runtime.spec import FidelitySpec, ResetSpec

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


@pytest.mark.parametrize("policy", ["never", "gap", "event"])
def test_a_stream_without_gaps_is_never_reset(policy: str) -> None:
    reset = ResetSpec(policy=policy)  # type: ignore[arg-type]  # parametrised over the literals
    assert not resets_of(reset, 0, 50).any()


def test_every_n_frames_resets_before_each_nth_whatever_the_chunks() -> None:
    reset = ResetSpec(policy="every", every_frames=7)
    whole = resets_of(reset, 0, 50)
    parts = np.concatenate([resets_of(reset, 0, 20), resets_of(reset, 20, 30)])
    np.testing.assert_array_equal(whole, parts)
    assert np.flatnonzero(whole).tolist() == [7, 14, 21, 28, 35, 42, 49]
