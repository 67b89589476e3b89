"""The ways in which recurrent networks are usually calibrated fail the gate that what `convert` ships passes.

`wandering.keras` is a plain LSTM that was trained on endless streams by make_wandering.py, in seconds: a bar goes
right, left or nowhere, and is seldom seen, so that the state remembers for dozens of frames.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converters.artifact_writer import pack_artifact
from converters.calibration import calibrate, ranges_for
from converters.convert import ConversionConfig, convert, network_of, prepare
from converters.fidelity import Gate, measure_fidelity
from converters.loading import load_model
from converters.reference import roll_reference
from converters.step_model import build_step_model
from converters.stream import StreamChunk
from runtime.artifact import read_artifact
from runtime.engine import Engine
from runtime.errors import FidelityError
from runtime.spec import DecisionSpec, InputSpec, ResetSpec, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.reference import Reference
    from converters.step_model import StepModel
    from runtime.spec import FidelitySpec

pytestmark = pytest.mark.usefixtures("converter_in_this_process")

FRAMES = 3000
CLIP_FRAMES = 4
SHIPPED = Gate(min_agreement=0.995, max_confident_disagreements=0)
NEVER = ResetSpec(policy="never")
PICTURE = InputSpec(height=8, width=8, channels=1, colour="gray")
WAYS = ("right", "left", "nowhere")


@dataclass(frozen=True, kw_only=True)
class Wandering:
    """A bar that for 40 to 120 frames goes one way, unseen on `hidden` of the frames.

    Attributes:
        seed: of everything.
        hidden: fraction of frames on which there is only noise.
    """

    seed: int
    hidden: float = 0.6
    name: str = "a wandering bar"
    labels: tuple[str, ...] | None = WAYS
    distinct: int | None = None

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        """Give exactly `frames` frames from the beginning."""
        rng = np.random.default_rng(self.seed)
        place, way, left = int(rng.integers(8)), 0, 0
        for start in range(0, frames, size):
            count = min(size, frames - start)
            pixels = rng.integers(0, 56, (count, 8, 8, 1)).astype(np.uint8)
            cuts, labels = np.zeros(count, np.bool_), np.zeros(count, np.int64)
            for i in range(count):
                if not left:
                    place, way, left = int(rng.integers(8)), int(rng.integers(3)), int(rng.integers(40, 121))
                    cuts[i] = start + i > 0
                labels[i] = way
                if rng.random() >= self.hidden:
                    pixels[i, :, place] += 200
                place, left = (place + (1, -1, 0)[way]) % 8, left - 1
            yield StreamChunk(frames=pixels, cuts=cuts, labels=labels)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(Path(__file__).with_name("wandering.keras"))


@pytest.fixture(scope="module")
def step_model(model: Any) -> StepModel:
    return build_step_model(model, scale=PICTURE.scale, offset=PICTURE.offset)


@pytest.fixture(scope="module")
def reference(step_model: StepModel) -> Reference:
    """The float model's answers on a stream that was not calibrated on."""
    return roll_reference(
        step_model, Wandering(seed=2), labels=WAYS, reset=NEVER, decision=DecisionSpec(), frames=FRAMES
    )


def int8_of(step_model: StepModel, reset: ResetSpec, path: Path) -> Engine:
    """An int8 artifact whose states were calibrated under another policy than the one under which it runs."""
    calibration = ranges_for(calibrate(step_model, Wandering(seed=1), reset=reset, frames=FRAMES))
    network = network_of(step_model, "int8", ranges=calibration.ranges)
    spec = Spec(
        name="wandering",
        input=PICTURE,
        fps=15.0,
        states=step_model.state_specs(),
        labels=WAYS,
        reset=NEVER,
        precision="int8",
        calibration=calibration.spec,
        sha256=hashlib.sha256(network).hexdigest(),
    )
    path.write_bytes(pack_artifact(network, spec))
    return Engine(read_artifact(path))


def fidelity_of(engine: Engine, step_model: StepModel, reference: Reference) -> FidelitySpec:
    return measure_fidelity(step_model, engine.stepper(), Wandering(seed=2), frames=FRAMES, reference=reference)


def sure(fidelity: FidelitySpec) -> int:
    """Confident disagreements."""
    assert fidelity.confident_disagreements is not None
    return fidelity.confident_disagreements


def test_int8_calibrated_on_states_that_are_zero_fails(
    step_model: StepModel, reference: Reference, tmp_path: Path
) -> None:
    engine = int8_of(step_model, ResetSpec(policy="every", every_frames=1), tmp_path / "zero.tflite")
    fidelity = fidelity_of(engine, step_model, reference)
    assert fidelity.agreement < 0.7
    with pytest.raises(FidelityError, match=r"State lstm_c left its calibrated range .* on .* % of the last tenth's"):
        Gate().check(fidelity, spec=engine.spec)


def test_int8_calibrated_on_clips_with_a_reset_before_each_fails(
    step_model: StepModel, reference: Reference, tmp_path: Path
) -> None:
    engine = int8_of(step_model, ResetSpec(policy="every", every_frames=CLIP_FRAMES), tmp_path / "clips.tflite")
    fidelity = fidelity_of(engine, step_model, reference)
    assert min(fidelity.agreement, fidelity.agreement_last) < Gate().min_agreement
    with pytest.raises(FidelityError, match="State lstm_c left its calibrated range"):
        Gate().check(fidelity, spec=engine.spec)


def test_a_long_roll_out_gives_the_truer_ranges(step_model: StepModel, reference: Reference, tmp_path: Path) -> None:
    ways = {"clips": ResetSpec(policy="every", every_frames=CLIP_FRAMES), "rolled out": NEVER}
    found = {}
    for name, reset in ways.items():
        engine = int8_of(step_model, reset, tmp_path / "a.tflite")
        found[name] = fidelity_of(engine, step_model, reference)
    assert found["rolled out"].agreement > found["clips"].agreement + 0.01
    assert found["rolled out"].agreement_last > found["clips"].agreement_last + 0.01
    assert sure(found["rolled out"]) < sure(found["clips"]) / 2


def test_what_is_shipped_of_it_passes(model: Any, step_model: StepModel, reference: Reference, tmp_path: Path) -> None:
    config = ConversionConfig(
        name="wandering", labels=WAYS, fps=15.0, input=PICTURE, precision="mixed", reset=NEVER, gate=SHIPPED
    )
    prepared = prepare(model, step_model, config, calibration=Wandering(seed=1))
    path = tmp_path / "shipped.tflite"
    convert(prepared, path, config, fidelity=Wandering(seed=2), reference=reference)
    fidelity = read_artifact(path).spec.fidelity
    assert fidelity is not None
    assert min(fidelity.agreement, fidelity.agreement_last) >= SHIPPED.min_agreement
    assert fidelity.states["lstm_c"].highest > 3
