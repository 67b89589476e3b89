"""Recurrent layers: their cells' states become the step's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converters.step_rules.cells import step_cell
from converters.step_rules.registry import rule
from converters.step_rules.scope import Call, Value

if TYPE_CHECKING:
    from collections.abc import Sequence


def refuse_what_needs_the_clip(call: Call) -> None:
    """Refuse the options of a recurrent layer that no step can honour."""
    layer = call.layer
    if len(call.values) != 1:
        call.refuse(
            "its initial state comes from another layer, and a step's states belong to the caller",
            "Let it start from zeros.",
        )
    if not call.sees_time:
        call.refuse("its sequence is not the clip's time axis", "Call it on the output of a TimeDistributed layer.")
    if getattr(layer, "go_backwards", False):
        call.refuse("go_backwards starts at a frame that has not come yet", "Train it with go_backwards=False.")
    if getattr(layer, "time_major", False):
        call.refuse("time_major puts time before the batch", "Train it with time_major=False.")


def states_and_output(call: Call, output: Any, states: Sequence[Any]) -> Value | Sequence[Value]:
    """Return what the layer returns: its output, and with `return_state` the states after this frame."""
    layer = call.layer
    first = Value(call.scope, timed=bool(layer.return_sequences), tensor=output)
    if not layer.return_state:
        return first
    return [first, *(Value(call.scope, timed=False, tensor=state) for state in states)]


@rule("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM2D", "BoundedConvLSTM2D")
def recurrent(call: Call) -> Value | Sequence[Value]:
    """Apply a recurrent layer; dropout, unroll and stateful are nothing that a step sees."""
    refuse_what_needs_the_clip(call)
    rank = 4 if call.node.kind.endswith("ConvLSTM2D") or hasattr(call.layer.cell, "kernel_size") else 2
    if call.value.rank != rank:
        call.refuse(f"its frames have {call.value.rank - 1} axes, and its cell takes {rank - 1}", "Flatten them first.")
    step = step_cell(call, call.name, call.layer.cell, call.value.ready())
    return states_and_output(call, step.output, step.states)
