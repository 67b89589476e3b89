"""Where ranges come from: a roll-out over a stream of the model's frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st

from converters.calibration import Calibration, calibrate, ranges_for
from converters.convert import network_of
from converters.observation import ROUNDS
from converters.percentile import PERCENTILES, USUAL, best_percentile
from converters.settling import ENOUGH_FRAMES
from converters.step_model import StepModel, build_step_model
from converters.stream import StreamChunk
from runtime.errors import CalibrationError, FidelityError
from runtime.spec import DecisionSpec, ResetSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREVER = ResetSpec(policy="never")


@dataclass(frozen=True)
class Noise:
    """A stream of random frames with a cut at each chunk's beginning; where it goes round, its frames grow brighter."""

    height: int = 6
    width: int = 6
    name: str = "noise"
    labels: tuple[str, ...] | None = None
    distinct: int | None = None

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        rng = np.random.default_rng(0)
        for start in range(0, frames, size):
            count = min(size, frames - start)
            pixels = rng.integers(0, 256, (count, self.height, self.width, 1), np.uint8)
            if self.distinct is not None:
                share = np.arange(start, start + count) % self.distinct / self.distinct
                pixels = (pixels * share[:, None, None, None]).astype(np.uint8)
            yield StreamChunk(
                frames=pixels,
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


def summing() -> StepModel:
    """A cell that adds up what comes, for ever."""
    return model_of(
        tf_keras.layers.SimpleRNN(
            5,
            activation="relu",
            kernel_initializer="identity",
            recurrent_initializer="identity",
            return_sequences=True,
            name="cell",
        )
    )


def answers_of(network: bytes, step: StepModel, frames: Any) -> Any:
    runner = Interpreter(model_content=network, num_threads=1).get_signature_runner("step")
    states, answers = dict(step.initial_states()), []
    for frame in frames:
        outputs = runner(frame=frame[None], **states)
        states = {name: outputs[name] for name in states}
        answers.append(outputs["probabilities"][0])
    return np.array(answers)


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


def test_it_rolls_out_until_the_states_have_settled_and_no_longer(lstm: StepModel) -> None:
    told: list[tuple[int, int]] = []
    observation = calibrate(lstm, Noise(), reset=FOREVER, progress=lambda *each: told.append(each))
    calibration = ranges_for(observation, percentile=97)
    assert observation.frames == ENOUGH_FRAMES
    assert told[-1] == (ENOUGH_FRAMES, ENOUGH_FRAMES)
    assert 0 < calibration.spec.settled["cell_c"] <= ENOUGH_FRAMES / 2
    calibration.check()


def test_a_state_whose_range_the_model_imposes_has_settled_at_once(lstm: StepModel) -> None:
    calibration = calibration_of(lstm, frames=100)
    assert calibration.spec.settled["cell_h"] == 0
    assert {"cell_h", "cell/i"} <= set(calibration.spec.bounded)
    assert not {"cell_c", "head"} & set(calibration.spec.bounded)


def test_the_same_frames_are_not_gone_through_for_ever() -> None:
    gru = model_of(tf_keras.layers.GRU(4, return_sequences=True))
    assert calibrate(gru, Noise(distinct=50), reset=FOREVER).frames == ROUNDS * 50


def test_too_little_data_is_a_gate_that_names_the_state_and_how_much_would_do(lstm: StepModel) -> None:
    calibration = ranges_for(calibrate(lstm, Noise(distinct=80), reset=FOREVER), percentile=97)
    state = calibration.settling["cell_c"]
    assert state.settled is None
    assert "cell_c" not in calibration.spec.settled
    with pytest.raises(FidelityError) as error:
        calibration.check()
    assert error.value.exit_code == 3
    assert str(error.value) == (
        f"The range of state cell_c has not settled: {state.before[0]:.3g} to {state.before[1]:.3g} over the first 40 "
        f"frames of calibration, {state.after[0]:.3g} to {state.after[1]:.3g} over all 80. About {state.needed} "
        "different frames would be enough: give so many with --calibrate (and no fewer with --calibration-frames), or "
        "bound the state with framestep quantize RUN --out NEW."
    )


def test_a_drifting_state_is_told_that_no_number_is_enough() -> None:
    calibration = ranges_for(calibrate(summing(), Noise(), reset=FOREVER, frames=1100), percentile=97)
    with pytest.raises(FidelityError) as error:
        calibration.check()
    assert str(error.value).startswith("The range of state cell_h keeps growing, 0 to ")
    assert str(error.value).endswith(
        "over all 1100; no number of frames is enough. Bound it with framestep quantize RUN --out NEW, train with a "
        "reset policy, or take --precision mixed or dynamic."
    )


def test_a_drifting_state_settles_under_a_policy_that_resets_it() -> None:
    reset = ResetSpec(policy="every", every_frames=20)
    observation = calibrate(summing(), Noise(), reset=reset, frames=1100)
    ranges_for(observation, percentile=97).check()
    assert observation.resets == 54


def test_the_models_own_events_reset_its_states(lstm: StepModel) -> None:
    decision = DecisionSpec(smoothing=1, on=0.36, off=0.36, minimum_frames=1)
    reset, labels = ResetSpec(policy="event"), ("a", "b", "c")
    observation = calibrate(lstm, Noise(), reset=reset, decision=decision, labels=labels, frames=300)
    assert 0 < observation.resets < 300


def test_mixed_does_not_care_where_its_float_states_go() -> None:
    calibration = ranges_for(calibrate(summing(), Noise(), reset=FOREVER, frames=1100), "mixed")
    calibration.check()
    assert (calibration.spec.state_ranges, calibration.spec.settled) == ({}, {})
    assert "cell_h" not in calibration.ranges


def test_the_percentile_is_the_one_with_the_smallest_simulated_error(lstm: StepModel) -> None:
    observation = calibrate(lstm, Noise(), reset=FOREVER, frames=300)
    chosen = ranges_for(observation).spec.percentile
    errors = {each: observation.trial(observation.ranges(each)).error for each in PERCENTILES}
    place = PERCENTILES.index(chosen)
    assert errors[chosen] == min(errors[each] for each in PERCENTILES[max(0, place - 1) : place + 2])


@pytest.mark.usefixtures("converter_in_this_process")
def test_what_is_simulated_is_what_the_converted_network_does(lstm: StepModel) -> None:
    ranges = calibration_of(lstm, frames=300, percentile=70).ranges
    (chunk,) = Noise().chunks(100)
    plain, _ = lstm.roll_out(chunk.frames, lstm.initial_states())
    simulated, _ = lstm.simulate(chunk.frames, lstm.initial_states(), ranges=ranges)
    converted = answers_of(network_of(lstm, "int8", ranges=ranges), lstm, chunk.frames)
    # The network's weights are rounded as well, which costs little beside ranges that cut off so much.
    assert np.abs(converted - simulated).mean() < 0.2 * np.abs(converted - plain).mean()


@given(place=st.integers(0, len(PERCENTILES) - 1), slopes=st.lists(st.floats(0.01, 9), min_size=2, max_size=2))
def test_the_search_finds_the_only_valley_and_asks_for_nothing_twice(place: int, slopes: list[float]) -> None:
    asked: list[float] = []

    def error_of(percentile: float) -> float:
        asked.append(percentile)
        off = PERCENTILES.index(percentile) - place
        return slopes[off > 0] * abs(off)

    assert best_percentile(error_of) == PERCENTILES[place]
    assert len(asked) == len(set(asked))


def test_where_there_is_nothing_to_choose_by_the_search_stays() -> None:
    assert best_percentile(lambda _: 0.0) == USUAL
