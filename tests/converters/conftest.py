"""Both Keras families behind one face, for tests that hold for either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from converters import layers
from converters.layers import keras3
from converters.parity import measure_parity
from converters.step_model import StepModel, build_step_model

FRAME = (6, 6, 1)


@dataclass(frozen=True)
class Family:
    """One Keras with framestep's own layers for it."""

    keras: Any
    own: Any

    @property
    def layers(self) -> Any:
        return self.keras.layers

    @property
    def name(self) -> str:
        return str(self.keras.__name__).rpartition(".")[-1]

    def clips(self, *frame: int, length: int | None = None) -> Any:
        """A model's input of clips."""
        return self.layers.Input((length, *(frame or FRAME)))

    def per_frame(self, *stack: Any) -> Any:
        """Layers inside TimeDistributed, one each."""
        return [self.layers.TimeDistributed(layer) for layer in stack]

    def features(self, width: int = 5) -> list[Any]:
        """What makes a vector of each frame."""
        return [
            *self.per_frame(self.layers.Flatten()),
            self.layers.Dense(width, activation="tanh"),
        ]

    def sequential(self, *stack: Any, head: bool = True, **shape: Any) -> Any:
        """A model of clips with a softmax over three classes."""
        ends = [self.layers.Dense(3, activation="softmax")] if head else []
        return randomised(self.keras.Sequential([self.clips(**shape), *stack, *ends]))

    def functional(self, build: Any, *frame: int, length: int | None = None) -> Any:
        """A model of clips whose `build` gives features of its input; a softmax over three classes stands behind."""
        clips = self.clips(*frame, length=length)
        return randomised(self.keras.Model(clips, self.layers.Dense(3, activation="softmax")(build(clips))))


def randomised(model: Any, seed: int = 0) -> Any:
    """Give a model weights and normalisation figures that hide nothing."""
    rng = np.random.default_rng(seed)

    def fresh(weight: Any) -> Any:
        if "variance" in str(getattr(weight, "path", weight.name)):
            return rng.uniform(0.5, 1.5, weight.shape)
        return rng.normal(size=weight.shape) * 0.5

    model.set_weights([fresh(weight) for weight in model.weights])
    return model


def step_of(model: Any) -> StepModel:
    """Build a step and hold it against the whole clip."""
    step = build_step_model(model, scale=1 / 255, offset=-0.25)
    report = measure_parity(model, step)
    assert report.max_error <= 1e-5, report
    assert report.frames >= 30
    return step


@pytest.fixture(params=["tf_keras", "keras3"])
def family(request: pytest.FixtureRequest) -> Family:
    if request.param == "tf_keras":
        return Family(tf_keras, layers)
    return Family(keras, keras3)


@pytest.fixture
def parity() -> Any:
    """Build the step of a model, and fail where it is not the model."""
    return step_of
