from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from runtime.errors import ConfigError
from toolkit.compression.masks import sparsity
from toolkit.compression.pruning.config import PruneConfig
from toolkit.compression.pruning.magnitude import Pruner
from toolkit.compression.pruning.methods import prune_run
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.training.session import TrainRequest


pytestmark = pytest.mark.usefixtures("eagerly")


def small(**settings: Any) -> Any:
    return build_model(
        ModelConfig(**{"preset": "tiny", "width": 16, "height": 16, "classes": 4, "units": 16, **settings})
    )


@pytest.fixture
def run(bars_request: TrainRequest, finished_bars: Path) -> Run:
    """A run to prune."""
    # The same data again: what was given is not in a folder.
    return replace(Run.load(finished_bars), data=bars_request.data)


def zeros_asked_for(size: int, sparsity: float) -> int:
    """tfmot keeps so many weights, rounded, and at least one."""
    return size - max(1, round(size * (1 - sparsity)))


@pytest.mark.parametrize("schedule", ["constant", "polynomial"])
@pytest.mark.parametrize("cell", ["lstm", "peephole", "convlstm", "none"])
def test_every_kernel_gets_the_sparsity(cell: Any, schedule: Any) -> None:
    model = small(cell=cell)
    pruner = Pruner(model, sparsity=0.8, steps=30, schedule=schedule)
    for step in range(1, 31):
        pruner.after_step(step)
    kernels = [weight.numpy() for weight in model.trainable_weights if "kernel" in weight.name]
    assert len(kernels) >= 4
    for kernel in kernels:
        assert (kernel == 0).sum() == zeros_asked_for(kernel.size, 0.8)
    assert sparsity(model) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("schedule", ["constant", "polynomial"])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_the_sparsity_is_reached_however_few_the_steps(steps: int, schedule: Any) -> None:
    model = small()
    pruner = Pruner(model, sparsity=0.5, steps=steps, schedule=schedule)
    for step in range(1, steps + 1):
        pruner.after_step(step)
    pruner.finish()
    kernel = model.get_layer("cell").cell.kernel.numpy()
    assert (kernel == 0).sum() == zeros_asked_for(kernel.size, 0.5)


def test_a_constant_schedule_prunes_before_the_first_step() -> None:
    model = small()
    Pruner(model, sparsity=0.5, steps=100, schedule="constant")
    assert sparsity(model) == pytest.approx(0.5, abs=0.01)


def test_a_polynomial_schedule_prunes_more_and_more() -> None:
    model = small()
    pruner = Pruner(model, sparsity=0.8, steps=90)
    seen = []
    for step in range(1, 91):
        pruner.after_step(step)
        seen.append(sparsity(model))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert 0.3 < seen[20] < 0.7
    assert seen[60] == seen[-1] == pytest.approx(0.8, abs=0.01)


def test_the_smallest_weights_go() -> None:
    model = small()
    before = model.get_layer("cell").cell.kernel.numpy()
    Pruner(model, sparsity=0.5, steps=1).finish()
    after = model.get_layer("cell").cell.kernel.numpy()
    assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()


def most_in_a_group(kernel: Any) -> int:
    """The most weights that are not 0 in four that follow each other along the input channels."""
    inputs = np.moveaxis(kernel, -2, -1).reshape(-1, kernel.shape[-2])
    padded = np.pad(inputs, [(0, 0), (0, -inputs.shape[1] % 4)])
    return int((padded.reshape(-1, 4) != 0).sum(-1).max())


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "peephole", "convlstm", "none"])
def test_two_of_every_four_inputs_are_zero_in_every_kernel(cell: Any) -> None:
    model = small(cell=cell, units=11, filters=(8, 13), features=None if cell == "convlstm" else 30)
    Pruner(model, sparsity=None, steps=5).finish()
    for kernel in (weight.numpy() for weight in model.trainable_weights if "kernel" in weight.name):
        assert most_in_a_group(kernel) <= 2
        inputs = kernel.shape[-2]
        # A last group of one or two has nothing to give; one of three gives one.
        assert (kernel != 0).sum() == kernel.size / inputs * (inputs // 4 * 2 + min(2, inputs % 4))


def test_in_every_four_the_two_largest_stay() -> None:
    model = small()
    before = np.abs(model.get_layer("cell").cell.kernel.numpy()).reshape(-1, 4, 64)
    Pruner(model, sparsity=None, steps=5).finish()
    after = model.get_layer("cell").cell.kernel.numpy().reshape(-1, 4, 64)
    assert (np.sort(np.abs(after), axis=1)[:, 2:] == np.sort(before, axis=1)[:, 2:]).all()


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


def test_an_interrupted_pruning_leaves_nothing(run: Run, tmp_path: Path) -> None:
    class Stopper:
        def step(self, **_: int | str) -> None:
            raise KeyboardInterrupt

        def epoch(self, *_: object) -> None:
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        prune_run(run, tmp_path / "pruned", PruneConfig(sparsity=0.5), watcher=Stopper())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [0.0, 1.0, float("nan")])
def test_a_sparsity_is_between_zero_and_one(given: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and below 1"):
        PruneConfig(sparsity=given)


@pytest.mark.parametrize("given", [0.5, None])
def test_masked_weights_stay_zero_while_training_goes_on(given: float | None) -> None:
    model = small()
    pruner = Pruner(model, sparsity=given, steps=3)
    pruner.finish()
    kernel = model.get_layer("cell").cell.kernel
    mask = kernel.numpy() == 0
    kernel.assign(kernel + 1)
    pruner.after_step(99)
    assert (kernel.numpy()[mask] == 0).all()


def test_the_saved_file_of_a_two_of_four_run_holds_it(run: Run, tmp_path: Path) -> None:
    pruned = prune_run(run, tmp_path / "pruned", PruneConfig(method="2:4", sparsity=0.5, epochs=1))
    kernels = [weight.numpy() for weight in pruned.model().trainable_weights if "kernel" in weight.name]
    assert all(most_in_a_group(kernel) <= 2 for kernel in kernels)
    assert pruned.sparsity == pytest.approx(sum((k == 0).sum() for k in kernels) / sum(k.size for k in kernels))
    # The first convolution sees one channel: there is no four to take two of.
    assert pruned.results["kernel_sparsities"]["conv1/kernel"] == 0
    assert pruned.results["kernel_sparsities"]["cell/kernel"] == 0.5


@pytest.fixture(scope="module")
def sparse(bars_request: TrainRequest, finished_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with three quarters of its weights zero."""
    run = replace(Run.load(finished_bars), data=bars_request.data)
    out = tmp_path_factory.mktemp("sparse") / "once"
    tf.config.run_functions_eagerly(True)  # noqa: FBT003  # TensorFlow's signature
    pruned = prune_run(run, out, PruneConfig(sparsity=0.75, epochs=1))
    tf.config.run_functions_eagerly(False)  # noqa: FBT003  # TensorFlow's signature
    return replace(pruned, data=run.data)


def test_a_run_that_is_pruned_again_keeps_its_zeros_and_gets_more(sparse: Run, tmp_path: Path) -> None:
    twice = prune_run(sparse, tmp_path / "twice", PruneConfig(sparsity=0.9, epochs=1))
    assert twice.sparsity == pytest.approx(0.9, abs=0.01)
    for before, after in zip(sparse.model().trainable_weights, twice.model().trainable_weights, strict=True):
        if "kernel" in before.name:
            assert (after.numpy()[before.numpy() == 0] == 0).all()
    assert [each["from"] for each in twice.training["derivations"]] == ["bars", "once"]


def test_less_sparsity_than_there_is_is_refused(sparse: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"was pruned before, to 0\.7[45].* Ask for a higher --sparsity"):
        prune_run(sparse, tmp_path / "twice", PruneConfig(sparsity=0.5, epochs=1))
    assert not (tmp_path / "twice").exists()


def test_zeros_come_along_where_their_channels_stay(sparse: Run, tmp_path: Path) -> None:
    smaller = prune_run(sparse, tmp_path / "smaller", PruneConfig(method="channels", sparsity=0.4, epochs=1))
    assert smaller.sparsity == pytest.approx(0.75, abs=0.1)
    kernels = [weight.numpy() for weight in smaller.model().trainable_weights if "kernel" in weight.name]
    assert smaller.sparsity == sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "2:4", "sparsity": 0.8}, r"sparsity is 0\.8, and must be 0\.5 for 2:4"),
        ({"method": "lottery", "sparsity": 0.8}, "method is 'lottery', and must be one of magnitude, 2:4, channels"),
        ({"schedule": "cosine", "sparsity": 0.8}, "schedule is 'cosine', and must be one of constant, polynomial"),
    ],
)
def test_a_wrong_setting_is_named(settings: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PruneConfig(**settings)
