"""Every preset's step is one partition of the delegate, in float, with dynamic range, in int8 and mixed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converters.calibration import calibrate, ranges_for
from converters.convert import CALIBRATED, network_of
from converters.step_model import build_step_model
from runtime.artifact import check_network
from runtime.flatbuffer import read_network
from runtime.interpreter import delegation, open_interpreter
from runtime.spec import InputSpec, ResetSpec, Spec
from toolkit.data.digits import DigitsConfig, DigitsStream
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig

if TYPE_CHECKING:
    from converters.step_model import StepModel

pytestmark = pytest.mark.usefixtures("converter_in_this_process")

PRESETS = ("tiny", "small", "article", "mobilenet")


@pytest.fixture(scope="module", params=PRESETS)
def preset(request: pytest.FixtureRequest) -> tuple[StepModel, DigitsStream]:
    """A preset with weights that keep their activations' size, as trained ones do, and frames for it."""
    size = 32 if request.param in ("article", "mobilenet") else 24
    kind: Any = {"article": "rgb", "small": "difference"}.get(request.param, "gray")
    config = ModelConfig(preset=request.param, input=kind, width=size, height=size, classes=4)
    model = build_model(config)
    rng = np.random.default_rng(0)
    model.set_weights([_alive(rng, weight) for weight in model.get_weights()])
    step_model = build_step_model(model, scale=config.scale, offset=config.offset)
    return step_model, DigitsStream(config=DigitsConfig(width=size, height=size, colour=config.colour))


def _alive(rng: np.random.Generator, weight: Any) -> Any:
    if weight.ndim < 2:
        return weight
    # A depthwise kernel [rows, columns, channels, 1] sums over rows and columns alone.
    fan_in = np.prod(weight.shape[:2] if weight.shape[-1] == 1 else weight.shape[:-1])
    return rng.normal(0, np.sqrt(2 / fan_in), weight.shape)


@pytest.mark.parametrize("precision", ["float32", "dynamic", "int8", "mixed"])
def test_a_preset_is_one_partition(preset: tuple[StepModel, DigitsStream], precision: Any) -> None:
    step_model, stream = preset
    ranges = None
    if precision in CALIBRATED:
        observation = calibrate(step_model, stream, reset=ResetSpec(), frames=60)
        ranges = ranges_for(observation, "int8", percentile=97).ranges
    network = network_of(step_model, precision, ranges=ranges)
    told = read_network(network)
    check_network(told)  # no WHILE, no variables, no Flex
    loaded = open_interpreter(network, choice="litert")
    loaded.interpreter.allocate_tensors()
    found = delegation(loaded.interpreter, [info.index for info in told.outputs.values()])
    assert found is not None
    assert found.partitions == 1
    assert set(found.outside) <= {"CAST"}


def test_a_spec_stays_small(preset: tuple[StepModel, DigitsStream]) -> None:
    step_model, stream = preset
    calibration = ranges_for(calibrate(step_model, stream, reset=ResetSpec(), frames=60), "int8", percentile=97)
    height, width, channels = step_model.frame_shape
    spec = Spec(
        name="n" * 60,
        input=InputSpec(height=height, width=width, channels=1 if channels == 1 else 3, colour=stream.config.colour),
        fps=15.0,
        states=step_model.state_specs(),
        labels=stream.labels,
        precision="int8",
        calibration=calibration.spec,
        sha256="0" * 64,
    )
    assert Spec.from_json(spec.to_json()) == spec
    assert len(zlib.compress(spec.to_json().encode())) <= 6 * 1024  # of 8 KiB: fidelity and how it was made come on top
