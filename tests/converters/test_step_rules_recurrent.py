"""Every recurrent layer, in both families: the step says what the whole clip says."""

from __future__ import annotations

from typing import Any

import pytest

from converters.layers import (
    BoundedActivation,
    BoundedConvLSTM2D,
    BoundedGRUCell,
    BoundedLSTMCell,
    BoundedRNNCell,
)
from runtime.errors import UnsupportedLayerError

LAYERS: dict[str, list[dict[str, Any]]] = {
    "LSTM": [
        {},
        {"use_bias": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"dropout": 0.3, "recurrent_dropout": 0.2, "activation": "softsign"},
    ],
    "GRU": [
        {},
        {"reset_after": False},
        {"use_bias": False, "reset_after": True, "recurrent_activation": "hard_sigmoid"},
        {"use_bias": False, "reset_after": False, "activation": "softsign"},
    ],
    "SimpleRNN": [{}, {"use_bias": False, "activation": "sigmoid"}, {"activation": "softplus", "dropout": 0.5}],
}


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_recurrent_layer_with_every_option(family: Any, parity: Any, kind: str, sequences: bool) -> None:  # noqa: FBT001 - a parameter
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.Dense(4, activation="tanh")(layers.Reshape((-1, 36))(clips))
        made = [getattr(layers, kind)(3, return_sequences=sequences, **options)(flat) for options in LAYERS[kind]]
        return layers.Concatenate()(made)

    parity(family.functional(build))


def test_an_rnn_of_each_cell(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.Reshape((-1, 36))(clips)
        cells = [layers.LSTMCell(3), layers.GRUCell(3), layers.SimpleRNNCell(3)]
        return layers.Concatenate()([layers.RNN(cell, return_sequences=True)(flat) for cell in cells])

    parity(family.functional(build))


def test_the_article_s_cell_with_and_without_bounds(family: Any, parity: Any) -> None:
    cells = [family.own.PeepholeLSTMCell(4), family.own.PeepholeLSTMCell(4, bounds={"pre": 0.7, "c": 0.3})]
    stack = [family.layers.RNN(cell, return_sequences=True) for cell in cells]
    parity(family.sequential(*family.features(), *stack))


def test_stacked_cells(family: Any, parity: Any) -> None:
    layers = family.layers
    cells = [layers.LSTMCell(4), layers.GRUCell(3, reset_after=False), layers.SimpleRNNCell(2)]
    below = layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.GRUCell(2)]), return_sequences=True, name="t")
    step = parity(family.sequential(*family.features(), below, layers.RNN(cells, return_sequences=True, name="s")))
    assert [state.name for state in step.states][2:] == ["s_0_h", "s_0_c", "s_1_h", "s_2_h"]


def test_recurrent_layers_one_above_the_other(family: Any, parity: Any) -> None:
    layers = family.layers
    parity(
        family.sequential(
            *family.features(),
            layers.LSTM(4, return_sequences=True),
            layers.Dropout(0.5),
            layers.GRU(3, return_sequences=True),
            layers.SimpleRNN(2),
        )
    )


def test_bounded_cells(parity: Any) -> None:
    import tf_keras

    layers = tf_keras.layers
    cells = [
        BoundedLSTMCell(4, bounds={"pre": 0.7, "c": 0.3}),
        BoundedLSTMCell(4),
        BoundedGRUCell(4, bounds={"pre": 0.7}),
        BoundedGRUCell(4, bounds={"pre": 0.7}, reset_after=False),
        BoundedGRUCell(4, bounds={"pre": 0.7, "from_input": 0.5, "from_h": 0.2, "candidate": 0.4}),
        BoundedRNNCell(4, bounds={"pre": 0.7}),
    ]
    clips = layers.Input((None, 6, 6, 1))
    flat = layers.Dense(4)(layers.Reshape((-1, 36))(clips))
    ends = layers.Concatenate()([layers.RNN(cell, return_sequences=True)(flat) for cell in cells])
    parity(tf_keras.Model(clips, layers.Dense(3, activation="softmax")(ends)))


def test_returned_states_go_on_as_values(family: Any, parity: Any) -> None:
    layers = family.layers
    flat = family.layers.TimeDistributed(layers.Flatten())

    def build(clips: Any) -> Any:
        output, h, c = layers.LSTM(4, return_state=True)(flat(clips))
        return layers.Concatenate()([output, c, layers.Multiply()([h, c])])

    parity(family.functional(build))


def test_conv_lstm(family: Any, parity: Any) -> None:
    layers = family.layers
    parity(
        family.sequential(
            layers.ConvLSTM2D(3, 3, return_sequences=True, padding="same", strides=2, use_bias=False),
            layers.ConvLSTM2D(3, 2, return_sequences=True, recurrent_activation="hard_sigmoid", dilation_rate=2),
            *family.per_frame(layers.GlobalAveragePooling2D()),
        )
    )


def test_a_bounded_conv_lstm_between_bounded_activations(parity: Any) -> None:
    import tf_keras

    layers = tf_keras.layers
    stack = [
        layers.TimeDistributed(layers.Conv2D(3, 3)),
        layers.TimeDistributed(BoundedActivation("elu", bound=0.4)),
        BoundedConvLSTM2D(3, 3, bounds={"pre": 0.7, "from_h": 0.2, "c": 0.3}, return_sequences=True, name="cell"),
        layers.TimeDistributed(BoundedActivation("tanh", bound=0.1, name="end")),
        layers.TimeDistributed(layers.Flatten()),
    ]
    model = tf_keras.Sequential([layers.Input((None, 6, 6, 1)), *stack, layers.Dense(3, activation="softmax")])
    taps = {tap.name: tap for tap in parity(model).taps}
    assert taps["cell_c"].bound == (-0.3, 0.3)
    assert [taps[f"cell/{place}"].bound for place in ("from_input", "from_h")] == [(-0.7, 0.7), (-0.2, 0.2)]
    assert taps["end/tanh"].bound == (-0.1, 0.1)


def test_conv_lstm_without_sequences(family: Any, parity: Any) -> None:
    layers = family.layers
    parity(family.sequential(layers.ConvLSTM2D(3, 3), layers.Flatten()))


@pytest.mark.parametrize("length", [None, 7])
def test_a_stateful_model_is_the_same_step(family: Any, parity: Any, length: int | None) -> None:
    layers, keras = family.layers, family.keras
    clips = layers.Input(batch_shape=(1, length, 6, 6, 1))
    x = layers.TimeDistributed(layers.Flatten())(clips)
    x = layers.LSTM(4, stateful=True, return_sequences=True)(x)
    parity(keras.Model(clips, layers.Dense(3, activation="softmax")(x)))


@pytest.mark.parametrize("sequences", [True, False])
def test_a_model_of_a_fixed_clip_length(family: Any, parity: Any, sequences: bool) -> None:  # noqa: FBT001 - a parameter
    layers = family.layers
    parity(family.sequential(*family.features(), layers.GRU(4, return_sequences=sequences), length=7))


def test_unrolled(family: Any, parity: Any) -> None:
    parity(family.sequential(*family.features(), family.layers.LSTM(4, unroll=True), length=5))


def test_the_states_have_the_layer_s_name(family: Any, parity: Any) -> None:
    step = parity(family.sequential(*family.features(), family.layers.LSTM(4, name="my-cell")))
    assert {state.name: state.shape for state in step.states} == {"my_cell_h": (1, 4), "my_cell_c": (1, 4)}


REFUSED: dict[str, tuple[Any, str]] = {
    "Bidirectional": (
        lambda layers: layers.Bidirectional(layers.LSTM(4), name="two"),
        (
            "Layer 'two' (Bidirectional) cannot run one frame at a time: it reads the clip from its end, which has not "
            "come yet. Use the forward layer alone."
        ),
    ),
    "go_backwards": (
        lambda layers: layers.GRU(4, go_backwards=True, name="back"),
        (
            "Layer 'back' (GRU) cannot run one frame at a time: go_backwards starts at a frame that has not come yet. "
            "Train it with go_backwards=False."
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_the_whole_clip_is_refused_by_name(family: Any, parity: Any, case: str) -> None:
    make, text = REFUSED[case]
    with pytest.raises(UnsupportedLayerError) as error:
        parity(family.sequential(*family.features(), make(family.layers)))
    assert str(error.value) == text


def test_an_initial_state_from_another_layer_is_refused(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.TimeDistributed(layers.Flatten())(clips)
        _, h, c = layers.LSTM(4, return_state=True)(flat)
        return layers.LSTM(4, name="decoder")(flat, initial_state=[h, c])

    with pytest.raises(UnsupportedLayerError, match="'decoder'"):
        parity(family.functional(build))


def test_an_lstm_over_the_rows_of_a_picture_is_refused(family: Any, parity: Any) -> None:
    layers = family.layers
    with pytest.raises(UnsupportedLayerError, match="not the clip's time axis"):
        parity(family.sequential(*family.per_frame(layers.Reshape((6, 6)), layers.LSTM(4))))
