from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tf_keras

from converters import layers
from converters.layers import keras3
from converters.layers.formulas import bound_at, clip
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = [
    (layers.BoundedLSTMCell, tf_keras.layers.LSTMCell, {}),
    (layers.BoundedGRUCell, tf_keras.layers.GRUCell, {}),
    (layers.BoundedGRUCell, tf_keras.layers.GRUCell, {"reset_after": False}),
    (layers.BoundedRNNCell, tf_keras.layers.SimpleRNNCell, {}),
]


def clips(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=shape).astype("float32") * 4


def both(cell: Any, plain: Any, options: dict[str, Any], bounds: Any) -> tuple[Any, Any]:
    ours = tf_keras.layers.RNN(cell(5, bounds=bounds, **options), return_sequences=True)
    theirs = tf_keras.layers.RNN(plain(5, **options), return_sequences=True)
    x = clips(2, 6, 3)
    ours(x), theirs(x)
    ours.set_weights(theirs.get_weights())
    return ours(x).numpy(), theirs(x).numpy()


@pytest.mark.parametrize(("cell", "plain", "options"), PLAIN)
def test_a_cell_without_bounds_is_the_plain_cell_bit_for_bit(cell: Any, plain: Any, options: dict[str, Any]) -> None:
    ours, theirs = both(cell, plain, options, None)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(("cell", "plain", "options"), PLAIN)
def test_bounds_that_nothing_reaches_change_nothing(cell: Any, plain: Any, options: dict[str, Any]) -> None:
    ours, theirs = both(cell, plain, options, {"pre": 1e4, "c": 1e4})
    assert np.abs(ours - theirs).max() < 1e-6


@pytest.mark.parametrize(("cell", "plain", "options"), PLAIN)
def test_tight_bounds_change_the_answer(cell: Any, plain: Any, options: dict[str, Any]) -> None:
    ours, theirs = both(cell, plain, options, {"pre": 0.3, "c": 0.1})
    assert np.abs(ours - theirs).max() > 0.01


def test_a_bounded_c_stays_within_its_bound() -> None:
    layer = tf_keras.layers.RNN(layers.BoundedLSTMCell(5, bounds={"c": 0.25}), return_state=True)
    _, _, c = layer(clips(2, 30, 3))
    assert np.abs(c.numpy()).max() == pytest.approx(0.25)


def conv_lstms(bounds: Any) -> tuple[Any, Any]:
    options = {"padding": "same", "return_sequences": True}
    ours = layers.BoundedConvLSTM2D(4, 3, bounds=bounds, **options)
    theirs = tf_keras.layers.ConvLSTM2D(4, 3, **options)
    x = clips(2, 5, 6, 6, 3)
    ours(x), theirs(x)
    ours.set_weights(theirs.get_weights())
    return ours(x).numpy(), theirs(x).numpy()


def test_a_convolutional_lstm_without_bounds_is_the_plain_layer_bit_for_bit() -> None:
    ours, theirs = conv_lstms(None)
    assert np.array_equal(ours, theirs)


def test_a_convolutional_lstm_clips_where_it_has_bounds() -> None:
    ours, theirs = conv_lstms({"pre": 1e4, "c": 1e4})
    assert np.abs(ours - theirs).max() < 1e-6
    ours, theirs = conv_lstms({"pre": 0.3, "c": 0.1})
    assert np.abs(ours - theirs).max() > 0.01


@pytest.mark.parametrize(("kind", "ends"), [("elu", [np.expm1(-4.0), 1.5]), ("tanh", [-np.tanh(1.5), np.tanh(1.5)])])
def test_a_bounded_activation_clips_what_it_is_given(kind: Any, ends: list[float]) -> None:
    answer = layers.BoundedActivation(kind, bound=1.5)(np.array([-20.0, 0.5, 20.0], "float32")).numpy()
    plain = tf_keras.activations.get(kind)(np.array([[0.5]], "float32")).numpy().item()
    assert answer == pytest.approx([ends[0], plain, ends[1]], abs=1e-6)


def test_an_activation_that_has_no_bounded_form_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        layers.BoundedActivation("softplus", bound=2.0)  # type: ignore[arg-type]  # what is tested
    assert str(error.value) == (
        "BoundedActivation has activation 'softplus' and bound 2.0. Give elu or tanh, and a finite number above 0."
    )


def test_each_place_of_a_cell_has_its_bound_or_the_one_of_all() -> None:
    bounds = {"pre": 6.0, "candidate": 3.0, "from_h": 2.0}
    places = ("from_input", "from_h", "from_reset", "pre", "pre_z", "pre_g", "c", "h")
    assert [bound_at(bounds, place) for place in places] == [6.0, 2.0, 2.0, 6.0, 6.0, 3.0, None, None]


@pytest.mark.parametrize(("cell", "plain", "options"), PLAIN)
def test_a_limiter_sees_every_place_before_it_is_clipped(cell: Any, plain: Any, options: dict[str, Any]) -> None:
    seen: dict[str, float] = {}

    def limiter(place: str, x: Any) -> Any:
        seen[place] = float(np.abs(x).max())
        return clip(x, bound_at(bounds, place))

    bounds = {"pre": 0.3}
    x, states = clips(1, 3), [np.zeros((1, 5), "float32")] * (2 if plain is tf_keras.layers.LSTMCell else 1)
    ours = cell(5, bounds=bounds, **options)
    expected = ours(x, states)[0].numpy()
    ours.limiter = limiter
    assert np.array_equal(ours(x, states)[0], expected)
    assert {"kernel", "recurrent_kernel", "from_input", "from_h", "h"} <= set(seen)
    assert seen["from_input"] > 0.3


def test_a_bounded_cell_keeps_its_dropout() -> None:
    layer = tf_keras.layers.RNN(layers.BoundedLSTMCell(5, bounds={"pre": 6.0}, dropout=0.9))
    x = clips(1, 3, 4)
    assert not np.array_equal(layer(x, training=True).numpy(), layer(x, training=False).numpy())


def test_a_bound_of_another_name_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        layers.BoundedLSTMCell(5, bounds={"gate": 3.0, "c": -1.0})
    assert str(error.value) == (
        "Bounds of the cell: 'gate' is not one of pre, from_input, from_h, from_c, candidate, c; c is -1.0, not above "
        "0. Give finite numbers above 0 for these names."
    )


@pytest.mark.parametrize("family", [keras3, layers])
def test_the_article_s_cell_follows_its_formula(family: Any) -> None:
    cell = family.PeepholeLSTMCell(2)
    x, h, c = clips(1, 3), clips(1, 2), clips(1, 2)
    answer, (new_h, new_c) = cell(x, [h, c])
    w, u, p, b = (np.asarray(weight) for weight in cell.get_weights())
    i, f, g, o = np.split(x @ w + h @ u + c @ p + b, 4, axis=-1)

    def sigmoid(v: Any) -> Any:
        return 1 / (1 + np.exp(-v))

    expected_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    assert np.allclose(new_c, expected_c, atol=1e-6)
    assert np.allclose(new_h, sigmoid(o) * np.tanh(expected_c), atol=1e-6)
    assert np.array_equal(answer, new_h)


@pytest.mark.parametrize("family", [keras3, layers])
def test_a_difference_is_nothing_at_first_then_the_change_up_to_the_limit(family: Any) -> None:
    frames = np.array([0.5, 0.6, 0.1], "float32").reshape(1, 3, 1, 1, 1)
    difference = family.FrameDifference(gain=4.0, limit=1.0)(frames)
    assert np.asarray(difference).ravel() == pytest.approx([0.0, 0.4, 1.0], abs=1e-6)


@pytest.mark.parametrize(("keras_", "family"), [(keras, keras3), (tf_keras, layers)])
def test_a_saved_network_comes_back_with_the_layers(keras_: Any, family: Any, tmp_path: Path) -> None:
    model = keras_.Sequential(
        [
            keras_.layers.Input((None, 4, 4, 1)),
            family.FrameDifference(),
            keras_.layers.TimeDistributed(keras_.layers.Flatten()),
            keras_.layers.RNN(family.PeepholeLSTMCell(3, bounds={"c": 1.0})),
        ]
    )
    model.save(tmp_path / "model.keras")
    again = keras_.models.load_model(tmp_path / "model.keras")
    x = clips(1, 5, 4, 4, 1)
    assert np.array_equal(np.asarray(model(x)), np.asarray(again(x)))
