"""Models within models, branches, calls in any order: one graph, in both families."""

from __future__ import annotations

from typing import Any

import pytest

from converters.keras_graph import graph_of
from converters.step_model import build_step_model
from runtime.errors import ConversionError, UnsupportedLayerError


def test_models_within_models_are_laid_out_in_place(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    frame = layers.Input((6, 6, 1))
    x = layers.Conv2D(3, 3, name="conv")(frame)
    inner = keras.Sequential(
        [layers.Input((4, 4, 3)), layers.Flatten(name="f"), layers.Dense(4, name="d")], name="flat"
    )
    encoder = keras.Model(frame, inner(x), name="encoder")
    tail = keras.Sequential([layers.Input((None, 4)), layers.LSTM(3, name="cell"), layers.Dropout(0.5)], name="tail")
    model = family.sequential(layers.TimeDistributed(encoder), tail)
    assert [node.name for node in graph_of(model).nodes[:5]] == [
        "frame",
        "encoder/conv",
        "encoder/flat/f",
        "encoder/flat/d",
        "tail/cell",
    ]
    step = parity(model)
    assert [state.name for state in step.states] == ["tail_cell_h", "tail_cell_c"]


def test_a_functional_model_within_a_functional_one(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    inner_in = layers.Input((None, 36))
    a = layers.GRU(3, return_sequences=True)(inner_in)
    b = layers.SimpleRNN(3, return_sequences=True)(inner_in)
    inner = keras.Model(inner_in, layers.Concatenate()([a, layers.Add()([a, b])]), name="branches")

    def build(clips: Any) -> Any:
        flat = layers.TimeDistributed(layers.Flatten())(clips)
        return layers.LSTM(3)(inner(flat))

    parity(family.functional(build))


def test_a_model_of_several_outputs_within_a_model(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    inner_in = layers.Input((None, 36))
    x, h, c = layers.LSTM(3, return_sequences=True, return_state=True)(inner_in)
    inner = keras.Model(inner_in, [x, h, c], name="cell")

    def build(clips: Any) -> Any:
        _, h, c = inner(layers.Reshape((-1, 36))(clips))
        return layers.Concatenate()([c, h])

    parity(family.functional(build))


def test_a_model_called_twice_has_one_set_of_weights_and_two_of_states(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    shared = keras.Sequential([layers.Input((None, 4)), layers.LSTM(4, return_sequences=True, name="cell")], name="one")

    def build(clips: Any) -> Any:
        flat = layers.Dense(4)(layers.Reshape((-1, 36))(clips))
        return shared(shared(flat))

    step = parity(family.functional(build))
    assert [state.name for state in step.states] == ["one_cell_h", "one_cell_c", "one_1_cell_h", "one_1_cell_c"]


def test_recurrent_branches_beside_each_other(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        picture = layers.TimeDistributed(layers.Conv2D(2, 3, activation="relu"))(clips)
        flat = layers.TimeDistributed(layers.Flatten())(picture)
        convolved = layers.ConvLSTM2D(2, 3, padding="same")(picture)
        return layers.Concatenate()([layers.LSTM(3)(flat), layers.GRU(2)(flat), layers.Flatten()(convolved)])

    parity(family.functional(build))


def test_what_the_answer_does_not_need_has_no_state(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    clips = family.clips()
    flat = layers.Reshape((-1, 36))(clips)
    wanted = layers.Dense(2, activation="softmax")(layers.LSTM(3, name="a", return_sequences=True)(flat))
    whole = keras.Model(clips, [wanted, layers.LSTM(3)(flat)])
    step = parity(keras.Model(clips, whole.outputs[0]))
    assert [state.name for state in step.states] == ["a_h", "a_c"]


def test_a_model_made_from_the_middle_of_another(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    whole = family.sequential(layers.Reshape((-1, 36)), layers.GRU(3, name="cell", return_sequences=True))
    parity(keras.Model(whole.inputs, whole.get_layer("cell").output))


@pytest.mark.parametrize("structure", [lambda x: [x], lambda x: {"one": x}])
def test_one_input_and_one_output_may_stand_in_a_structure(family: Any, parity: Any, structure: Any) -> None:
    layers = family.layers
    clips = family.clips()
    answers = layers.Dense(3, activation="softmax")(layers.GRU(3)(layers.Reshape((-1, 36))(clips)))
    parity(family.keras.Model(clips, structure(answers)))
    parity(family.keras.Model([clips], answers))


def test_a_bare_operation_is_refused_by_name(family: Any, parity: Any) -> None:
    layers = family.layers
    with pytest.raises(UnsupportedLayerError, match="it is a bare operation"):
        parity(family.functional(lambda clips: layers.Reshape((-1, 36))(clips) * 2))


def test_a_second_input_is_refused(family: Any) -> None:
    layers, keras = family.layers, family.keras
    one, two = family.clips(), family.clips()
    model = keras.Model([one, two], layers.Add()([one, two]), name="pair")
    with pytest.raises(ConversionError) as error:
        build_step_model(model, scale=1, offset=0)
    assert str(error.value) == "Model 'pair' has 2 inputs; a step has one frame. Give one input."


def test_a_second_output_is_refused(family: Any) -> None:
    clips = family.clips()
    flat = family.layers.Reshape((-1, 36))(clips)
    model = family.keras.Model(clips, [flat, flat], name="pair")
    with pytest.raises(ConversionError, match="'pair' has 2 outputs"):
        build_step_model(model, scale=1, offset=0)


def test_a_subclassed_model_is_refused(family: Any) -> None:
    class Mine(family.keras.Model):  # type: ignore[misc]  # a class of a fixture
        def call(self, x: Any) -> Any:
            return x

    model = Mine(name="mine")
    with pytest.raises(ConversionError, match="'mine' is a subclassed Mine"):
        build_step_model(model, scale=1, offset=0)


def test_a_model_that_was_never_built_is_refused(family: Any) -> None:
    model = family.keras.Sequential([family.layers.LSTM(3)], name="new")
    with pytest.raises(ConversionError, match="'new' was never built"):
        build_step_model(model, scale=1, offset=0)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ConversionError, match="A dict is no Keras model"):
        build_step_model({}, scale=1, offset=0)
