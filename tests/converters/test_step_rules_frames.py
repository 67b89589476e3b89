"""Per-frame layers, in both families: the step says what the whole clip says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.errors import UnsupportedLayerError

ENCODERS: dict[str, Any] = {
    "conv, batch normalisation, relu": lambda k: [
        k.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
        k.BatchNormalization(),
        k.ReLU(),
        k.Conv2D(3, 2, dilation_rate=2, activation="relu"),
        k.BatchNormalization(scale=False),
    ],
    "separable and depthwise": lambda k: [
        k.SeparableConv2D(4, 3, depth_multiplier=2, activation="tanh"),
        k.BatchNormalization(center=False),
        k.LeakyReLU(0.2),
        k.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False),
        k.BatchNormalization(),
        k.ReLU(0.5),
    ],
    "pooling": lambda k: [
        k.ZeroPadding2D(1),
        k.MaxPooling2D(2),
        k.Conv2D(4, 1),
        k.AveragePooling2D(2, padding="same"),
        k.Cropping2D(((0, 1), (0, 0))),
        k.AveragePooling2D((1, 2)),
    ],
    "global pooling": lambda k: [k.Conv2D(4, 3, activation="elu"), k.GlobalAveragePooling2D(keepdims=True)],
    "largest": lambda k: [k.Conv2D(4, 3), k.GlobalMaxPooling2D()],
    "normalisation": lambda k: [
        k.Rescaling(2.0, offset=-0.5),
        k.Conv2D(4, 3),
        k.LayerNormalization(),
        k.Rescaling(0.5),
        k.BatchNormalization(),
        k.LayerNormalization(axis=[1, 2]),
        k.UnitNormalization(),
    ],
    "relu kinds": lambda k: [
        k.ReLU(max_value=6.0),
        k.Conv2D(4, 3),
        k.ReLU(negative_slope=0.1, threshold=0.2, max_value=1.0),
        k.PReLU(shared_axes=[1, 2]),
        k.ELU(alpha=0.5),
        k.Softmax(),
    ],
    "moved about": lambda k: [
        k.Permute((2, 1, 3)),
        k.Reshape((4, 9, 1)),
        k.Conv2D(2, 2, padding="same"),
        k.Dense(3),
        k.Reshape((-1, 6)),
        k.Dense(2),
    ],
    "called as they are": lambda k: [k.Conv2DTranspose(2, 3, activation="relu"), k.UpSampling2D(2)],
    "outside training": lambda k: [
        k.GaussianNoise(1.0),
        k.SpatialDropout2D(0.5),
        k.Dropout(0.5),
        k.GaussianDropout(0.5),
    ],
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_of(family: Any, parity: Any, kind: str) -> None:
    layers, keras = family.layers, family.keras
    encoder = keras.Sequential([layers.Input((6, 6, 1)), *ENCODERS[kind](layers), layers.Flatten()])
    parity(family.sequential(layers.TimeDistributed(encoder), layers.SimpleRNN(3, return_sequences=True)))


def test_means_over_one_axis(parity: Any) -> None:
    import tf_keras

    from converters.layers import AxisMean

    layers = tf_keras.layers
    picture = layers.Input((6, 5, 1))
    means = [layers.Flatten()(AxisMean(axis=axis)(layers.Conv2D(2, 2)(picture))) for axis in (1, 2)]
    encoder = tf_keras.Model(picture, layers.Concatenate()(means))
    clips = layers.Input((None, 6, 5, 1))
    features = layers.TimeDistributed(encoder)(clips)
    parity(tf_keras.Model(clips, layers.SimpleRNN(3, activation="softmax")(features)))


ACTIVATIONS = [
    "relu",
    "relu6",
    "sigmoid",
    "tanh",
    "softmax",
    "softplus",
    "softsign",
    "elu",
    "selu",
    "exponential",
    "swish",
    "gelu",
    "hard_sigmoid",
    "mish",
    "linear",
]


def test_every_activation(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.TimeDistributed(layers.Flatten())(clips)
        inside = [layers.Dense(2, activation=name)(flat) for name in ACTIVATIONS]
        behind = [layers.Activation(name)(layers.Dense(2)(flat)) for name in ACTIVATIONS]
        return layers.Concatenate()(inside + behind)

    parity(family.functional(build))


def test_the_hard_sigmoid_is_the_family_s_own(family: Any, parity: Any) -> None:
    layers = family.layers
    model = family.keras.Sequential(
        [
            family.clips(1, 1, 1),
            layers.Reshape((-1, 1)),
            layers.Dense(2, activation="hard_sigmoid"),
        ]
    )
    model.set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    step = parity(model)
    answer, _ = step.roll_out(np.full((1, 1, 1, 1), 191, np.uint8), step.initial_states())
    x = 191 / 255 - 0.25
    apart = 2 * x / (5 if family.name == "tf_keras" else 6)  # of the ramp at x and at -x, then the softmax of both
    assert answer[0, 0] == pytest.approx(1 / (1 + np.exp(-apart)), abs=1e-6)


def test_layers_on_the_time_axis(family: Any, parity: Any) -> None:
    layers = family.layers
    parity(
        family.sequential(
            layers.TimeDistributed(layers.Flatten()),
            layers.Dense(4, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.LayerNormalization(),
            layers.Activation("tanh"),
            layers.SpatialDropout1D(0.5),
            layers.Reshape((-1, 2, 2)),
            layers.Permute((1, 3, 2)),
            layers.Reshape((-1, 4)),
            layers.LeakyReLU(),
            layers.PReLU(shared_axes=[1]),
            layers.LSTM(3, return_sequences=True),
            layers.LayerNormalization(),
            layers.Softmax(),
        )
    )


def test_a_fixed_clip_may_be_reshaped_within_its_frames(family: Any, parity: Any) -> None:
    layers = family.layers
    parity(family.sequential(layers.Reshape((7, 36)), layers.GRU(3, return_sequences=True), length=7))


def test_merges(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.TimeDistributed(layers.Flatten())(clips)
        a, b, c = (layers.Dense(3)(flat) for _ in range(3))
        shared = layers.Dense(3, activation="tanh")
        merged = [
            layers.ReLU()(layers.Add()([a, b, c])),
            layers.Subtract()([a, b]),
            layers.Multiply()([a, b, c]),
            layers.Average()([a, b, c]),
            layers.Maximum()([a, b, c]),
            layers.Minimum()([shared(a), shared(b)]),
        ]
        return layers.LSTM(3, return_sequences=True)(layers.Concatenate(axis=2)(merged))

    parity(family.functional(build))


def test_a_convolution_that_others_read_is_not_folded_away(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        x = layers.TimeDistributed(layers.Conv2D(3, 3))(clips)
        normal = layers.TimeDistributed(layers.BatchNormalization())(x)
        both = layers.Add()([x, normal, layers.ReLU()(x), layers.ReLU()(normal)])
        return layers.TimeDistributed(layers.GlobalAveragePooling2D())(both)

    parity(family.functional(build))


def test_every_product_of_a_shared_layer_has_a_tap_of_its_own(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.TimeDistributed(layers.Flatten())(clips)
        shared = layers.Dense(36, name="again")
        return shared(shared(flat))

    step = parity(family.functional(build))
    assert [tap.name for tap in step.taps][1:3] == ["again", "again.1"]


@pytest.mark.parametrize("reach", [(1, 1), (3, 1), (2, 4), (3, 2)])
def test_a_causal_convolution_over_time(family: Any, parity: Any, reach: tuple[int, int]) -> None:
    size, dilation = reach
    layers = family.layers
    step = parity(
        family.sequential(
            *family.features(),
            layers.Conv1D(4, size, dilation_rate=dilation, padding="causal", name="look", activation="relu"),
        )
    )
    assert [state.shape for state in step.states] == ([] if size == 1 else [(1, (size - 1) * dilation * 5)])


def test_causal_convolutions_one_above_the_other(family: Any, parity: Any) -> None:
    layers = family.layers
    parity(
        family.sequential(
            *family.features(6),
            layers.Conv1D(4, 2, padding="causal", groups=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv1D(4, 3, dilation_rate=2, padding="causal", groups=2),
            layers.Conv1D(2, 1, padding="valid"),
        )
    )


def test_the_difference_of_frames(family: Any, parity: Any) -> None:
    layers = family.layers
    step = parity(
        family.sequential(
            family.own.FrameDifference(), *family.features(), layers.GRU(3, return_sequences=True, name="cell")
        )
    )
    assert [state.name for state in step.states] == ["previous", "started", "cell_h"]


def test_the_difference_beside_the_frame_itself(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        both = layers.Concatenate()([clips, family.own.FrameDifference(gain=2.0, limit=0.5)(clips)])
        return layers.TimeDistributed(layers.Flatten())(both)

    parity(family.functional(build, 3, 3, 3))


def refused(family: Any, parity: Any, *stack: Any, **shape: Any) -> str:
    with pytest.raises(UnsupportedLayerError) as error:
        parity(family.sequential(*stack, **shape))
    return str(error.value)


TIMED: dict[str, tuple[Any, str]] = {
    "GlobalAveragePooling1D": (lambda k: [k.GlobalAveragePooling1D()], "pools over the frames"),
    "GlobalMaxPooling1D": (lambda k: [k.GlobalMaxPooling1D()], "pools over the frames"),
    "MaxPooling1D": (lambda k: [k.MaxPooling1D(2)], "pools over the frames"),
    "AveragePooling1D": (lambda k: [k.AveragePooling1D(2)], "pools over the frames"),
    "RepeatVector": (lambda k: [k.LSTM(3), k.RepeatVector(4)], "repeats one answer"),
    "Masking": (lambda k: [k.Masking()], "masks frames"),
    "same": (lambda k: [k.Conv1D(3, 3, padding="same")], "padding='same' lets it see frames to come"),
    "valid": (lambda k: [k.Conv1D(3, 2, padding="valid")], "padding='valid' lets it see frames to come"),
    "LayerNormalization": (lambda k: [k.LayerNormalization(axis=1)], "its axis 1 is time"),
    "BatchNormalization": (lambda k: [k.BatchNormalization(axis=1)], "its axis 1 is time"),
    "Softmax": (lambda k: [k.Softmax(axis=1)], "its axis 1 is time"),
    "Permute": (lambda k: [k.Permute((2, 1))], "it moves the time axis"),
    "Reshape": (lambda k: [k.Reshape((35,))], "mixes frames"),
    "Flatten": (lambda k: [k.Flatten()], "lays all frames of a clip side by side"),
    "UpSampling1D": (lambda k: [k.UpSampling1D(2)], "makes the clip longer or shorter"),
    "ZeroPadding1D": (lambda k: [k.ZeroPadding1D(2)], "makes the clip longer or shorter"),
    "SeparableConv1D": (lambda k: [k.SeparableConv1D(3, 2)], "its kernel reaches over frames to come"),
}


@pytest.mark.parametrize("kind", TIMED)
def test_what_mixes_frames_is_refused(family: Any, parity: Any, kind: str) -> None:
    make, reason = TIMED[kind]
    assert reason in refused(family, parity, *family.features(), *make(family.layers), length=7)


def test_convolution_over_three_axes_is_refused(family: Any, parity: Any) -> None:
    layers = family.layers
    assert "its kernel reaches over frames to come" in refused(
        family, parity, layers.Conv3D(2, 3), *family.per_frame(layers.Flatten())
    )


@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention", "MultiHeadAttention", "Dot", "Concatenate"])
def test_what_weighs_all_frames_is_refused(family: Any, parity: Any, kind: str) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.Dense(4)(layers.Reshape((-1, 36))(clips))
        if kind == "MultiHeadAttention":
            return layers.MultiHeadAttention(2, 2, name="look")(flat, flat)
        options = {"axes": 2} if kind == "Dot" else {"axis": 1} if kind == "Concatenate" else {}
        return getattr(layers, kind)(name="look", **options)([flat, flat])

    with pytest.raises(UnsupportedLayerError, match="'look'"):
        parity(family.functional(build, length=7))


def test_a_clip_s_last_answer_is_not_spread_over_its_frames(family: Any, parity: Any) -> None:
    layers = family.layers

    def build(clips: Any) -> Any:
        flat = layers.Reshape((-1, 36))(clips)
        return layers.Add(name="spread")([layers.Dense(3)(flat), layers.Reshape((1, 3))(layers.LSTM(3)(flat))])

    with pytest.raises(UnsupportedLayerError) as error:
        parity(family.functional(build))
    assert str(error.value) == (
        "Layer 'spread' (Add) cannot run one frame at a time: it spreads the answer of a whole clip over all frames, "
        "those before it included. Set return_sequences=True on the recurrent layer."
    )
