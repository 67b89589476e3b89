"""What a step rule works with: values on their way, states, and taps where an integer network needs a range."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import numpy as np
import tensorflow as tf

from runtime.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from converters.keras_graph import Family, Node

Range: TypeAlias = tuple[float, float]
Distribution: TypeAlias = Literal["softmax", "sigmoid"]

SIGMOID_RANGE: Range = (0.0, 255 / 256)
"""The range that TFLite gives every 8-bit LOGISTIC and SOFTMAX: steps of 1/256 from 0."""

TANH_RANGE: Range = (-1.0, 127 / 128)
"""The range that TFLite gives every 8-bit TANH: steps of 1/128 around 0."""

_LONGEST_NAME = 56


@dataclass(frozen=True, kw_only=True)
class State:
    """A tensor that the step takes and gives back.

    Attributes:
        name: of the input and the output.
        shape: the leading 1 included.
        initial: the value of all its elements after a reset.
    """

    name: str
    shape: tuple[int, ...]
    initial: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Tap:
    """A place whose values an integer network must know the range of.

    Attributes:
        name: path of the layer and what stands there; a state's tap has the state's name.
        maps: pictures or feature maps, [1, height, width, channels], outside of any cell.
        bound: where the model itself clips.
        fixed: the range that follows from the formula, as of a sigmoid.
    """

    name: str
    maps: bool = False
    bound: Range | None = None
    fixed: Range | None = None


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A product that a batch normalisation may still be folded into.

    Attributes:
        run: computes it from a kernel and a bias.
        kernel: its last axes, taken together, are the channels of the output.
        bias: one a channel.
        rank: number of axes of the answer.
    """

    run: Callable[[Any, Any], Any]
    kernel: np.ndarray[Any, Any]
    bias: np.ndarray[Any, Any] | None
    rank: int

    def scaled(self, factor: np.ndarray[Any, Any], shift: np.ndarray[Any, Any]) -> Linear:
        """Fold `x * factor + shift`, one of each a channel, into kernel and bias."""
        channels, axis = 1, self.kernel.ndim
        while channels < factor.size:
            axis -= 1
            channels *= self.kernel.shape[axis]
        kernel = self.kernel * factor.reshape(self.kernel.shape[axis:])
        bias = shift if self.bias is None else self.bias * factor + shift
        return Linear(run=self.run, kernel=kernel.astype("float32"), bias=bias.astype("float32"), rank=self.rank)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The frame itself, `pixels * scale + offset`, whose arithmetic may still change.

    Attributes:
        pixels: float32, 0 to 255.
        scale: of a pixel.
        offset: added after it.
    """

    pixels: Any
    scale: float
    offset: float


class Value:
    """One layer's answer for one frame, [1, ...], without a time axis.

    Args:
        scope: where its tap belongs.
        tensor: the answer, or None where `linear` or `picture` tells how to compute it.
        tap: the tap that it gets once somebody uses it; None where its range is that of what it was made from.
        timed: the whole-clip model has a time axis here.
        linear: set where a batch normalisation may be folded in.
        fuses_relu: set where a ReLU belongs to the same operator.
        picture: set for the frame.
        distribution: set for probabilities.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        timed: bool,
        tensor: Any = None,
        tap: Tap | None = None,
        linear: Linear | None = None,
        fuses_relu: bool = False,
        picture: Picture | None = None,
        distribution: Distribution | None = None,
    ) -> None:
        self._scope = scope
        self._tensor = tensor
        self._tap = tap
        self._ready: Any = None
        self.timed = timed
        self._linear = linear
        self._fuses_relu = fuses_relu or linear is not None
        self._picture = picture
        self.distribution = distribution
        self.shared = False

    @property
    def linear(self) -> Linear | None:
        """The product to fold into, if nobody else uses its answer."""
        return None if self.shared else self._linear

    @property
    def picture(self) -> Picture | None:
        """The frame to compute from, if nobody else uses it."""
        return None if self.shared else self._picture

    @property
    def fuses_relu(self) -> bool:
        """Whether a ReLU may follow without a tap between, because nobody else uses the answer."""
        return self._fuses_relu and not self.shared

    def raw(self) -> Any:
        """Return the tensor without its tap."""
        if self._tensor is None:
            if self._linear is not None:
                self._tensor = self._linear.run(self._linear.kernel, self._linear.bias)
            elif self._picture is not None:
                self._tensor = affine(self._picture.pixels, self._picture.scale, self._picture.offset)
        return self._tensor

    def ready(self) -> Any:
        """Return the tensor as the next operator takes it, tapped."""
        if self._ready is None:
            raw = self.raw()
            tap = self._tap
            self._ready = raw if tap is None else self._scope.tap(tap.name, raw, bound=tap.bound, fixed=tap.fixed)
        return self._ready

    def deferred(self) -> tuple[Any, Tap | None]:
        """Return the tensor and the tap that is still to be set, for a layer that only passes values on.

        Where somebody else uses the answer too, or its range is known, it is tapped already: (tensor, None).
        """
        tap = self._tap
        if tap is None or self.shared or self._ready is not None or tap.bound or tap.fixed:
            return self.ready(), None
        return self.raw(), tap

    def final(self) -> Any:
        """Return the tensor as the step's answer: clipped where the layer clips, without a tap."""
        bound = None if self._tap is None else self._tap.bound
        return self.raw() if bound is None else clipped(self.raw(), bound)

    @property
    def rank(self) -> int:
        """Number of axes, the leading 1 included."""
        # A product is not computed for this: it may yet be folded, and its taps would then see what nobody uses.
        return len(self.raw().shape) if self._linear is None else self._linear.rank


def affine(x: Any, scale: float, offset: float) -> Any:
    """Compute `x * scale + offset` and leave out what does nothing."""
    if scale != 1:
        x = x * tf.constant(scale, tf.float32)
    if offset != 0:
        x = x + tf.constant(offset, tf.float32)
    return x


class Scope:
    """The surroundings of one walk through the graph.

    Args:
        states: the states' values by name; None gives each its initial value.
        ranges: of the taps that become fake quantisation; the others stay what they are in float. Numbers become
            attributes of the nodes, as the converter wants them; tensors [2] are read at every step.
        observing: keep every tap's lowest and highest value.
    """

    def __init__(
        self,
        *,
        states: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Any] | None = None,
        observing: bool = False,
    ) -> None:
        self._values = states
        self._ranges = ranges or {}
        self._observing = observing
        self.states: dict[str, State] = {}
        self.next_states: dict[str, Any] = {}
        self.taps: dict[str, Tap] = {}
        self.extremes: dict[str, tuple[Any, Any]] = {}
        self.notes: list[str] = []
        self.inside_cell = False

    def state(self, wanted: str, shape: tuple[int, ...]) -> tuple[str, Any]:
        """Declare a state; return its name, made fit for an input, and its value before this frame."""
        base = re.sub(r"[^A-Za-z0-9_]", "_", wanted)[-_LONGEST_NAME:]
        base = base if base[0].isalpha() else f"s{base}"
        name, number = base, 1
        while name in self.states or name in ("frame", "probabilities"):
            number += 1
            name = f"{base}_{number}"
        self.states[name] = State(name=name, shape=shape)
        value = tf.zeros(shape, tf.float32) if self._values is None else self._values[name]
        return name, value

    def set_state(self, name: str, value: Any) -> None:
        """Give a state its value after this frame."""
        self.next_states[name] = value

    def tap(self, name: str, x: Any, *, bound: Range | None = None, fixed: Range | None = None) -> Any:
        """Return x as a tap of this name lets it through: clipped to `bound`, or quantised to the name's range."""
        known = self.taps.get(name)
        if known is not None:
            bound_known, fixed_known = known.bound or bound, known.fixed or fixed
        else:
            bound_known, fixed_known = bound, fixed
        maps = len(x.shape) == 4 and not self.inside_cell
        self.taps[name] = Tap(name=name, maps=maps, bound=bound_known, fixed=fixed_known)
        if name in self._ranges:
            # Fake quantisation saturates, so a bound costs no operator of its own.
            return _quantised(x, self._ranges[name])
        if bound is not None:
            x = clipped(x, bound)
        if self._observing:
            low, high = tf.reduce_min(x), tf.reduce_max(x)
            if name in self.extremes:
                low, high = tf.minimum(low, self.extremes[name][0]), tf.maximum(high, self.extremes[name][1])
            self.extremes[name] = (low, high)
        return x


def _quantised(x: Any, limits: Any) -> Any:
    if isinstance(limits, tuple):
        return tf.quantization.fake_quant_with_min_max_args(x, *limits)
    return tf.quantization.fake_quant_with_min_max_vars(x, limits[0], limits[1])


def clipped(x: Any, bound: Range) -> Any:
    """Clip, by the operator that fuses where there is one."""
    if bound == (0.0, 6.0):
        return tf.nn.relu6(x)
    if bound[0] == 0:
        return tf.minimum(tf.nn.relu(x), bound[1])
    return tf.maximum(tf.minimum(x, bound[1]), bound[0])


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a layer, as its rule sees it.

    Attributes:
        node: which.
        scope: of this walk.
        values: what it is called on.
        family: whose Keras.
    """

    node: Node
    scope: Scope
    values: tuple[Value, ...]
    family: Family

    @property
    def layer(self) -> Any:
        """The live layer."""
        return self.node.layer

    @property
    def name(self) -> str:
        """The path of the call."""
        return self.node.name

    @property
    def value(self) -> Value:
        """The one value that it is called on."""
        if len(self.values) != 1:
            self.refuse(f"it is called on {len(self.values)} tensors", "Call it on one.")
        return self.values[0]

    @property
    def timed(self) -> bool:
        """Whether its answer has a time axis in the whole-clip model."""
        return self.values[0].timed

    @property
    def sees_time(self) -> bool:
        """Whether the layer itself is given the time axis, as its axis 1."""
        return self.timed and not self.node.per_frame

    def refuse(self, reason: str, instead: str) -> NoReturn:
        """Raise the error that names this layer."""
        raise UnsupportedLayerError(self.node.title, reason=reason, instead=instead)

    def axis(self, axis: int) -> int:
        """Translate an axis of the layer into one of the step's tensor, counted from the end.

        Raises:
            UnsupportedLayerError: where it is the batch or the time axis.
        """
        rank = self.values[0].rank + int(self.sees_time)
        from_start = axis + rank if axis < 0 else axis
        if from_start == 0:
            self.refuse("its axis is the batch", "Use another axis.")
        if self.sees_time and from_start == 1:
            self.refuse("its axis 1 is time, and one frame does not have the others", "Use axis -1.")
        return from_start - rank

    def answer(
        self,
        tensor: Any,
        *,
        tapped: bool = True,
        bound: Range | None = None,
        fixed: Range | None = None,
        **options: Any,
    ) -> Value:
        """Return a value of this call; `tapped` is False where the range is that of the input."""
        tap = Tap(name=self.name, bound=bound, fixed=fixed) if tapped else None
        return Value(self.scope, timed=self.timed, tensor=tensor, tap=tap, **options)


def array(weight: Any) -> np.ndarray[Any, Any]:
    """Return a weight of either Keras as float32."""
    with tf.init_scope():  # rules run while a graph is traced; the weights become constants of it
        return np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight, dtype=np.float32)
