"""Where ranges come from: a roll-out over a stream of the model's frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tf_keras

from converters.calibration import Calibration, calibrate, ranges_for
from converters.step_model import StepModel, build_step_model
from converters.stream import StreamChunk
from runtime.errors import CalibrationError
from runtime.spec import ResetSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREVER = ResetSpec(policy="never")


@dataclass(frozen=True)
class Noise:
    """A stream of random frames with a cut at each chunk's beginning."""

    height: int = 6
    width: int = 6
    name: str = "noise"
    labels: tuple[str, ...] | None = None
    distinct: int | None = None

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        rng = np.random.default_rng(0)
        for start in range(0, frames, size):
            count = min(size, frames - start)
            yield StreamChunk(
                frames=rng.integers(0, 256, (count, self.height, self.width, 1), np.uint8),
                cuts=np.arange(count) == 0,
                labels=np.full(count, -1),
            )


def model_of(cell: Any, *, spoilt: bool = False) -> StepModel:
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [
            layers.Input((None, 6, 6, 1)),
            layers.TimeDistributed(layers.Flatten()),
            layers.Dense(5, name="dense", activation="relu"),
            cell,
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    if spoilt:
        model.get_layer("dense").set_weights([np.full((36, 5), np.nan), np.zeros(5)])
    return build_step_model(model, scale=1 / 255, offset=0.0)


def calibration_of(model: StepModel, *, reset: ResetSpec = FOREVER, frames: int, percentile: float = 97) -> Calibration:
    return ranges_for(calibrate(model, Noise(), reset=reset, frames=frames), percentile=percentile)


@pytest.fixture(scope="module")
def lstm() -> StepModel:
    return model_of(tf_keras.layers.LSTM(4, return_sequences=True, unit_forget_bias=True, name="cell"))


def test_every_tap_has_a_range_with_zero_in_it(lstm: StepModel) -> None:
    ranges = calibration_of(lstm, frames=100).ranges
    assert set(ranges) == {tap.name for tap in lstm.taps}
    assert all(lowest <= 0 <= highest and lowest < highest for lowest, highest in ranges.values())


def test_a_range_that_follows_from_a_formula_is_not_measured(lstm: StepModel) -> None:
    ranges = calibration_of(lstm, frames=100).ranges
    assert ranges["cell/i"] == (0.0, 255 / 256)


def test_states_are_taken_from_the_roll_out_and_not_from_zeros(lstm: StepModel) -> None:
    rolled = calibration_of(lstm, frames=300)
    anew = calibration_of(lstm, reset=ResetSpec(policy="every", every_frames=1), frames=300)
    width = {name: np.ptp(each.ranges["cell_c"]) for name, each in (("rolled", rolled), ("anew", anew))}
    assert width["rolled"] > 1.2 * width["anew"]
    assert rolled.spec.state_ranges["cell_c"] == rolled.ranges["cell_c"]
    assert (rolled.spec.resets, anew.spec.resets) == (0, 299)


def test_a_percentile_leaves_out_what_is_rare(lstm: StepModel) -> None:
    some, every = (calibration_of(lstm, frames=300, percentile=p).ranges for p in (90, 100))
    assert some["head"][0] > every["head"][0]
    assert some["head"][1] < every["head"][1]


def test_what_was_calibrated_on_is_told(lstm: StepModel) -> None:
    spec = calibration_of(lstm, frames=600).spec
    assert (spec.source, spec.frames, spec.cuts) == ("noise", 600, 3)


def test_frames_of_another_size_are_refused(lstm: StepModel) -> None:
    with pytest.raises(CalibrationError) as error:
        calibrate(lstm, Noise(height=8, width=5), reset=FOREVER, frames=10)
    assert str(error.value) == (
        "The calibration frames of noise have shape (8, 5, 1); the model expects (6, 6, 1). "
        "Give data of the model's size."
    )


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    spoilt = model_of(tf_keras.layers.GRU(4, return_sequences=True), spoilt=True)
    with pytest.raises(CalibrationError, match="is not finite on the calibration stream"):
        calibration_of(spoilt, frames=10)
