"""Training under the rounding of an int8 file: every value and every kernel is what 8 bits can say.

tensorflow-model-optimization wraps the encoder's layers; the cell and the head are rounded here, because it takes
neither. Where the converter puts a range, there is a fake quantisation with that range, and nowhere else; where the
range is only known from data, a running mean of it is taken. Gradients pass through as if nothing was rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf
import tf_keras

from converters.layers import AxisMean, BoundedActivation
from converters.step_model import build_step_model
from runtime.errors import ConfigError
from toolkit.compression.eight_bits import EightBits, PrunedKernel, rounded_kernel
from toolkit.compression.masks import kept_zeros
from toolkit.training.network import Network
from toolkit.training.observing import cell_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.models.config import ModelConfig

    Range: TypeAlias = tuple[float, float]

_PREFIX = "quant_"


class SimulatedNetwork(Network):
    """A network as an int8 file will compute it; what it learns is the given network's when `finish` was called.

    Args:
        network: bounded; its cell and its head are trained in place.
        model: what it is made of.
        pruned: whether the kernels' zeros stay.

    Raises:
        ConfigError: where tensorflow-model-optimization cannot take the encoder.
    """

    def __init__(self, network: Network, model: ModelConfig, *, pruned: bool) -> None:
        super().__init__(network.model, scale=model.scale, offset=model.offset)
        step = build_step_model(network.model, scale=model.scale, offset=model.offset)
        self._ranges: Mapping[str, Range | None] = {tap.name: tap.bound or tap.fixed for tap in step.taps}
        self._plain = network.encoder
        self.encoder = _wrapped(network.encoder, self._ranges)
        self._rounded_cell = cell_of(network)
        if self._rounded_cell is not None:
            self._rounded_cell.limiter = self._limit
        self._head = [
            _RoundedDense(layer) if isinstance(layer, tf_keras.layers.Dense) else layer for layer in self._head
        ]
        self._keep = kept_zeros(network.model) if pruned else None
        self._masks = [(kernel, tf.cast(kernel != 0, tf.float32)) for kernel in self._kernels()] if pruned else []

    @property
    def trainable(self) -> list[Any]:
        """See `Network`: the wrapped encoder's in the place of the plain one's."""
        plain = {id(variable) for variable in self._plain.variables}
        rest = [variable for variable in self.model.trainable_variables if id(variable) not in plain]
        return [*self.encoder.trainable_variables, *rest]

    def after_step(self, step: int) -> None:
        """Make what was pruned 0 again."""
        if self._keep is not None:
            self._keep(step)
        for kernel, mask in self._masks:
            kernel.assign(kernel * mask)

    def finish(self) -> None:
        """Give the plain encoder the weights that the wrapped one has learnt, and take the rounding out of the cell."""
        self.after_step(0)
        for layer in self._plain.layers:
            if layer.weights:
                learnt = _by_name(self.encoder.get_layer(f"{_PREFIX}{layer.name}"))
                layer.set_weights([learnt[_own_name(weight)].numpy() for weight in layer.weights])
        if self._rounded_cell is not None:
            self._rounded_cell.limiter = None

    def _limit(self, place: str, x: Any) -> Any:
        if place.endswith("kernel"):
            cell = self._rounded_cell
            if place == "recurrent_kernel" and getattr(cell, "reset_after", True) is False:
                # The candidate's part is a product of its own.
                parts = tf.split(x, [2 * cell.units, cell.units], axis=-1)
                return tf.concat([rounded_kernel(part) for part in parts], axis=-1)
            return rounded_kernel(x)
        name = f"cell_{place}" if place in ("c", "h") else f"cell/{place}"
        found = self._ranges.get(name)
        return x if found is None else tf.quantization.fake_quant_with_min_max_args(x, *found)

    def _kernels(self) -> list[Any]:
        """The wrapped encoder's variables that pruning is about."""
        found = []
        for layer in self._plain.layers:
            if isinstance(layer, (tf_keras.layers.Conv2D, tf_keras.layers.Dense)):
                own = _by_name(self.encoder.get_layer(f"{_PREFIX}{layer.name}"))
                found += [own["kernel"]] if "kernel" in own else []
        return found


class _RoundedDense:
    """A dense layer of the head, its kernel rounded; the layer itself is trained."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, x: Any) -> Any:
        return tf.matmul(x, rounded_kernel(self._layer.kernel)) + self._layer.bias


def _wrapped(encoder: Any, ranges: Mapping[str, Range | None]) -> Any:
    """Give a copy of the encoder with the same weights, its layers wrapped."""
    from tensorflow_model_optimization.quantization import keras as quantization

    def annotated(layer: Any) -> Any:
        name = f"encoder/{layer.name}"
        how = EightBits.of(layer, tapped=name in ranges, known=ranges.get(name))
        return quantization.quantize_annotate_layer(_copy(layer), how)

    own = {"AxisMean": AxisMean, "BoundedActivation": BoundedActivation, "EightBits": EightBits}
    try:
        with quantization.quantize_scope(own):
            copy = tf_keras.models.clone_model(encoder, clone_function=annotated)
            copy.set_weights(encoder.get_weights())
            wrapped = quantization.quantize_apply(copy, quantized_layer_name_prefix=_PREFIX)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(
            f"tensorflow-model-optimization cannot take this encoder: {reason}. Use --method bounded."
        ) from error
    _fold_norms(wrapped)
    return wrapped


def _fold_norms(wrapped: Any) -> None:
    """Tell the rounding of pruned kernels which batch normalisation the converter folds into them."""
    norms = {layer.name: layer.layer for layer in wrapped.layers if layer.name.endswith("_norm")}
    for layer in wrapped.layers:
        config = getattr(layer, "quantize_config", None)
        if isinstance(config, EightBits) and isinstance(config.rounding, PrunedKernel):
            config.rounding.norm = norms.get(f"{layer.name}_norm")


def _copy(layer: Any) -> Any:
    return layer.__class__.from_config(layer.get_config())


def _by_name(wrapper: Any) -> dict[str, Any]:
    return {_own_name(weight): weight for weight in wrapper.weights}


def _own_name(weight: Any) -> str:
    return str(weight.name).rsplit("/", 1)[-1].partition(":")[0]
