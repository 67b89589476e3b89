"""Pruned, made narrower, bounded and converted: each step takes what the one before has left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from converters.fidelity import Gate
from runtime.artifact import read_artifact
from runtime.engine import Engine
from toolkit.compression.masks import kernel_sparsities
from toolkit.compression.pruning.config import PruneConfig
from toolkit.compression.pruning.methods import prune_run
from toolkit.compression.quantization import QuantizeConfig, quantize_run
from toolkit.conversion import ConversionRequest, convert_run
from toolkit.data.dataset import Clip, DataConfig, Dataset
from toolkit.models.config import ModelConfig
from toolkit.models.widths import Widths
from toolkit.training.run_folder import DataRequest
from toolkit.training.schedule import TrainConfig
from toolkit.training.session import TrainRequest, train_run
from toolkit.training.windows import WindowConfig

if TYPE_CHECKING:
    from pathlib import Path


def bars() -> Dataset:
    """Clips of a bar that travels left or right over 16x16."""

    def clip(number: int) -> Clip:
        label = number % 2
        places = (3 * number + np.arange(12) * (1, -1)[label]) % 16
        frames = np.zeros((12, 16, 16, 1), np.uint8)
        frames[np.arange(12), :, places] = 255
        return Clip(name=f"clip {number}", label=label, group=f"{number}", frames=frames)

    return Dataset(labels=("right", "left"), fps=15.0, clips=tuple(clip(number) for number in range(16)))


class Given(DataRequest):
    def load(self) -> tuple[Dataset, Dataset]:
        data = bars()
        return replace(data, clips=data.clips[:12]), replace(data, clips=data.clips[12:])


DATA = Given(sources=("bars",), config=DataConfig(width=16, height=16))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The runs of the whole way, by name."""
    folder = tmp_path_factory.mktemp("stack")
    request = TrainRequest(
        name="bars",
        data=DATA,
        model=ModelConfig(preset="tiny", width=16, height=16, cell="gru", classes=2, units=32),
        train=TrainConfig(epochs=2, batch_size=8, learning_rate=0.01, seed=3),
        stateful=True,
        window=WindowConfig(frames=12, rise_frames=4),
        baseline_share=0,
    )
    # For a few steps, building graphs costs more than they save.
    tf.config.run_functions_eagerly(True)  # noqa: FBT003  # TensorFlow's signature
    trained = replace(train_run(request, folder / "trained"), data=DATA)
    pruned = replace(prune_run(trained, folder / "pruned", PruneConfig(sparsity=0.6, epochs=1)), data=DATA)
    config = PruneConfig(method="channels", sparsity=0.4, epochs=1)
    narrower = replace(prune_run(pruned, folder / "narrower", config), data=DATA)
    bounded = replace(quantize_run(narrower, folder / "bounded", QuantizeConfig(epochs=1)), data=DATA)
    tf.config.run_functions_eagerly(False)  # noqa: FBT003  # TensorFlow's signature
    return {"trained": trained, "pruned": pruned, "narrower": narrower, "bounded": bounded}


def test_the_last_run_has_the_zeros_of_the_one_that_lost_channels(runs: Any) -> None:
    narrower, bounded = runs["narrower"].model(), runs["bounded"].model()
    zeros = kernel_sparsities(narrower)
    assert all(share >= zeros[name] for name, share in kernel_sparsities(bounded).items())
    assert runs["pruned"].sparsity == pytest.approx(0.6, abs=0.01)
    assert runs["bounded"].sparsity == pytest.approx(runs["narrower"].sparsity, abs=0.01)
    assert runs["narrower"].sparsity > 0.5


def test_the_last_run_has_the_widths_of_the_one_that_lost_channels(runs: Any) -> None:
    costs = {name: Widths(run.model(), run.model_config).multiply_adds for name, run in runs.items()}
    assert costs["pruned"] == costs["trained"]
    assert costs["bounded"] == costs["narrower"] <= 0.6 * costs["trained"]
    assert runs["bounded"].model_config.bounds is not None
    methods = [notes["method"] for notes in runs["bounded"].training["derivations"]]
    assert methods == ["magnitude", "channels", "bounded"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_what_is_left_converts_and_steps(runs: Any, precision: Any, tmp_path: Path) -> None:
    # Whether two epochs of training survive eight bits is not what this is about.
    gate = Gate(min_agreement=0, max_accuracy_drop=1)
    path = tmp_path / "network.tflite"
    convert_run(runs["bounded"], path, ConversionRequest(precision=precision, gate=gate, frames=200))
    spec = read_artifact(path).spec
    assert spec.parity is not None
    assert spec.parity.max_error < 1e-4
    assert spec.states[0].shape == (1, runs["bounded"].model_config.units)
    probabilities = Engine.open(path).stepper().step(bars().clips[0].frames[0])
    assert probabilities.sum() == pytest.approx(1, abs=0.01)
    if precision == "float32":
        assert spec.fidelity is not None
        assert spec.fidelity.agreement == 1
