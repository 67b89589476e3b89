from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converters.layers.formulas import bound_at
from converters.step_model import build_step_model
from runtime.errors import ConfigError
from toolkit.compression import quantization
from toolkit.compression.masks import sparsity
from toolkit.compression.quantization import QuantizeConfig, quantize_run
from toolkit.compression.simulation import SimulatedNetwork
from toolkit.models.build import build_model
from toolkit.training.bounding import BoundingConfig
from toolkit.training.network import Network
from toolkit.training.run_folder import Run, save_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from toolkit.data.dataset import Dataset
    from toolkit.training.session import TrainRequest

QUICK = BoundingConfig(percentiles=(99.5,), c=(1.0,), batches=1, compared=1)


CELLS = {
    "lstm": ("from_input", "from_h", "pre", "c"),
    "gru": ("from_input", "from_h", "pre_z", "pre_r", "pre_g"),
    "rnn": ("from_input", "from_h", "pre"),
    "peephole": ("from_input", "from_h", "from_c", "products", "pre", "c"),
    "convlstm": ("from_input", "from_h", "pre", "c"),
    "none": (),
}


@pytest.fixture
def run(bars_request: TrainRequest, finished_bars: Path) -> Run:
    """A run to quantize."""
    # The same data again: what was given is not in a folder.
    return replace(Run.load(finished_bars), data=bars_request.data)


@pytest.fixture
def untrained(run: Run, tmp_path: Path) -> Callable[..., Run]:
    """Write a run of another structure, whose weights are what they were drawn as."""

    def write(**changes: Any) -> Run:
        config = replace(run.model_config, bounds=None, **changes)
        folder = tmp_path / "untrained"
        folder.mkdir()
        save_model(build_model(config), folder / "model.keras")
        other = replace(run, folder=folder, model_config=config)
        other.save()
        return other

    return write


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("cell", CELLS)
def test_the_taps_of_every_cell_carry_the_bounds(untrained: Callable[..., Run], tmp_path: Path, cell: Any) -> None:
    quantize_run(untrained(cell=cell), tmp_path / "bounded", QuantizeConfig(epochs=1, bounding=QUICK))
    bounded = Run.load(tmp_path / "bounded")
    bounds = bounded.model_config.bounds
    assert bounds is not None
    step = build_step_model(bounded.model(), scale=1 / 255, offset=0.0)
    taps = {tap.name: tap.bound for tap in step.taps}
    for name, bound in bounds.activations.items():
        assert taps[f"encoder/{name}"] == pytest.approx((0.0, bound))
    for place in CELLS[cell]:
        limit = bound_at(bounds.cell, place)
        assert limit is not None
        assert taps["cell_c" if place == "c" else f"cell/{place}"] == (-limit, limit)


@pytest.mark.usefixtures("eagerly")
def test_what_was_pruned_stays_pruned(run: Run, tmp_path: Path) -> None:
    model = run.model()
    rng = np.random.default_rng(0)
    thin = [w * (rng.random(w.shape) < 0.3) if "kernel" in v.name else w for v, w in zip_weights(model)]
    model.set_weights(thin)
    folder = tmp_path / "pruned"
    folder.mkdir()
    save_model(model, folder / "model.keras")
    pruned = replace(run, folder=folder, sparsity=sparsity(model))
    pruned.save()
    quantized = quantize_run(pruned, tmp_path / "bounded", QuantizeConfig(epochs=2, bounding=QUICK))
    assert quantized.sparsity == pytest.approx(pruned.sparsity)
    after = [w for _, w in zip_weights(quantized.model())]
    for (variable, _), before, now in zip(zip_weights(model), thin, after, strict=True):
        if "kernel" in variable.name:
            assert not now[before == 0].any()
            assert (now != before).any()


@pytest.mark.usefixtures("eagerly")
def test_a_run_of_fewer_channels_keeps_its_structure(untrained: Callable[..., Run], tmp_path: Path) -> None:
    thinner = untrained(cell="gru", filters=(3, 5), features=7)
    bounded = quantize_run(thinner, tmp_path / "bounded", QuantizeConfig(epochs=1, bounding=QUICK))
    shapes = [[weight.shape for weight in run.model().weights] for run in (thinner, bounded)]
    assert shapes[0] == shapes[1]
    assert bounded.model_config.filters == (3, 5)
    assert bounded.model_config.bounds is not None


def zip_weights(model: Any) -> list[tuple[Any, Any]]:
    return list(zip(model.weights, model.get_weights(), strict=True))


@pytest.mark.usefixtures("eagerly")
def test_an_interrupt_leaves_the_run_that_was_there(run: Run, tmp_path: Path) -> None:
    class Stopper:
        def step(self, **_: int | str) -> None:
            raise KeyboardInterrupt

        def epoch(self, *_: object) -> None: ...

    out = tmp_path / "bounded"
    quantize_run(run, out, QuantizeConfig(epochs=1, bounding=QUICK))
    before = (out / "run.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        quantize_run(run, out, QuantizeConfig(epochs=1, bounding=QUICK), force=True, watcher=Stopper())
    assert (out / "run.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bounded"]


def test_an_aware_run_is_a_plain_one_with_what_was_learnt(
    run: Run, bars: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    learnt: list[Any] = []

    class Watching(SimulatedNetwork):
        def finish(self) -> None:
            super().finish()
            learnt.extend(self.model.get_weights())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "SimulatedNetwork", Watching)
        config = QuantizeConfig(method="aware", epochs=1, bounding=QUICK)
        aware = quantize_run(run, tmp_path / "aware", config, force=False)
    model = Run.load(tmp_path / "aware").model()
    for now, then, before in zip(model.get_weights(), learnt, run.model().get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)
        assert (now != before).any()
    inner, plain = (each.get_layer("per_frame").layer.layers for each in (model, run.model()))
    assert [type(layer) for layer in inner] == [type(layer) for layer in plain]
    network = Network(model, scale=1 / 255, offset=0.0)
    assert network.answers(bars[1].clips).accuracy == aware.val_accuracy
    taps = {tap.name: tap.bound for tap in build_step_model(model, scale=1 / 255, offset=0.0).taps}
    assert taps["cell_c"] is not None
    (row,) = (tmp_path / "aware" / "history.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert row.startswith("aware,1,")


@pytest.mark.usefixtures("eagerly")
def test_the_card_and_the_run_say_how_it_was_made(run: Run, tmp_path: Path) -> None:
    made = quantize_run(run, tmp_path / "bounded", QuantizeConfig(epochs=1, bounding=QUICK), command="framestep x")
    (derivation,) = made.training["derivations"]
    assert (derivation["from"], derivation["method"], derivation["epochs"]) == ("bars", "bounded", 1)
    assert derivation["percentile"] == 99.5
    assert "bounded: 3 activations" in (made.folder / "README.md").read_text(encoding="utf-8")


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"method is 'none'.*epochs is 0"):
        QuantizeConfig(method="none", epochs=0)  # type: ignore[arg-type]  # what is tested
