"""The float step model and an artifact side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tf_keras

from converters import tflite
from converters.artifact_writer import pack_artifact
from converters.fidelity import measure_fidelity
from converters.graph_rewrites import rewrite
from converters.reference import roll_reference
from converters.step_model import StepModel, build_step_model
from converters.stream import NO_LABEL, StreamChunk
from runtime.artifact import Artifact, read_artifact
from runtime.decision import Decision
from runtime.engine import Engine
from runtime.errors import ConversionError
from runtime.spec import CalibrationSpec, DecisionSpec, InputSpec, ResetSpec, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from converters.reference import Reference

PICTURE = InputSpec(height=6, width=6, channels=1, colour="gray")
LABELS = ("a", "b", "c")
DECISION = DecisionSpec(smoothing=0.6, on=0.45, off=0.4, minimum_frames=2)
FRAMES = 300
EVENT = ResetSpec(policy="event")


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise with two bright columns that stay for a while and jump on."""

    name: str = "noise"
    labels: tuple[str, ...] | None = ("b", "nobody's", "a")
    distinct: int | None = None
    end: int = 10**9

    def chunks(self, frames: int, *, size: int = 64) -> Iterator[StreamChunk]:
        """Give the frames."""
        rng = np.random.default_rng(5)
        for start in range(0, min(frames, self.end), size):
            count = min(size, frames - start)
            pixels = rng.integers(0, 56, (count, 6, 6, 1))
            places = 2 * (np.arange(start, start + count) // 20 % 3)
            for column in (0, 1):
                pixels[np.arange(count), :, places + column] += 200
            labels = np.where(np.arange(count) % 3, rng.integers(0, 3, count), NO_LABEL)
            yield StreamChunk(frames=pixels.astype(np.uint8), cuts=np.zeros(count, np.bool_), labels=labels)


@pytest.fixture(scope="module")
def step_model() -> StepModel:
    """A GRU that answers noise with strong opinions."""
    tf_keras.utils.set_random_seed(4)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((None, 6, 6, 1)),
            layers.TimeDistributed(layers.Flatten()),
            layers.GRU(6, return_sequences=True, name="gru", bias_initializer="random_normal"),
            layers.Dense(3, activation="softmax", kernel_initializer="orthogonal"),
        ]
    )
    model.set_weights([3 * weight for weight in model.get_weights()])
    return build_step_model(model, scale=PICTURE.scale, offset=PICTURE.offset)


@pytest.fixture(scope="module")
def network(step_model: StepModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    output = tmp_path_factory.mktemp("network") / "network.tflite"
    step_model.save(output.parent / "saved")
    tflite._convert(str(output.parent / "saved"), str(output), "float16")
    return rewrite(output.read_bytes())


@pytest.fixture
def artifact(step_model: StepModel, network: bytes, tmp_path: Path) -> Artifact:
    spec = Spec(
        name="noise",
        input=PICTURE,
        fps=15.0,
        states=step_model.state_specs(),
        labels=LABELS,
        reset=EVENT,
        decision=DECISION,
        precision="float16",
        calibration=CalibrationSpec(source="noise", frames=10, state_ranges={"gru_h": (-0.2, 0.2)}),
        sha256=hashlib.sha256(network).hexdigest(),
    )
    path = tmp_path / "noise.tflite"
    path.write_bytes(pack_artifact(network, spec))
    return read_artifact(path)


def under(artifact: Artifact, reset: ResetSpec) -> Engine:
    return Engine(replace(artifact, spec=replace(artifact.spec, reset=reset)))


def rolled(step_model: StepModel, reset: ResetSpec, frames: int = FRAMES) -> Reference:
    return roll_reference(step_model, Noise(), labels=LABELS, reset=reset, decision=DECISION, frames=frames)


def by_hand(step_model: StepModel, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], int]:
    """One frame at a time, with the reset after a frame that ended an event."""
    states, decision, due, rows, resets = step_model.initial_states(), Decision(DECISION, LABELS), False, [], 0
    for index, frame in enumerate(pixels):
        if due:
            states, resets = step_model.initial_states(), resets + 1
            decision.reset()
        (answer,), states = step_model.roll_out(frame[None], states)
        rows.append(answer)
        due = bool(decision.update(index, answer).events)
    return np.stack(rows), resets


def test_a_trace_answers_as_the_roll_out_and_tells_the_states_after_each_frame(step_model: StepModel) -> None:
    (chunk,) = Noise().chunks(40)
    resets = np.arange(40) % 9 == 8
    answers, _ = step_model.roll_out(chunk.frames, step_model.initial_states(), resets)
    trace, last = step_model.trace(chunk.frames, step_model.initial_states(), resets)
    np.testing.assert_array_equal(trace.probabilities, answers)
    for k in (1, 8, 9, 40):
        _, after = step_model.roll_out(chunk.frames[:k], step_model.initial_states(), resets[:k])
        lows, highs = zip(*((after[s.name].min(), after[s.name].max()) for s in step_model.states), strict=True)
        np.testing.assert_array_equal(trace.lowest[k - 1], lows)
        np.testing.assert_array_equal(trace.highest[k - 1], highs)
    np.testing.assert_array_equal(after["gru_h"], last["gru_h"])


def test_the_float_side_is_reset_where_its_own_events_end(step_model: StepModel) -> None:
    pixels = np.concatenate([chunk.frames for chunk in Noise().chunks(FRAMES)])
    expected, resets = by_hand(step_model, pixels)
    assert resets >= 5
    np.testing.assert_allclose(rolled(step_model, EVENT).probabilities, expected, atol=1e-6)


def test_each_side_obeys_the_policy_by_events_of_its_own(step_model: StepModel, artifact: Artifact) -> None:
    together = measure_fidelity(step_model, under(artifact, EVENT).stepper(), Noise(), frames=FRAMES)
    never, at_events = (rolled(step_model, reset).probabilities for reset in (ResetSpec(policy="never"), EVENT))
    one_side_alone = np.sqrt(np.square(never - at_events).mean())
    assert together.rmse < one_side_alone / 10


@pytest.mark.parametrize(
    "reset", [ResetSpec(policy="never"), ResetSpec(policy="every", every_frames=7), EVENT], ids=lambda each: each.policy
)
def test_a_shared_reference_changes_nothing(step_model: StepModel, artifact: Artifact, reset: ResetSpec) -> None:
    engine = under(artifact, reset)
    alone = measure_fidelity(step_model, engine.stepper(), Noise(), frames=200)
    shared = rolled(step_model, reset)
    assert measure_fidelity(step_model, engine.stepper(), Noise(), frames=200, reference=shared) == alone


@pytest.mark.parametrize(
    "other",
    [
        {"stream": Noise(end=FRAMES)},
        {"reset": ResetSpec(policy="never")},
        {"decision": DecisionSpec()},
        {"frames": FRAMES + 1},
    ],
    ids=lambda each: next(iter(each)),
)
def test_a_reference_does_not_stand_for_another_measurement(step_model: StepModel, other: dict[str, object]) -> None:
    wanted = {"stream": Noise(), "reset": EVENT, "decision": DECISION, "frames": FRAMES} | other
    with pytest.raises(ConversionError, match="Roll it out anew"):
        rolled(step_model, EVENT).check(**wanted)  # type: ignore[arg-type]  # a table of cases


def test_the_drift_is_that_of_the_float_states_against_the_calibrated_range(
    step_model: StepModel, artifact: Artifact
) -> None:
    reset = ResetSpec(policy="never")
    found = measure_fidelity(step_model, under(artifact, reset).stepper(), Noise(), frames=FRAMES).states["gru_h"]
    reference = rolled(step_model, reset)
    assert (found.lowest, found.highest) == (reference.lowest.min(), reference.highest.max())
    beyond = (reference.lowest[:, 0] < -0.2 - 0.4 / 255) | (reference.highest[:, 0] > 0.2 + 0.4 / 255)
    assert beyond.mean() > 0
    assert (found.outside_first, found.outside_last) == (beyond[:30].mean(), beyond[-30:].mean())


def test_labels_are_paired_by_name_and_a_strangers_count_as_none(step_model: StepModel, artifact: Artifact) -> None:
    found = measure_fidelity(step_model, under(artifact, EVENT).stepper(), Noise(), frames=FRAMES)
    chunks = list(Noise().chunks(FRAMES))
    truth = np.concatenate([chunk.labels for chunk in chunks])
    theirs = np.array([1, NO_LABEL, 0, NO_LABEL])[truth]
    chosen = rolled(step_model, EVENT).probabilities.argmax(1)
    assert found.accuracy_reference == (chosen == theirs)[theirs != NO_LABEL].mean()


def test_a_stream_that_ends_early_is_an_error(step_model: StepModel, artifact: Artifact) -> None:
    with pytest.raises(ConversionError, match="gave 64 frames where 200 were asked for"):
        measure_fidelity(step_model, under(artifact, EVENT).stepper(), Noise(end=64), frames=200)
