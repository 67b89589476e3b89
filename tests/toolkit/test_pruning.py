from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.errors import ConfigError
from toolkit.compression.pruning import PruneConfig, Pruner, prune_run
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.training.session import TrainRequest


@pytest.fixture
def run(bars_request: TrainRequest, finished_bars: Path) -> Run:
    """A run to prune."""
    # The same data again: what was given is not in a folder.
    return replace(Run.load(finished_bars), data=bars_request.data)


@pytest.mark.parametrize("cell", ["lstm", "peephole", "convlstm", "none"])
def test_every_kernel_gets_the_sparsity(cell: Any) -> None:
    model = build_model(ModelConfig(preset="tiny", width=16, height=16, cell=cell, classes=4, units=16))
    pruner = Pruner(model, sparsity=0.8, steps=30)
    for step in range(1, 31):
        pruner.after_step(step)
    kernels = dict(pruner.kernels())
    named = [weight for weight in model.trainable_weights if "kernel" in weight.name]
    assert len(kernels) == len(named) >= 4
    assert kernels == pytest.approx(dict.fromkeys(kernels, 0.8), abs=0.01)
    assert pruner.sparsity() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_the_sparsity_is_reached_however_few_the_steps(steps: int) -> None:
    model = build_model(ModelConfig(preset="tiny", width=16, height=16, classes=4, units=16))
    pruner = Pruner(model, sparsity=0.5, steps=steps)
    for step in range(1, steps + 1):
        pruner.after_step(step)
    pruner.finish()
    assert pruner.sparsity() == pytest.approx(0.5, abs=0.01)


def test_the_smallest_weights_go() -> None:
    model = build_model(ModelConfig(preset="tiny", width=16, height=16, classes=4, units=16))
    before = model.get_layer("cell").cell.kernel.numpy()
    Pruner(model, sparsity=0.5, steps=1).finish()
    after = model.get_layer("cell").cell.kernel.numpy()
    assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()


@pytest.mark.usefixtures("eagerly")
def test_a_pruned_run_is_a_run_with_zeros_in_the_model_itself(run: Run, tmp_path: Path) -> None:
    pruned = prune_run(run, tmp_path / "pruned", PruneConfig(sparsity=0.5))
    loaded = Run.load(tmp_path / "pruned")
    assert loaded.sparsity == pruned.sparsity == pytest.approx(0.5, abs=0.01)
    model = loaded.model()
    for weight in model.trainable_weights:
        if "kernel" in weight.name:
            assert float(np.mean(weight.numpy() == 0)) == pytest.approx(0.5, abs=0.01)
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in run.model().layers]
    assert loaded.training["derivations"][-1]["from"] == "bars"


def test_the_run_that_is_pruned_stays_and_is_not_written_to(run: Run) -> None:
    with pytest.raises(ConfigError, match="is the run that the new one is made from"):
        prune_run(run, run.folder, PruneConfig(sparsity=0.5), force=True)


@pytest.mark.usefixtures("eagerly")
def test_an_interrupted_pruning_leaves_nothing(run: Run, tmp_path: Path) -> None:
    class Stopper:
        def step(self, **_: int | str) -> None:
            raise KeyboardInterrupt

        def epoch(self, *_: object) -> None:
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        prune_run(run, tmp_path / "pruned", PruneConfig(sparsity=0.5), watcher=Stopper())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sparsity", [0.0, 1.0, float("nan")])
def test_a_sparsity_is_between_zero_and_one(sparsity: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and below 1"):
        PruneConfig(sparsity=sparsity)


def test_masked_weights_stay_zero_while_training_goes_on() -> None:
    model = build_model(ModelConfig(preset="tiny", width=16, height=16, classes=4, units=16))
    pruner = Pruner(model, sparsity=0.5, steps=3)
    pruner.finish()
    kernel = model.get_layer("cell").cell.kernel
    mask = kernel.numpy() == 0
    kernel.assign(kernel + 1)
    pruner.after_step(99)
    assert (kernel.numpy()[mask] == 0).all()
