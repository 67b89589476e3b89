from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import ConfigError
from toolkit.compression.pruning.channels import widths_of
from toolkit.compression.pruning.choice import choose
from toolkit.compression.pruning.config import PruneConfig
from toolkit.compression.pruning.importance import importances
from toolkit.compression.pruning.methods import prune_run
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig
from toolkit.models.widths import Widths
from toolkit.training.network import Network
from toolkit.training.run_folder import Run
from toolkit.training.session import make_batches

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.training.session import TrainRequest

CONFIG = ModelConfig(preset="tiny", width=16, height=16, classes=2, units=32)
WIDTHS = Widths(build_model(CONFIG), CONFIG)


@pytest.fixture
def run(bars_request: TrainRequest, finished_bars: Path) -> Run:
    """A run to prune."""
    return replace(Run.load(finished_bars), data=bars_request.data)


def drawn(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.exponential(size=size) for name, size in WIDTHS.sizes.items()}


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.4, 0.95))
def test_what_is_left_costs_no_more_than_was_asked(seed: int, share: float) -> None:
    found = drawn(seed)
    kept = choose(WIDTHS, found, multiply_adds=share * WIDTHS.multiply_adds)
    sizes = {name: len(places) for name, places in kept.items()}
    assert WIDTHS.multiply_adds_with(sizes) <= share * WIDTHS.multiply_adds
    for name, places in kept.items():
        gone = np.setdiff1d(np.arange(WIDTHS.sizes[name]), places)
        assert found[name][gone].max(initial=0) <= found[name][places].min()
        assert len(places) >= max(4, WIDTHS.sizes[name] / 4)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.4, 0.95))
def test_nothing_more_goes_than_must(seed: int, share: float) -> None:
    kept = choose(WIDTHS, drawn(seed), multiply_adds=share * WIDTHS.multiply_adds)
    sizes = {name: len(places) for name, places in kept.items()}
    for name, size in sizes.items():
        larger = 8 if size == 4 else min(size + 8, WIDTHS.sizes[name])
        if size < WIDTHS.sizes[name]:
            assert WIDTHS.multiply_adds_with({**sizes, name: larger}) > share * WIDTHS.multiply_adds


def test_a_vector_of_eight_is_cut_only_where_nothing_else_helps() -> None:
    most = {name: 8 if size < 32 else size // 4 for name, size in WIDTHS.sizes.items()}
    found = drawn(0) | {"conv1": np.full(8, 1e-9)}
    for share, conv1 in ((1, 8), (0.99, 4)):
        kept = choose(WIDTHS, found, multiply_adds=share * WIDTHS.multiply_adds_with(most))
        assert len(kept["conv1"]) == conv1


def test_a_removal_of_nearly_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"leaves at least [\d,]+ of [\d,]+ multiply-adds.* a lower --sparsity"):
        choose(WIDTHS, drawn(0), multiply_adds=0.01 * WIDTHS.multiply_adds)


@pytest.mark.usefixtures("eagerly")
def test_a_channel_that_nothing_reads_is_worth_nothing(run: Run) -> None:
    train, _ = run.datasets()
    network = Network(run.model(), scale=run.model_config.scale, offset=run.model_config.offset)
    widths = widths_of(network.model, run.model_config)
    kernel = network.model.get_layer("per_frame").layer.get_layer("conv2").kernel
    values = kernel.numpy()
    values[:, :, 3] = 0
    kernel.assign(values)
    found = importances(network, widths, make_batches(run.training, train), count=1)
    assert {name: len(each) for name, each in found.items()} == widths.sizes
    assert found["conv1"][3] == 0
    assert all((each >= 0).all() for each in found.values())
    assert (np.delete(found["conv1"], 3) > 0).any()


@pytest.mark.usefixtures("eagerly")
def test_an_importance_is_the_squared_derivative_for_a_gate(run: Run) -> None:
    train, _ = run.datasets()
    network = Network(run.model(), scale=run.model_config.scale, offset=run.model_config.offset)
    widths = widths_of(network.model, run.model_config)
    batches = make_batches(run.training, train)
    found = importances(network, widths, batches, count=1)["features"]
    channel = int(found.argmax())
    kernel = network.model.get_layer("cell").cell.kernel
    whole, losses = kernel.numpy(), []
    for gate in (0.99, 1.01):
        values = whole.copy()
        values[channel] *= gate
        kernel.assign(values)
        losses.append(_loss(network, batches.batch(0, 0)))
    assert found[channel] == pytest.approx(((losses[1] - losses[0]) / 0.02) ** 2, rel=0.05)


def _loss(network: Network, batch: Any) -> float:
    states = network.initial_states(len(batch.frames))
    logits, _ = network.logits(batch.frames, batch.still, batch.order, states, training=False, warps=batch.warps)
    rows = np.asarray(logits, np.float64)
    rows = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    right = np.take_along_axis(rows, batch.labels[..., None].astype(int), -1)[..., 0]
    return float(-(right * batch.weights).sum() / batch.weights.sum())


@pytest.mark.usefixtures("eagerly")
def test_a_run_without_some_channels_is_a_smaller_run_that_says_what_went(run: Run, tmp_path: Path) -> None:
    prune_run(run, tmp_path / "smaller", PruneConfig(method="channels", sparsity=0.4, epochs=1))
    smaller = Run.load(tmp_path / "smaller")
    model, config = smaller.model(), smaller.model_config
    notes = smaller.training["derivations"][-1]
    before, after = notes["multiply_adds"]["before"], notes["multiply_adds"]["after"]
    assert Widths(run.model(), run.model_config).multiply_adds == before
    assert widths_of(model, config).multiply_adds == after <= 0.6 * before
    assert config.bounds == run.model_config.bounds
    for name, size in notes["widths"].items():
        assert len(notes["removed"][name]) == size["before"] - size["after"]
    assert notes["from"] == "bars"
    assert notes["method"] == "channels"
    assert smaller.sparsity is None


@pytest.mark.usefixtures("eagerly")
def test_a_model_that_its_configuration_does_not_build_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="its channels cannot be told"):
        widths_of(run.model(), replace(run.model_config, units=9))
