from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.compression.pruning.channels import smaller_model, widths_of
from toolkit.models.build import build_model
from toolkit.models.config import Bounds, ModelConfig
from toolkit.models.widths import Widths, cut

MODELS: list[dict[str, Any]] = [
    {"preset": "tiny", "cell": "lstm"},
    {"preset": "tiny", "cell": "gru", "input": "difference", "depth": 3},
    {"preset": "tiny", "cell": "convlstm"},
    {"preset": "small", "cell": "none", "depth": 2, "activation": "elu"},
    {"preset": "article", "cell": "peephole", "input": "rgb"},
    {"preset": "small", "cell": "rnn", "bounds": Bounds(activations={"conv1_activation": 1.5}, pre=4.0)},
]


def built(**settings: Any) -> tuple[Any, ModelConfig]:
    config = ModelConfig(width=16, height=16, classes=4, **settings)
    model = build_model(config)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        # A variance is above 0.
        vector = len(weight.shape) == 1
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if vector else rng.normal(0, 0.1, weight.shape))
    return model, config


def halves(widths: Widths) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {name: np.sort(rng.permutation(size)[: size // 2]) for name, size in widths.sizes.items()}


def silence(model: Any, widths: Widths, kept: dict[str, Any]) -> None:
    """Make 0 what reads the channels that are to go."""
    values = model.get_weights()
    for value, weight in zip(values, widths.weights, strict=True):
        if weight.reads is not None and weight.reads in weight.axes:
            size = widths.sizes[weight.axes[weight.reads]]
            gone = np.isin(np.arange(value.shape[weight.reads]) % size, kept[weight.axes[weight.reads]], invert=True)
            np.moveaxis(value, weight.reads, 0)[gone] = 0
    model.set_weights(values)


@pytest.mark.parametrize("settings", MODELS)
def test_a_smaller_model_answers_as_the_whole_one_that_does_not_read_what_went(settings: Any) -> None:
    model, config = built(**settings)
    widths = widths_of(model, config)
    kept = halves(widths)
    smaller, smaller_config = smaller_model(model, widths, kept)
    silence(model, widths, kept)
    clip = np.random.default_rng(2).random((2, 3, 16, 16, config.channels), np.float32)
    assert np.allclose(model(clip), smaller(clip), atol=1e-5)
    assert smaller_config.bounds == config.bounds
    assert Widths(smaller, smaller_config).sizes == {name: len(places) for name, places in kept.items()}


@pytest.mark.parametrize("settings", MODELS)
def test_the_multiply_adds_of_other_widths_are_those_of_the_model_that_has_them(settings: Any) -> None:
    model, config = built(**settings)
    widths = Widths(model, config)
    sizes = {name: size // 2 for name, size in widths.sizes.items()}
    other = widths.config_with(sizes)
    assert widths.multiply_adds_with(sizes) == Widths(build_model(other), other).multiply_adds


def test_multiply_adds_are_counted_as_by_hand() -> None:
    model, config = built(preset="tiny", cell="gru")
    convolutions = 8 * 8 * 25 * 8 + 4 * 4 * 9 * 8 * 16
    dense = (4 + 4) * 16 * 64 + 64 * 4
    cell = 64 * 192 + 64 * 192
    assert Widths(model, config).multiply_adds == convolutions + dense + cell


def test_a_cell_of_maps_is_counted_at_every_place() -> None:
    model, config = built(preset="tiny", cell="convlstm")
    convolutions = 8 * 8 * 25 * 8 + 4 * 4 * 9 * 8 * 16
    cell = 4 * 4 * 9 * (16 + 16) * 64
    assert Widths(model, config).multiply_adds == convolutions + cell + 16 * 4


def test_mobilenet_loses_what_no_sum_needs() -> None:
    config = ModelConfig(preset="mobilenet", input="rgb", width=32, height=32, cell="gru", classes=3)
    model = build_model(config)
    widths = Widths(model, config)
    assert set(widths.sizes) == {"Conv1", "Conv_1", "cell", *(f"block_{number}_expand" for number in range(1, 17))}
    kept = halves(widths)
    smaller, smaller_config = smaller_model(model, widths, kept)
    silence(model, widths, kept)
    clip = np.random.default_rng(2).random((1, 2, 32, 32, 3), np.float32)
    assert np.allclose(model(clip), smaller(clip), atol=1e-5)
    assert Widths(smaller, smaller_config).multiply_adds < 0.6 * widths.multiply_adds


def test_a_configuration_of_other_widths_survives_a_file() -> None:
    config = ModelConfig(width=16, height=16, classes=4, filters=(8, 24, 40), features=48, units=24)
    assert ModelConfig.from_plain(config.to_plain() | {"filters": [8, 24, 40]}) == config


def test_channels_of_a_flattened_map_change_fastest() -> None:
    value = np.arange(12.0).reshape(6, 2)
    assert cut(value, {0: (3, np.array([0, 2]))})[:, 0].tolist() == [0, 4, 6, 10]
