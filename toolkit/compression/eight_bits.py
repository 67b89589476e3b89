"""How one layer of an encoder is rounded while it is trained: what tensorflow-model-optimization asks of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.quantization.keras import QuantizeConfig, quantizers

from converters.step_rules.linear import PRUNED

if TYPE_CHECKING:
    from collections.abc import Sequence


def rounded_kernel(kernel: Any) -> Any:
    """Round a kernel to 255 steps around 0; the gradient passes.

    There is one scale for each output, its last axis, but for a pruned matrix: that has one scale, as in a file.
    """
    largest = tf.abs(kernel)
    highest = tf.reduce_max(largest, axis=list(range(len(kernel.shape) - 1)))
    if len(kernel.shape) == 2:
        zeros = tf.reduce_mean(tf.cast(tf.equal(kernel, 0), tf.float32))
        highest = tf.where(zeros >= PRUNED, tf.reduce_max(largest), highest)
    highest = tf.maximum(highest, 1e-6)
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -highest, highest, narrow_range=True)
    # The operator's own gradient may leave out the largest weight of each output.
    return kernel + tf.stop_gradient(rounded - kernel)


class PrunedKernel(quantizers.Quantizer):  # type: ignore[misc]  # tfmot ships no types
    """Rounds a pruned matrix with one scale, a batch normalisation folded into it as the converter does.

    Attributes:
        norm: that batch normalisation, if there is one.
    """

    norm: Any = None

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Need no variables."""
        del tensor_shape, name, layer
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:
        """Round."""
        del training, weights
        if self.norm is None:
            return rounded_kernel(inputs)
        factor = tf.abs(self.norm.gamma) * tf.math.rsqrt(self.norm.moving_variance + self.norm.epsilon)
        factor = tf.maximum(factor, 1e-6)
        return inputs + tf.stop_gradient(rounded_kernel(inputs * factor) / factor - inputs)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {}


class FixedRange(quantizers.Quantizer):  # type: ignore[misc]  # tfmot ships no types
    """Rounds to the 256 steps of a range that is known.

    Args:
        lowest: of the range.
        highest: of the range.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        self.lowest, self.highest = lowest, highest

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Need no variables."""
        del tensor_shape, name, layer
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:
        """Round."""
        del training, weights
        return tf.quantization.fake_quant_with_min_max_args(inputs, self.lowest, self.highest)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {"lowest": self.lowest, "highest": self.highest}


class EightBits(QuantizeConfig):  # type: ignore[misc]  # tfmot ships no types
    """The rounding of one layer.

    Args:
        kernel: the name of the kernel; None for a layer without one.
        by_channel: each output of it has a scale of its own, as in a convolution or a dense layer.
        pruned: it is a matrix of so many zeros that it has one scale.
        tapped: the converter gives the layer's answer a range.
        known: that range, where no data is needed to know it.
    """

    def __init__(
        self, *, kernel: str | None, by_channel: bool, pruned: bool, tapped: bool, known: Sequence[float] | None
    ) -> None:
        self.kernel, self.by_channel, self.pruned, self.tapped = kernel, by_channel, pruned, tapped
        self.known = None if known is None else (float(known[0]), float(known[1]))
        symmetric = {"num_bits": 8, "symmetric": True, "narrow_range": True}
        self.rounding = PrunedKernel() if pruned else quantizers.LastValueQuantizer(per_axis=by_channel, **symmetric)

    @classmethod
    def of(cls, layer: Any, *, tapped: bool, known: Sequence[float] | None) -> EightBits:
        """Tell how a layer is rounded."""
        kernel = None
        if isinstance(layer, tf_keras.layers.DepthwiseConv2D):
            kernel = "depthwise_kernel"
        elif isinstance(layer, (tf_keras.layers.Conv2D, tf_keras.layers.Dense)):
            kernel = "kernel"
        by_channel = isinstance(layer, (tf_keras.layers.Conv2D, tf_keras.layers.Dense))
        pruned = isinstance(layer, tf_keras.layers.Dense) and bool(np.mean(layer.kernel.numpy() == 0) >= PRUNED)
        return cls(kernel=kernel, by_channel=by_channel, pruned=pruned, tapped=tapped, known=known)

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """See `QuantizeConfig`."""
        if self.kernel is None:
            return []
        return [(getattr(layer, self.kernel), self.rounding)]

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """See `QuantizeConfig`: activations are layers of their own."""
        del layer
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Sequence[Any]) -> None:
        """See `QuantizeConfig`."""
        for weight in quantize_weights:
            setattr(layer, str(self.kernel), weight)

    def set_quantize_activations(self, layer: Any, quantize_activations: Sequence[Any]) -> None:
        """See `QuantizeConfig`."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """See `QuantizeConfig`."""
        del layer
        if not self.tapped:
            return []
        if self.known is not None:
            return [FixedRange(*self.known)]
        return [quantizers.MovingAverageQuantizer(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)]

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs."""
        return {
            "kernel": self.kernel,
            "by_channel": self.by_channel,
            "pruned": self.pruned,
            "tapped": self.tapped,
            "known": self.known,
        }
