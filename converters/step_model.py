"""A trained sequence model as a step: one frame and the states in, the answer and the next states out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from converters.keras_graph import Graph, Ref, graph_of
from converters.step_ends import Finish, finished, frame_of
from converters.step_rules import rule_of
from converters.step_rules.scope import Call, Picture, Range, Scope, State, Tap, Value
from converters.step_rules.shapes import called
from runtime.errors import FrameError
from runtime.spec import StateSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["Finish", "State", "StepModel", "Tap", "Trace", "build_step_model"]

States: TypeAlias = "Mapping[str, npt.NDArray[np.float32]]"


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """One frame's answer.

    Attributes:
        probabilities: [1, classes].
        next_states: by name.
        scope: what the walk found on its way.
        finish: what was done to the model's output.
    """

    probabilities: Any
    next_states: Mapping[str, Any]
    scope: Scope
    finish: Finish


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Some frames' answers, and how far the states, or the taps, went.

    Attributes:
        probabilities: float32 [n, classes].
        lowest: of each state's elements after each frame, float32 [n, states], in the order of `StepModel.states`; or
            of each tap's, [n, taps].
        highest: see `lowest`.
    """

    probabilities: npt.NDArray[np.float32]
    lowest: npt.NDArray[np.float32]
    highest: npt.NDArray[np.float32]


class StepModel:
    """The step form of a model; make one with `build_step_model`.

    Attributes:
        graph: the model's calls.
        frame_shape: height, width, channels.
        timed_input: the model takes clips [B, T, H, W, C], not single pictures.
        timed_output: the model answers every frame of a clip.
        clip_length: the number of frames that the model is fixed to; None where it is free.
        states: in the order in which the walk finds them.
        classes: length of the probabilities.
        taps: where an integer network needs ranges.
        finish: what becomes of the model's output.
        notes: what a user should know, a sentence each.
    """

    def __init__(self, graph: Graph, *, scale: float, offset: float) -> None:
        self.graph = graph
        self.timed_input, self.clip_length, self.frame_shape = frame_of(graph)
        self.input_scale, self.input_offset = scale, offset
        self._consumers = graph.consumers()
        self._held: dict[int, Any] = {}
        self.timed_output = self.timed_input
        found = self._walk(tf.zeros((1, *self.frame_shape), tf.uint8), Scope())
        self.states = tuple(found.scope.states.values())
        self.taps = tuple(found.scope.taps.values())
        self.classes = int(found.probabilities.shape[-1])
        self.finish: Finish = found.finish
        self.notes = tuple(found.scope.notes)
        self._roll_out = self._compiled("answer")
        self._trace = self._compiled("states")
        self._observe = self._compiled("taps")
        self._simulations: dict[tuple[str, ...], Any] = {}

    def initial_states(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the states of a stream's start, by name."""
        return {state.name: np.full(state.shape, state.initial, np.float32) for state in self.states}

    def state_specs(self) -> tuple[StateSpec, ...]:
        """Return what a spec says of the states."""
        return tuple(
            StateSpec(name=state.name, shape=state.shape, dtype="float32", initial=state.initial)
            for state in self.states
        )

    def roll_out(
        self,
        frames: npt.NDArray[np.uint8],
        states: States,
        resets: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.float32]]]:
        """Step through frames in float.

        Args:
            frames: uint8 [n, h, w, c].
            states: before the first frame, by name.
            resets: bool [n]; where true, the states return to their initial values before that frame.

        Returns:
            Probabilities [n, classes], and the states after the last frame.

        Raises:
            FrameError: for frames of another shape or type.
        """
        outputs = self._roll_out(*self._arguments(frames, states, resets))
        return outputs[0].numpy(), self._named(outputs[1:])

    def trace(
        self,
        frames: npt.NDArray[np.uint8],
        states: States,
        resets: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Trace, dict[str, npt.NDArray[np.float32]]]:
        """Step through frames like `roll_out`, and say how far each state goes.

        Raises:
            FrameError: for frames of another shape or type.
        """
        return self._traced(self._trace(*self._arguments(frames, states, resets)))

    def observe(
        self,
        frames: npt.NDArray[np.uint8],
        states: States,
        resets: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Trace, dict[str, npt.NDArray[np.float32]]]:
        """Step through frames like `roll_out`, and say how far each tap goes.

        Raises:
            FrameError: for frames of another shape or type.
        """
        return self._traced(self._observe(*self._arguments(frames, states, resets)))

    def simulate(
        self,
        frames: npt.NDArray[np.uint8],
        states: States,
        resets: npt.NDArray[np.bool_] | None = None,
        *,
        ranges: Mapping[str, Range],
    ) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.float32]]]:
        """Step through frames like `roll_out`, with every tap of `ranges` rounded to 8 bits; weights stay float.

        One compiled loop serves all ranges of the same taps.

        Raises:
            FrameError: for frames of another shape or type.
        """
        names = tuple(ranges)
        if names not in self._simulations:
            self._simulations[names] = self._compiled("answer", simulated=names)
        limits = np.array([ranges[name] for name in names], np.float32).reshape(-1, 2)
        outputs = self._simulations[names](*self._arguments(frames, states, resets, limits))
        return outputs[0].numpy(), self._named(outputs[1:])

    def save(self, folder: Path, *, ranges: Mapping[str, Range] | None = None) -> None:
        """Write a SavedModel with the signature `step`.

        It takes `frame`, uint8 [1, h, w, c], and every state by name, float32, and gives `probabilities` and every
        state by the same name.

        Args:
            folder: to write into.
            ranges: of the taps that become fake quantisation.
        """
        names = [state.name for state in self.states]

        def step(frame: Any, *states: Any) -> dict[str, Any]:
            scope = Scope(states=dict(zip(names, states, strict=True)), ranges=ranges)
            answer = self._walk(frame, scope)
            return {"probabilities": answer.probabilities, **answer.next_states}

        signature = [
            tf.TensorSpec((1, *self.frame_shape), tf.uint8, name="frame"),
            *(tf.TensorSpec(state.shape, tf.float32, name=state.name) for state in self.states),
        ]
        module = tf.Module()
        module.step = tf.function(step, input_signature=signature, autograph=False)
        # What a layer that is called as it is reads must belong to the module, or saving refuses it.
        weights = [weight for layer in self._held.values() for weight in layer.weights]
        module.held = [weight if isinstance(weight, tf.Variable) else weight.value for weight in weights]
        tf.saved_model.save(module, str(folder), signatures={"step": module.step.get_concrete_function()})

    def _traced(self, outputs: Sequence[Any]) -> tuple[Trace, dict[str, npt.NDArray[np.float32]]]:
        probabilities, lowest, highest, *after = outputs
        found = Trace(probabilities=probabilities.numpy(), lowest=lowest.numpy(), highest=highest.numpy())
        return found, self._named(after)

    def _named(self, states: Sequence[Any]) -> dict[str, npt.NDArray[np.float32]]:
        return {state.name: value.numpy() for state, value in zip(self.states, states, strict=True)}

    def _arguments(
        self,
        frames: npt.NDArray[np.uint8],
        states: States,
        resets: npt.NDArray[np.bool_] | None,
        limits: npt.NDArray[np.float32] | None = None,
    ) -> list[Any]:
        if frames.shape[1:] != self.frame_shape or frames.dtype != np.uint8:
            raise FrameError(
                f"Frames are {frames.dtype} {tuple(frames.shape[1:])}; the model expects uint8 {self.frame_shape}. "
                "Pass them through Preprocessor first."
            )
        if resets is None:
            resets = np.zeros(len(frames), np.bool_)
        values = [tf.constant(states[state.name], tf.float32) for state in self.states]
        return [
            tf.zeros((0, 2)) if limits is None else tf.constant(limits),
            tf.constant(frames),
            tf.constant(resets),
            *values,
        ]

    def _compiled(self, wanted: Literal["answer", "states", "taps"], *, simulated: Sequence[str] = ()) -> Any:
        """Compile the loop over a chunk of any length, which keeps of each frame what is wanted.

        Its first argument is the ranges of the `simulated` taps, [n, 2].
        """
        widths = {
            "answer": [self.classes],
            "states": [self.classes, len(self.states), len(self.states)],
            "taps": [self.classes, len(self.taps), len(self.taps)],
        }[wanted]

        def roll(limits: Any, frames: Any, resets: Any, *states: Any) -> tuple[Any, ...]:
            ranges = {name: limits[row] for row, name in enumerate(simulated)}
            count = tf.shape(frames)[0]
            arrays = [tf.TensorArray(tf.float32, count, element_shape=(width,)) for width in widths]

            def body(index: Any, states: Any, arrays: Any) -> tuple[Any, ...]:
                before = {
                    state.name: tf.where(resets[index], tf.constant(state.initial, tf.float32), value)
                    for state, value in zip(self.states, states, strict=True)
                }
                scope = Scope(states=before, ranges=ranges, observing=wanted == "taps")
                answer = self._walk(frames[index][None], scope)
                rows = [answer.probabilities[0]]
                if wanted == "taps":
                    rows += self._extremes(scope)
                elif wanted == "states":
                    rows += _extremes_of([answer.next_states[state.name] for state in self.states])
                arrays = [array.write(index, row) for array, row in zip(arrays, rows, strict=True)]
                return index + 1, [answer.next_states[state.name] for state in self.states], arrays

            _, states, arrays = tf.while_loop(lambda index, *_: index < count, body, (0, list(states), arrays))
            return (*(array.stack() for array in arrays), *states)

        signature = [
            tf.TensorSpec((len(simulated), 2), tf.float32),
            tf.TensorSpec((None, *self.frame_shape), tf.uint8),
            tf.TensorSpec((None,), tf.bool),
            *(tf.TensorSpec(state.shape, tf.float32) for state in self.states),
        ]
        return tf.function(roll, input_signature=signature, autograph=False)

    def _extremes(self, scope: Scope) -> list[Any]:
        if not self.taps:
            return _extremes_of([])
        pairs = [scope.extremes[tap.name] for tap in self.taps]
        return [tf.stack([low for low, _ in pairs]), tf.stack([high for _, high in pairs])]

    def _walk(self, frame: Any, scope: Scope) -> _Answer:
        """Take one frame, uint8 [1, h, w, c], through the graph."""
        values: dict[Ref, Value] = {}
        for index, node in enumerate(self.graph.nodes):
            if node.layer is None:
                picture = Picture(pixels=tf.cast(frame, tf.float32), scale=self.input_scale, offset=self.input_offset)
                answer: Value | Sequence[Value] = Value(
                    scope, timed=self.timed_input, picture=picture, tap=Tap(name="frame")
                )
            else:
                inputs = tuple(values[ref] for ref in node.inputs)
                answer = self._apply(Call(node=node, scope=scope, values=inputs, family=self.graph.family))
            for number, value in enumerate([answer] if isinstance(answer, Value) else answer):
                ref = Ref(node=index, output=number)
                value.shared = value.shared or self._consumers.get(ref, 0) > 1
                values[ref] = value
        output = values[self.graph.output]
        self.timed_output = output.timed
        probabilities, finish = finished(output, scope)
        return _Answer(
            probabilities=probabilities,
            next_states={name: scope.next_states[name] for name in scope.states},
            scope=scope,
            finish=finish,
        )

    def _apply(self, call: Call) -> Value | Sequence[Value]:
        if call.node.per_frame and any(not value.timed for value in call.values):
            call.refuse("it stands in a TimeDistributed over something that has no time axis", "Call it directly.")
        if getattr(call.layer, "mask_zero", False):
            call.refuse("mask_zero masks frames, and a stream has none to leave out", "Use mask_zero=False.")
        rule = rule_of(call.layer)
        answer = rule(call) if rule is not None else _unknown(call)
        if not isinstance(answer, Value) or len(call.layer.weights):
            self._held[id(call.layer)] = call.layer
        return answer


def build_step_model(model: Any, *, scale: float, offset: float) -> StepModel:
    """Turn a trained model into its step form; its weights must not change any more.

    Args:
        model: of tf_keras or Keras 3, with one input, clips [B, T, H, W, C] or pictures [B, H, W, C].
        scale: with `offset`, what the model expects of a pixel of 0 to 255: `pixel * scale + offset`.
        offset: see `scale`.

    Raises:
        ConversionError: for a model whose input or output is no picture or no probabilities.
        UnsupportedLayerError: for a layer that one frame at a time cannot give, with the layer's name.
    """
    return StepModel(graph_of(model), scale=scale, offset=offset)


def _extremes_of(values: Sequence[Any]) -> list[Any]:
    """Return the lowest elements of each tensor, and the highest."""
    if not values:
        return [tf.zeros((0,)), tf.zeros((0,))]
    return [
        tf.stack([tf.reduce_min(value) for value in values]),
        tf.stack([tf.reduce_max(value) for value in values]),
    ]


def _unknown(call: Call) -> Value:
    """Call a layer without a rule where it can only see one frame; refuse it elsewhere."""
    kind = call.node.kind
    if kind.startswith(("PruneLowMagnitude", "QuantizeWrapper", "ClusterWeights")):
        call.refuse("it is a wrapper for training", "Strip it first, as with tfmot's strip_pruning.")
    if call.sees_time:
        call.refuse("framestep does not know what it does over time", "Put it inside TimeDistributed if it needs none.")
    call.scope.notes.append(f"{call.name}: framestep has no rule for {kind} and calls the layer as it is.")
    tensors = [value.ready() for value in call.values]
    return call.answer(called(call.layer, tensors[0] if len(tensors) == 1 else tensors))
