from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import tf_keras

from runtime.errors import ConfigError
from toolkit.models.build import build_model, cell_units
from toolkit.models.config import Bounds, Cell, Input, ModelConfig, Preset

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"preset": "tiny", "width": 16, "height": 12, "classes": 3, "units": 5}


def clips(config: ModelConfig, *, frames: int = 3) -> np.ndarray[Any, Any]:
    shape = (2, frames, config.height, config.width, config.channels)
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("cell", get_args(Cell))
def test_every_cell_gives_probabilities_for_each_frame(cell: Any) -> None:
    config = ModelConfig(**SMALL, cell=cell)
    probabilities = build_model(config)(clips(config)).numpy()
    assert probabilities.shape == (2, 3, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("preset", "kind"),
    [*((preset, "rgb") for preset in get_args(Preset)), *(("tiny", kind) for kind in get_args(Input))],
)
def test_a_preset_takes_an_input(preset: Any, kind: Any) -> None:
    config = ModelConfig(preset=preset, input=kind, width=32, height=32, classes=3)
    model = build_model(config)
    assert model.input_shape == (None, None, 32, 32, 3 if kind == "rgb" else 1)
    assert model.get_layer("cell").cell.units == cell_units(config)


def test_the_article_has_its_layers() -> None:
    model = build_model(ModelConfig(preset="article", input="rgb", width=32, height=32, classes=4))
    encoder = model.get_layer("per_frame").layer
    assert encoder.name == "encoder"
    assert [type(layer).__name__ for layer in encoder.layers] == [
        "InputLayer", "Conv2D", "ReLU", "MaxPooling2D", "Conv2D", "ReLU", "MaxPooling2D", "Flatten",
    ]  # fmt: skip
    assert encoder.output_shape == (None, 6 * 6 * 64)
    assert model.get_layer("cell").cell.units == 128
    assert model.get_layer("head").units == 128


def test_depth_adds_convolutions_and_takes_them_away() -> None:
    for depth in (1, 3):
        encoder = build_model(ModelConfig(**SMALL, depth=depth)).get_layer("per_frame").layer
        assert sum(isinstance(layer, tf_keras.layers.Conv2D) for layer in encoder.layers) == depth


def test_pooling_and_activation_are_what_was_asked_for() -> None:
    config = ModelConfig(preset="small", width=16, height=16, classes=2, pooling="average", activation="tanh")
    kinds = {type(layer).__name__ for layer in build_model(config).get_layer("per_frame").layer.layers}
    assert "AveragePooling2D" in kinds
    assert "MaxPooling2D" not in kinds
    assert "ReLU" not in kinds


def test_a_difference_is_zero_at_the_first_frame() -> None:
    config = ModelConfig(**SMALL, input="difference")
    model = build_model(config)
    seen = tf_keras.Model(model.input, model.get_layer("difference").output)(clips(config)).numpy()
    assert (seen[:, 0] == 0).all()
    assert seen[:, 1:].max() <= 1


def test_bounds_clip_the_encoder_and_the_cell() -> None:
    bounds = Bounds(activations={"conv1_activation": 0.5}, pre=6.0, c=1.0)
    model = build_model(ModelConfig(**SMALL, bounds=bounds))
    encoder = model.get_layer("per_frame").layer
    assert encoder.get_layer("conv1_activation").get_config()["max_value"] == 0.5
    assert encoder.get_layer("conv2_activation").get_config()["max_value"] is None
    assert model.get_layer("cell").cell.bounds == {"pre": 6.0, "c": 1.0}


def test_wide_bounds_change_nothing() -> None:
    config = ModelConfig(**SMALL)
    plain = build_model(config)
    names = {layer.name: 1e6 for layer in plain.get_layer("per_frame").layer.layers}
    wide = build_model(ModelConfig(**SMALL, bounds=Bounds(activations=names, pre=1e6, c=1e6)))
    wide.set_weights(plain.get_weights())
    np.testing.assert_allclose(wide(clips(config)), plain(clips(config)), atol=1e-6)


def test_a_saved_model_says_the_same(tmp_path: Path) -> None:
    config = ModelConfig(**SMALL, input="difference", bounds=Bounds(pre=6.0, c=2.0))
    model = build_model(config)
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(clips(config)), model(clips(config)))


@pytest.mark.parametrize("bounds", [None, Bounds(activations={"a": 1.0}, pre=6.0)])
def test_a_configuration_survives_json_types(bounds: Bounds | None) -> None:
    config = ModelConfig(**SMALL, bounds=bounds)
    assert ModelConfig.from_plain(config.to_plain()) == config


def test_every_problem_of_a_configuration_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig(preset="tiny", width=4, height=16, classes=1, cell="lstn")  # type: ignore[arg-type]  # the point
    for words in ("width is 4", "classes is 1", "cell is 'lstn'"):
        assert words in str(caught.value)


def test_pictures_that_convolutions_use_up_are_refused() -> None:
    with pytest.raises(ConfigError, match="are used up by convolution 2"):
        build_model(ModelConfig(preset="article", width=8, height=8, classes=2, depth=3))


@pytest.mark.parametrize("filters", [None, (16, *([24] * 16), 640)])
def test_mobilenets_batch_statistics_follow_a_short_training(filters: tuple[int, ...] | None) -> None:
    config = ModelConfig(preset="mobilenet", input="rgb", width=32, height=32, classes=2, filters=filters)
    encoder = build_model(config).get_layer("per_frame").layer
    norms = [layer for layer in encoder.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.95}


def test_mobilenet_takes_a_file_of_weights_and_no_other(tmp_path: Path) -> None:
    config = ModelConfig(preset="mobilenet", input="rgb", width=32, height=32, classes=2)
    assert (config.scale, config.offset) == (2 / 255, -1.0)
    donor = build_model(config).get_layer("per_frame").layer
    for name in ("donor.weights.h5", "published.h5"):  # Keras's own form, and the older one of the published files
        donor.save_weights(tmp_path / name)
        encoder = build_model(config, weights=tmp_path / name).get_layer("per_frame").layer
        for mine, theirs in zip(encoder.get_weights(), donor.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    (tmp_path / "other.h5").write_bytes(b"none")
    for wrong in ("other.h5", "absent.h5"):
        with pytest.raises(ConfigError, match=wrong):
            build_model(config, weights=tmp_path / wrong)


def test_weights_for_a_preset_that_has_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--weights belongs to preset mobilenet, not to tiny"):
        build_model(ModelConfig(**SMALL), weights=tmp_path / "weights.h5")
