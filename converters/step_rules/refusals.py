"""Layers without a step form, each with its reason and what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from converters.step_rules.registry import rule
from converters.step_rules.shapes import called

if TYPE_CHECKING:
    from converters.step_rules.scope import Call, Value


@rule("Bidirectional")
def bidirectional(call: Call) -> NoReturn:
    """Refuse what reads the clip from its end."""
    call.refuse("it reads the clip from its end, which has not come yet", "Use the forward layer alone.")


@rule("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupedQueryAttention", "GroupQueryAttention")
def attention(call: Call) -> NoReturn:
    """Refuse what weighs all frames of a clip."""
    call.refuse("attention weighs all frames of a clip, those to come included", "Use an LSTM or a GRU.")


_CLIP_POOLING = (
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPooling1D",
    "GlobalMaxPool1D",
    "MaxPooling1D",
    "MaxPool1D",
    "AveragePooling1D",
    "AvgPool1D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool3D",
    "GlobalMaxPooling3D",
    "GlobalMaxPool3D",
    "MaxPooling3D",
    "MaxPool3D",
    "AveragePooling3D",
    "AvgPool3D",
    "AdaptiveAveragePooling1D",
    "AdaptiveMaxPooling1D",
)


@rule(*_CLIP_POOLING)
def clip_pooling(call: Call) -> Value:
    """Refuse pooling over a clip's frames; within a frame it is as good as any."""
    if call.sees_time:
        call.refuse(
            "it pools over the frames of a clip, and a stream has no end",
            "Take a recurrent layer's last output (return_sequences=False).",
        )
    return call.answer(called(call.layer, call.value.ready()))


_TIME_CONVOLUTIONS = (
    "Conv3D",
    "Convolution3D",
    "Conv3DTranspose",
    "SeparableConv1D",
    "DepthwiseConv1D",
    "LocallyConnected1D",
)


@rule(*_TIME_CONVOLUTIONS)
def time_convolution(call: Call) -> Value:
    """Refuse convolutions that reach over time without being causal."""
    if call.sees_time:
        call.refuse("its kernel reaches over frames to come", "Use Conv1D with padding='causal'.")
    return call.answer(called(call.layer, call.value.ready()))


_CLIP_SHAPES = ("UpSampling1D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding3D", "Cropping1D", "Cropping3D")


@rule(*_CLIP_SHAPES)
def clip_shape(call: Call) -> Value:
    """Refuse what makes a clip longer or shorter."""
    if call.sees_time:
        call.refuse("it makes the clip longer or shorter", "Do it to the clips before training.")
    return call.answer(called(call.layer, call.value.ready()))


@rule("RepeatVector")
def repeat_vector(call: Call) -> NoReturn:
    """Refuse a new time axis made of one answer."""
    call.refuse(
        "it repeats one answer over a new time axis",
        "Set return_sequences=True on the recurrent layer.",
    )


@rule("Masking")
def masking(call: Call) -> NoReturn:
    """Refuse masks."""
    call.refuse("it masks frames, and a stream has none to leave out", "Train on clips without padding.")


@rule("ConvLSTM1D", "ConvLSTM3D")
def other_conv_lstm(call: Call) -> NoReturn:
    """Refuse convolutional LSTMs over other things than pictures."""
    call.refuse("its frames are not pictures of rows, columns and channels", "Use ConvLSTM2D.")


@rule("Dot")
def dot(call: Call) -> NoReturn:
    """Refuse products of two branches over their axes."""
    call.refuse("it multiplies two branches over their axes, as attention over time does", "Use Multiply.")


@rule("Lambda")
def lambda_layer(call: Call) -> Value:
    """Refuse code whose handling of time nobody can know; within a frame it is called."""
    if call.sees_time:
        call.refuse(
            "what its code does over time cannot be known",
            "Put it into TimeDistributed, or do it to the data.",
        )
    return call.answer(called(call.layer, call.value.ready()))


@rule("PruneLowMagnitude", "QuantizeWrapper", "QuantizeWrapperV2", "ClusterWeights")
def training_wrapper(call: Call) -> NoReturn:
    """Refuse wrappers that belong to training."""
    call.refuse("it is a wrapper for training", "Strip it first, as with tfmot's strip_pruning.")
