"""Recurrent cells: two products of their own, one of the input and one of the state, fused over the gates.

One product over a concatenation of both would force one 8-bit scale on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

from converters.layers.formulas import bound_at
from converters.step_rules.activations import name_of, tapped
from converters.step_rules.linear import bias_of, dense_product, with_bias
from converters.step_rules.registry import is_genuine
from converters.step_rules.scope import SIGMOID_RANGE, TANH_RANGE, Call, Range, Scope, array

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class CellStep:
    """What a cell gives for one frame.

    Attributes:
        output: the answer, tapped.
        states: the next states in the cell's order, tapped.
    """

    output: Any
    states: tuple[Any, ...]


CellRule: TypeAlias = "Callable[[Call, str, Any, Any], CellStep]"

CELL_RULES: dict[str, CellRule] = {}

_SATURATING = ("sigmoid", "hard_sigmoid")


def cell_rule(*kinds: str) -> Callable[[CellRule], CellRule]:
    """Register a function as the rule of these cell classes."""

    def register(function: CellRule) -> CellRule:
        CELL_RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def step_cell(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take one frame through a cell.

    Args:
        call: the recurrent layer's call.
        name: path that the cell's states and taps begin with.
        cell: the live cell.
        x: its input, tapped.

    Raises:
        UnsupportedLayerError: for a cell without a rule.
    """
    kind = type(cell).__name__
    if kind not in CELL_RULES or not is_genuine(cell):
        call.refuse(
            f"its cell is a {kind}, which framestep does not know",
            f"Use one of {', '.join(sorted(CELL_RULES))}.",
        )
    outside, call.scope.inside_cell = call.scope.inside_cell, True
    try:
        return CELL_RULES[kind](call, name, cell, x)
    finally:
        call.scope.inside_cell = outside


def _bound(cell: Any, place: str) -> Range | None:
    bound = bound_at(getattr(cell, "bounds", None), place)
    return None if bound is None else (-bound, bound)


class _Unit:
    """The taps and states of one cell, under its name."""

    def __init__(self, scope: Scope, name: str, cell: Any) -> None:
        self.scope, self.name, self.cell = scope, name, cell

    def tap(self, what: str, x: Any, *, bound: Range | None = None, fixed: Range | None = None) -> Any:
        return self.scope.tap(f"{self.name}/{what}", x, bound=bound, fixed=fixed)

    def pre(self, what: str, x: Any) -> Any:
        return self.tap(what, x, bound=_bound(self.cell, what))

    def gate(self, what: str, x: Any) -> Any:
        return tapped(self.scope, f"{self.name}/{what}", self.cell.recurrent_activation, x)

    def candidate(self, what: str, x: Any) -> Any:
        return tapped(self.scope, f"{self.name}/{what}", self.cell.activation, x)

    def state(self, what: str, shape: tuple[int, ...], fixed: Range | None) -> tuple[str, Any]:
        """Declare a state; return its name and its value, tapped under the name that its next value has too."""
        name, value = self.scope.state(f"{self.name}_{what}", shape)
        return name, self.scope.tap(name, value, fixed=fixed)

    def next(self, name: str, value: Any, *, bound: Range | None = None, fixed: Range | None = None) -> Any:
        value = self.scope.tap(name, value, bound=bound, fixed=fixed)
        self.scope.set_state(name, value)
        return value


def _unit_range(cell: Any) -> Range | None:
    """Return the range of h where the formula holds it within -1 and 1."""
    gate = getattr(cell, "recurrent_activation", None)
    bounded = name_of(cell.activation) in ("tanh", "softsign")
    return TANH_RANGE if bounded and (gate is None or name_of(gate) in _SATURATING) else None


def _lstm_tail(unit: _Unit, pre: Any, c_name: str, c: Any, h_name: str) -> CellStep:
    """Compute c' = f c + i g and h' = o act(c') from the pre-activations in the order i, f, g, o."""
    cell = unit.cell
    i, f, g, o = tf.split(pre, 4, axis=-1)
    i, f, o = (unit.gate(what, x) for what, x in (("i", i), ("f", f), ("o", o)))
    g = unit.candidate("g", g)
    c_bound = _bound(cell, "c")
    kept = unit.tap("kept", f * c, fixed=c_bound if name_of(cell.recurrent_activation) in _SATURATING else None)
    added = unit.tap("added", i * g, fixed=_unit_range(cell))
    c = unit.next(c_name, kept + added, bound=c_bound)
    h = unit.next(h_name, o * unit.candidate("activated_c", c), fixed=_unit_range(cell))
    return CellStep(output=h, states=(h, c))


@cell_rule("LSTMCell", "BoundedLSTMCell")
def lstm(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take a frame through an LSTM cell."""
    unit = _Unit(call.scope, name, cell)
    h_name, h = unit.state("h", (1, cell.units), _unit_range(cell))
    c_name, c = unit.state("c", (1, cell.units), _bound(cell, "c"))
    from_input = unit.pre("from_input", dense_product(x, array(cell.kernel), bias_of(cell)))
    from_h = unit.pre("from_h", dense_product(h, array(cell.recurrent_kernel), None))
    return _lstm_tail(unit, unit.pre("pre", from_input + from_h), c_name, c, h_name)


class _PeepholeActivations:
    """What the article's cell, which has no options, is read with."""

    def __init__(self, cell: Any) -> None:
        self.recurrent_activation, self.activation = tf.sigmoid, tf.tanh
        self.bounds = cell.bounds


@cell_rule("PeepholeLSTMCell")
def peephole(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take a frame through the article's cell, whose gates read c as well."""
    unit = _Unit(call.scope, name, _PeepholeActivations(cell))
    h_name, h = unit.state("h", (1, cell.units), TANH_RANGE)
    c_name, c = unit.state("c", (1, cell.units), _bound(cell, "c"))
    from_input = unit.pre("from_input", dense_product(x, array(cell.kernel), array(cell.bias)))
    from_h = unit.pre("from_h", dense_product(h, array(cell.recurrent_kernel), None))
    from_c = unit.pre("from_c", dense_product(c, array(cell.peephole_kernel), None))
    products = unit.pre("products", from_input + from_h)
    return _lstm_tail(unit, unit.pre("pre", products + from_c), c_name, c, h_name)


@cell_rule("GRUCell", "BoundedGRUCell")
def gru(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take a frame through a GRU cell; with `reset_after` each product has a bias of its own."""
    unit, units = _Unit(call.scope, name, cell), cell.units
    h_name, h = unit.state("h", (1, units), _unit_range(cell))
    bias, recurrent_bias = bias_of(cell), None
    if bias is not None and cell.reset_after:
        bias, recurrent_bias = bias[0], bias[1]
    kernel = array(cell.recurrent_kernel)
    from_input = unit.pre("from_input", dense_product(x, array(cell.kernel), bias))
    z_input, r_input, g_input = tf.split(from_input, 3, axis=-1)
    if cell.reset_after:
        from_h = unit.pre("from_h", dense_product(h, kernel, recurrent_bias))
        z_h, r_h, g_h = tf.split(from_h, 3, axis=-1)
    else:
        from_h = unit.pre("from_h", dense_product(h, kernel[:, : 2 * units], None))
        z_h, r_h = tf.split(from_h, 2, axis=-1)
    z = unit.gate("z", unit.pre("pre_z", z_input + z_h))
    r = unit.gate("r", unit.pre("pre_r", r_input + r_h))
    if cell.reset_after:
        saturating = name_of(cell.recurrent_activation) in _SATURATING
        g_h = unit.tap("reset", r * g_h, fixed=_bound(cell, "from_h") if saturating else None)
    else:
        reset = unit.tap("reset", r * h, fixed=_unit_range(cell))
        g_h = unit.pre("from_reset", dense_product(reset, kernel[:, 2 * units :], None))
    g = unit.candidate("g", unit.pre("pre_g", g_input + g_h))
    rest = unit.tap("rest", 1 - z, fixed=SIGMOID_RANGE if name_of(cell.recurrent_activation) in _SATURATING else None)
    kept = unit.tap("kept", z * h, fixed=_unit_range(cell))
    added = unit.tap("added", rest * g, fixed=_unit_range(cell))
    h = unit.next(h_name, kept + added, fixed=_unit_range(cell))
    return CellStep(output=h, states=(h,))


@cell_rule("SimpleRNNCell", "BoundedRNNCell")
def simple_rnn(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take a frame through a plain recurrent cell."""
    unit = _Unit(call.scope, name, cell)
    h_name, h = unit.state("h", (1, cell.units), _unit_range(cell))
    from_input = unit.pre("from_input", dense_product(x, array(cell.kernel), bias_of(cell)))
    from_h = unit.pre("from_h", dense_product(h, array(cell.recurrent_kernel), None))
    pre = unit.pre("pre", from_input + from_h)
    h = unit.next(h_name, _activated(unit, pre), fixed=_unit_range(cell))
    return CellStep(output=h, states=(h,))


def _activated(unit: _Unit, pre: Any) -> Any:
    """Apply the activation without a tap of its own: h's tap follows at once."""
    from converters.step_rules.activations import activate
    from converters.step_rules.scope import clipped

    answer = activate(unit.scope, f"{unit.name}/h", unit.cell.activation, pre)
    return answer.tensor if answer.bound is None else clipped(answer.tensor, answer.bound)


@cell_rule("ConvLSTM2DCell", "ConvLSTMCell", "BoundedConvLSTMCell")
def conv_lstm(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take a frame through a convolutional LSTM cell: convolutions where the LSTM has products."""
    if len(cell.kernel_size) != 2 or cell.data_format != "channels_last":
        call.refuse("its convolutions are not over rows and columns with channels last", "Use ConvLSTM2D.")
    unit = _Unit(call.scope, name, cell)
    strides, padding = list(cell.strides), cell.padding.upper()
    product = tf.nn.conv2d(x, tf.constant(array(cell.kernel)), strides, padding, dilations=list(cell.dilation_rate))
    from_input = unit.pre("from_input", with_bias(product, bias_of(cell)))
    shape = (1, *from_input.shape[1:3], cell.filters)
    h_name, h = unit.state("h", shape, _unit_range(cell))
    c_name, c = unit.state("c", shape, _bound(cell, "c"))
    from_h = unit.pre("from_h", tf.nn.conv2d(h, tf.constant(array(cell.recurrent_kernel)), 1, "SAME"))
    return _lstm_tail(unit, unit.pre("pre", from_input + from_h), c_name, c, h_name)


@cell_rule("StackedRNNCells")
def stacked(call: Call, name: str, cell: Any, x: Any) -> CellStep:
    """Take a frame through cells one above the other."""
    states: list[Any] = []
    for number, one in enumerate(cell.cells):
        step = step_cell(call, f"{name}/{number}", one, x)
        x = step.output
        states += step.states
    return CellStep(output=x, states=tuple(states))
