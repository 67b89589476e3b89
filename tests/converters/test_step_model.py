"""The step model as a whole: what it takes, gives and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from converters.step_model import StepModel, build_step_model
from runtime.errors import ConversionError, FrameError, UnsupportedLayerError

if TYPE_CHECKING:
    from pathlib import Path


def pixels(count: int, *frame: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, *frame), np.uint8)


@pytest.fixture(scope="module")
def cnn_lstm() -> StepModel:
    import tf_keras as keras

    layers = keras.layers
    encoder = keras.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(4, 3, strides=2, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="separable"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(8, activation="relu", name="dense"),
        ],
        name="encoder",
    )
    model = keras.Sequential(
        [
            layers.Input((None, 12, 12, 1)),
            layers.TimeDistributed(encoder),
            layers.LSTM(8, return_sequences=True, name="cell"),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    return build_step_model(model, scale=1 / 255, offset=0.0)


def test_a_tap_stands_wherever_an_integer_network_needs_a_range(cnn_lstm: StepModel) -> None:
    assert [tap.name for tap in cnn_lstm.taps] == [
        "frame",
        "encoder/relu",
        "encoder/separable/depthwise",
        "encoder/separable",
        "encoder/dense",
        "cell_h",
        "cell_c",
        "cell/from_input",
        "cell/from_h",
        "cell/pre",
        "cell/i",
        "cell/f",
        "cell/o",
        "cell/g",
        "cell/kept",
        "cell/added",
        "cell/activated_c",
        "head",
    ]


def test_ranges_that_follow_from_a_formula_stand_in_the_tap(cnn_lstm: StepModel) -> None:
    fixed = {tap.name: tap.fixed for tap in cnn_lstm.taps}
    assert fixed["cell/i"] == (0.0, 255 / 256)
    assert fixed["cell/g"] == fixed["cell_h"] == (-1.0, 127 / 128)
    assert fixed["cell_c"] is None
    assert fixed["head"] is None


def test_bounds_of_a_cell_stand_in_its_taps() -> None:
    import tf_keras as keras

    from converters.layers import BoundedLSTMCell

    model = keras.Sequential(
        [
            keras.layers.Input((None, 2, 2, 1)),
            keras.layers.Reshape((-1, 4)),
            keras.layers.RNN(BoundedLSTMCell(3, bounds={"pre": 6.0, "c": 1.0}), name="cell"),
            keras.layers.Softmax(),
        ]
    )
    taps = {tap.name: tap for tap in build_step_model(model, scale=1, offset=0).taps}
    assert {name for name, tap in taps.items() if tap.bound == (-6.0, 6.0)} == {
        "cell/from_input",
        "cell/from_h",
        "cell/pre",
    }
    assert taps["cell_c"].bound == (-1.0, 1.0)
    assert taps["cell/kept"].fixed == (-1.0, 1.0)


def test_observed_extremes_hold_a_tap_s_values_at_every_frame(cnn_lstm: StepModel) -> None:
    trace, states = cnn_lstm.observe(pixels(20, 12, 12, 1), cnn_lstm.initial_states())
    low, high = trace.lowest, trace.highest
    place = [tap.name for tap in cnn_lstm.taps].index("cell_c")
    assert low.shape == high.shape == (20, len(cnn_lstm.taps))
    assert low[-1, place] <= states["cell_c"].min()
    assert high[-1, place] >= states["cell_c"].max()


def test_observing_leaves_the_states_where_rolling_out_does(cnn_lstm: StepModel) -> None:
    frames, resets = pixels(9, 12, 12, 1), np.arange(9) % 4 == 3
    _, rolled = cnn_lstm.roll_out(frames, cnn_lstm.initial_states(), resets)
    _, observed = cnn_lstm.observe(frames, cnn_lstm.initial_states(), resets)
    # Not bit for bit: what observes keeps its operators apart, what does not has some fused.
    assert all(np.allclose(rolled[name], observed[name], atol=1e-6) for name in rolled)


@given(cut=st.integers(0, 12))
def test_a_stream_in_two_chunks_is_the_stream_in_one(cnn_lstm: StepModel, cut: int) -> None:
    frames = pixels(12, 12, 12, 1)
    whole, end = cnn_lstm.roll_out(frames, cnn_lstm.initial_states())
    first, states = cnn_lstm.roll_out(frames[:cut], cnn_lstm.initial_states())
    second, states = cnn_lstm.roll_out(frames[cut:], states)
    assert np.array_equal(whole, np.concatenate([first, second]))
    assert all(np.array_equal(end[name], states[name]) for name in end)


def test_a_reset_before_a_frame_is_a_stream_that_starts_there(cnn_lstm: StepModel) -> None:
    frames, resets = pixels(10, 12, 12, 1), np.arange(10) == 6
    whole, _ = cnn_lstm.roll_out(frames, cnn_lstm.initial_states(), resets)
    alone, _ = cnn_lstm.roll_out(frames[6:], cnn_lstm.initial_states())
    assert np.array_equal(whole[6:], alone)


def test_frames_of_another_size_are_refused(cnn_lstm: StepModel) -> None:
    with pytest.raises(FrameError) as error:
        cnn_lstm.roll_out(pixels(2, 12, 10, 1), cnn_lstm.initial_states())
    assert str(error.value) == (
        "Frames are uint8 (12, 10, 1); the model expects uint8 (12, 12, 1). Pass them through Preprocessor first."
    )


def saved(step: StepModel, folder: Path, *, int8: bool = False) -> tuple[bytes, Any]:
    ranges = None
    if int8:
        trace, _ = step.observe(pixels(50, *step.frame_shape), step.initial_states())
        low, high = trace.lowest.min(0), trace.highest.max(0)
        ranges = {
            tap.name: tap.fixed or tap.bound or (min(0.0, float(low[i])), max(1e-3, float(high[i])))
            for i, tap in enumerate(step.taps)
        }
    step.save(folder, ranges=ranges)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["step"])
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    content = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return content, interpreter


def ops_of(interpreter: Any) -> list[str]:
    return [str(op["op_name"]) for op in interpreter._get_ops_details()]


NOT_IN_A_STEP = {"WHILE", "IF", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "TRANSPOSE", "CUSTOM"}


def test_the_saved_step_has_its_tensors_by_name_and_answers_like_the_roll_out(
    cnn_lstm: StepModel, tmp_path: Path
) -> None:
    _, interpreter = saved(cnn_lstm, tmp_path)
    frames = pixels(5, 12, 12, 1)
    expected, _ = cnn_lstm.roll_out(frames, cnn_lstm.initial_states())
    runner = interpreter.get_signature_runner("step")
    states = cnn_lstm.initial_states()
    for frame, answer in zip(frames, expected, strict=True):
        states = runner(frame=frame[None], **states)
        assert np.abs(states.pop("probabilities")[0] - answer).max() < 1e-6


def test_the_float_step_is_one_partition_behind_the_cast(cnn_lstm: StepModel, tmp_path: Path) -> None:
    _, interpreter = saved(cnn_lstm, tmp_path)
    ops = ops_of(interpreter)
    assert not NOT_IN_A_STEP & set(ops)
    # The converter sets the cast of the frame behind the product of h; the delegate takes all on either side of it.
    assert [op for op in ops if op in ("CAST", "DELEGATE")] == ["CAST", "DELEGATE", "DELEGATE"]
    assert len([op for op in ops if op in ("MUL", "ADD")]) == 5  # the cell's own: scale and norm are folded away


def test_the_integer_step_has_no_float_but_at_its_edges(cnn_lstm: StepModel, tmp_path: Path) -> None:
    _, interpreter = saved(cnn_lstm, tmp_path, int8=True)
    types = {detail["index"]: np.dtype(detail["dtype"]).name for detail in interpreter.get_tensor_details()}
    floats = [
        op["op_name"]
        for op in interpreter._get_ops_details()
        if op["op_name"] != "DELEGATE" and any(types.get(index) == "float32" for index in op["outputs"])
    ]
    assert set(floats) <= {"CAST", "MUL", "DEQUANTIZE", "SOFTMAX"}
    assert floats.count("MUL") == 1  # the picture's scale


def test_a_causal_convolution_over_time_converts_to_integers(family: Any, parity: Any, tmp_path: Path) -> None:
    look = family.layers.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="relu")
    step = parity(family.sequential(*family.features(), look))
    _, interpreter = saved(step, tmp_path, int8=True)
    types = {detail["index"]: np.dtype(detail["dtype"]).name for detail in interpreter.get_tensor_details()}
    products = [op for op in interpreter._get_ops_details() if op["op_name"] == "CONV_2D"]
    assert {types[index] for op in products for index in op["outputs"]} == {"int8"}


def test_a_tap_without_a_range_stays_float(cnn_lstm: StepModel, tmp_path: Path) -> None:
    cnn_lstm.save(tmp_path, ranges={"frame": (0.0, 1.0)})
    graph = tf.saved_model.load(str(tmp_path)).step.concrete_functions[0].graph
    assert [op.type for op in graph.get_operations()].count("FakeQuantWithMinMaxArgs") == 1


def test_layers_called_as_they_are_keep_their_weights_in_the_saved_step(
    family: Any, parity: Any, tmp_path: Path
) -> None:
    layers = family.layers
    step = parity(
        family.sequential(
            *family.per_frame(layers.Conv2DTranspose(2, 3), layers.Flatten()),
            layers.SimpleRNN(3, return_sequences=True),
        )
    )
    _, interpreter = saved(step, tmp_path)
    assert "TRANSPOSE_CONV" in ops_of(interpreter)
    assert not NOT_IN_A_STEP & set(ops_of(interpreter))


def test_single_pictures_have_no_state(family: Any, parity: Any) -> None:
    layers = family.layers
    model = family.keras.Sequential(
        [layers.Input((6, 6, 3)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(2, "softmax")]
    )
    assert parity(model).states == ()


def test_clips_of_single_pictures_have_no_state(family: Any, parity: Any) -> None:
    assert parity(family.sequential(*family.features())).states == ()


def test_one_sigmoid_unit_becomes_two_classes(family: Any, parity: Any) -> None:
    layers = family.layers
    step = parity(family.sequential(*family.features(), layers.LSTM(3), layers.Dense(1, "sigmoid"), head=False))
    answers, _ = step.roll_out(pixels(3, 6, 6, 1), step.initial_states())
    assert step.classes == 2
    assert answers.sum(1) == pytest.approx(1)
    assert step.notes == ("The one sigmoid unit p became the two classes 1-p and p.",)


def test_logits_get_a_softmax(family: Any, parity: Any) -> None:
    step = parity(family.sequential(*family.features(), family.layers.LSTM(3, return_sequences=True), head=False))
    answers, _ = step.roll_out(pixels(3, 6, 6, 1), step.initial_states())
    assert answers.sum(1) == pytest.approx(1)
    assert step.notes == ("The model ends in logits; the step puts a softmax behind them.",)


def test_the_mean_of_two_softmaxes_is_left_alone(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras
    clips = family.clips()
    flat = layers.Reshape((-1, 36))(clips)
    heads = [layers.Dense(3, "softmax")(flat), layers.Softmax()(layers.Dense(3)(flat))]
    assert parity(keras.Model(clips, layers.Average()(heads))).finish == "as it is"


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((None, 8), "The model's input has shape [?, ?, 8]; a step takes pictures."),
        (
            (None, 6, None, 1),
            "The model's input has shape [?, ?, 6, ?, 1], and a step needs height, width and channels.",
        ),
        ((6, 6, 2), "The model's input has 2 channels; a frame has 1 (gray) or 3 (rgb)."),
    ],
)
def test_an_input_that_is_no_picture_is_refused(family: Any, shape: tuple[int | None, ...], text: str) -> None:
    layers = family.layers
    model = family.keras.Sequential([layers.Input(shape), layers.Activation("tanh")])
    with pytest.raises(ConversionError) as error:
        build_step_model(model, scale=1, offset=0)
    assert str(error.value).startswith(text)


def test_an_answer_that_is_no_class_is_refused(family: Any, parity: Any) -> None:
    with pytest.raises(ConversionError, match="ends in one unit without a sigmoid"):
        parity(family.sequential(*family.features(), family.layers.Dense(1), head=False))
    with pytest.raises(ConversionError, match=r"has shape \[1, 6, 6, 1\], not one number a class"):
        parity(family.sequential(family.layers.Activation("tanh"), head=False))


def test_an_unknown_layer_is_called_as_it_is_within_a_frame_alone(family: Any, parity: Any) -> None:
    class Doubled(family.layers.Layer):  # type: ignore[misc]  # a class of a fixture
        def call(self, x: Any) -> Any:
            return x * 2

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    step = parity(family.sequential(*family.per_frame(family.layers.Flatten(), Doubled(name="mine"))))
    assert step.notes == ("mine: framestep has no rule for Doubled and calls the layer as it is.",)
    with pytest.raises(UnsupportedLayerError, match=r"'other' \(Doubled\)"):
        parity(family.sequential(Doubled(name="other")))


def test_a_lambda_is_called_as_it_is_within_a_frame_alone(family: Any, parity: Any) -> None:
    layers, keras = family.layers, family.keras

    def doubled() -> Any:
        return layers.Lambda(lambda x: x * 2, output_shape=lambda shape: shape, name="mine")

    picture = layers.Input((6, 6, 1))
    encoder = keras.Model(picture, layers.Flatten()(doubled()(picture)))
    parity(family.sequential(layers.TimeDistributed(encoder), layers.GRU(3)))
    with pytest.raises(UnsupportedLayerError, match=r"'mine' \(Lambda\).*what its code does over time"):
        parity(family.sequential(doubled(), *family.features()))
    with pytest.raises(UnsupportedLayerError, match=r"'mine' \(Lambda\).*what its code does over time"):
        parity(family.functional(lambda clips: layers.Reshape((-1, 36))(doubled()(clips))))


def test_somebody_s_class_of_a_known_name_is_not_taken_for_it(family: Any, parity: Any) -> None:
    class LSTM(family.layers.LSTM):  # type: ignore[misc]  # a class of a fixture
        pass

    with pytest.raises(UnsupportedLayerError):
        parity(family.sequential(*family.features(), LSTM(3)))


def test_the_branches_of_a_concatenation_take_its_range_at_once() -> None:
    layers = tf_keras.layers
    pictures = layers.Input((6, 6, 2))
    flat = [layers.Flatten()(layers.AveragePooling2D(size)(pictures)) for size in ((2, 1), (1, 2))]
    dense = [layers.Dense(4, name=f"branch{i}")(each) for i, each in enumerate(flat)]
    encoder = tf_keras.Model(pictures, layers.Concatenate(name="both")(dense), name="encoder")
    clips = layers.Input((None, 6, 6, 1))
    wide = layers.TimeDistributed(layers.Conv2D(2, 1))(clips)
    features = layers.TimeDistributed(encoder)(wide)
    model = tf_keras.Model(clips, layers.Dense(3, activation="softmax")(features))
    names = {tap.name for tap in build_step_model(model, scale=1 / 255, offset=0.0).taps}
    assert "encoder/both" in names
    assert not {"encoder/branch0", "encoder/branch1"} & names
