"""Whichever Keras a model comes from, one small graph of its layers' calls.

The graph is read from the model's own configuration, which both families write, and holds the live layers. Nested
models are laid out in place, those inside a `TimeDistributed` included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from runtime.errors import ConversionError, UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Family: TypeAlias = Literal["tf_keras", "keras"]


@dataclass(frozen=True, kw_only=True)
class Ref:
    """One output of one node."""

    node: int
    output: int = 0


@dataclass(frozen=True, kw_only=True)
class Node:
    """One call of a layer.

    Attributes:
        name: path of names through nested models, `/` between; told apart where a layer is called again.
        layer: the live layer; None for the model's input.
        inputs: what it is called on.
        per_frame: it stands inside a `TimeDistributed`, so its own input has no time axis.
    """

    name: str
    layer: Any
    inputs: tuple[Ref, ...]
    per_frame: bool = False

    @property
    def kind(self) -> str:
        """Name of the layer's class."""
        return "Input" if self.layer is None else type(self.layer).__name__

    @property
    def title(self) -> str:
        """What an error calls it."""
        return f"{self.name!r} ({self.kind})"


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A model's calls in an order in which each comes after what it needs.

    Attributes:
        family: whose Keras.
        nodes: the first is the input.
        output: the model's answer.
        input_shape: with the batch; None where free.
    """

    family: Family
    nodes: tuple[Node, ...]
    output: Ref
    input_shape: tuple[int | None, ...]

    def consumers(self) -> dict[Ref, int]:
        """Count how often each value is used, the model's answer being one use."""
        counts = {self.output: 1}
        for node in self.nodes:
            for ref in node.inputs:
                counts[ref] = counts.get(ref, 0) + 1
        return counts


def family_of(layer: Any) -> Family | None:
    """Tell whose Keras a model or layer comes from; None where from neither."""
    for base in type(layer).__mro__:
        package = base.__module__.partition(".")[0]
        if package in ("tf_keras", "keras"):
            return "tf_keras" if package == "tf_keras" else "keras"
    return None


def is_model(layer: Any) -> bool:
    """Tell whether a layer is a Sequential or Functional model, whose calls a configuration tells."""
    return any(
        base.__name__ in ("Functional", "Sequential") and base.__module__.partition(".")[0] in ("tf_keras", "keras")
        for base in type(layer).__mro__
    )


def graph_of(model: Any) -> Graph:
    """Lay out a model of one input and one output.

    Raises:
        ConversionError: for something that is not such a model.
        UnsupportedLayerError: where a call cannot be followed.
    """
    family = family_of(model)
    if family is None:
        raise ConversionError(f"A {type(model).__name__} is no Keras model. Give a Sequential or Functional one.")
    if not is_model(model):
        raise ConversionError(
            f"Model {model.name!r} is a subclassed {type(model).__name__}, whose calls nothing tells. "
            "Build it as a Sequential or Functional model and copy the weights with set_weights."
        )
    shapes = _input_shapes(model)
    if len(shapes) != 1:
        raise ConversionError(f"Model {model.name!r} has {len(shapes)} inputs; a step has one frame. Give one input.")
    layout = _Layout(family=family)
    start = layout.add(Node(name="frame", layer=None, inputs=()))
    outputs = layout.model(model, [start], path="", per_frame=False)
    if len(outputs) != 1:
        raise ConversionError(
            f"Model {model.name!r} has {len(outputs)} outputs; a step answers with one. "
            "Make a model of the same layers with one output."
        )
    return _pruned(Graph(family=family, nodes=tuple(layout.nodes), output=outputs[0], input_shape=shapes[0]))


def _input_shapes(model: Any) -> list[tuple[int | None, ...]]:
    try:
        inputs = model.inputs
    except AttributeError:  # what Keras 3 raises for a Sequential that was never built
        inputs = None
    if not inputs:
        raise ConversionError(f"Model {model.name!r} was never built, so its frame's shape is unknown. Add an Input.")
    return [tuple(tensor.shape) for tensor in inputs]


def _pruned(graph: Graph) -> Graph:
    """Leave out calls that the answer does not need; their states would be dead weight."""
    needed = {graph.output.node, 0}
    for index in range(len(graph.nodes) - 1, -1, -1):
        if index in needed:
            needed.update(ref.node for ref in graph.nodes[index].inputs)
    order = {old: new for new, old in enumerate(sorted(needed))}

    def moved(ref: Ref) -> Ref:
        return Ref(node=order[ref.node], output=ref.output)

    nodes = tuple(
        Node(
            name=node.name,
            layer=node.layer,
            inputs=tuple(moved(ref) for ref in node.inputs),
            per_frame=node.per_frame,
        )
        for node in (graph.nodes[index] for index in sorted(needed))
    )
    return Graph(family=graph.family, nodes=nodes, output=moved(graph.output), input_shape=graph.input_shape)


@dataclass(kw_only=True)
class _Call:
    """One call as a configuration tells it: references are layer name, number of the call, number of the output."""

    layer: str
    inputs: list[tuple[str, int, int]]
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Layout:
    family: Family
    nodes: list[Node] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def add(self, node: Node) -> Ref:
        self.nodes.append(node)
        return Ref(node=len(self.nodes) - 1)

    def model(self, model: Any, inputs: Sequence[Ref], *, path: str, per_frame: bool) -> list[Ref]:
        """Lay out a model called on `inputs`; return its outputs."""
        if any(base.__name__ == "Sequential" for base in type(model).__mro__):
            refs = list(inputs)
            for layer in model.layers:
                refs = self.call(layer, refs, path=path, per_frame=per_frame)
            return refs
        return self._functional(model, inputs, path=path, per_frame=per_frame)

    def call(self, layer: Any, inputs: list[Ref], *, path: str, per_frame: bool) -> list[Ref]:
        """Lay out one call of a layer; return its outputs (of a layer with several, as many as are asked for)."""
        kind = type(layer).__name__
        if kind == "InputLayer":
            return inputs
        name = self._unique(f"{path}{layer.layer.name if kind == 'TimeDistributed' else layer.name}")
        if is_model(layer):
            return self.model(layer, inputs, path=f"{name}/", per_frame=per_frame)
        if kind == "TimeDistributed":
            if per_frame:
                _refuse(name, kind, "it stands inside another TimeDistributed, so its axis is not time", "Use one.")
            inner = layer.layer
            if is_model(inner):
                return self.model(inner, inputs, path=f"{name}/", per_frame=True)
            return [self.add(Node(name=name, layer=inner, inputs=tuple(inputs), per_frame=True))]
        ref = self.add(Node(name=name, layer=layer, inputs=tuple(inputs), per_frame=per_frame))
        return [Ref(node=ref.node, output=number) for number in range(_output_count(layer))]

    def _unique(self, name: str) -> str:
        count = self.names.get(name, 0)
        self.names[name] = count + 1
        return name if count == 0 else f"{name}.{count}"

    def _functional(self, model: Any, inputs: Sequence[Ref], *, path: str, per_frame: bool) -> list[Ref]:
        config = model.get_config()
        live = {layer.name: layer for layer in model.layers}
        known = dict(zip(_triples(config["input_layers"]), inputs, strict=True))
        waiting = list(_calls(config, live))
        while waiting:
            later = []
            for entry, number, call in waiting:
                if any(ref not in known for ref in call.inputs):
                    later.append((entry, number, call))
                    continue
                outputs = self._functional_call(entry, call, live, known, path=path, per_frame=per_frame)
                known.update({(call.layer, number, output): ref for output, ref in enumerate(outputs)})
            if len(later) == len(waiting):
                raise ConversionError(f"Model {model.name!r} has calls that nothing feeds. Save it anew.")
            waiting = later
        return [
            # In Keras 3 the answer's reference alone counts a Functional model's own making as call 0.
            known[name, call - int(self.family == "keras" and _is_functional(live.get(name))), output]
            for name, call, output in _triples(config["output_layers"])
        ]

    def _functional_call(
        self,
        entry: Mapping[str, Any],
        call: _Call,
        live: Mapping[str, Any],
        known: Mapping[tuple[str, int, int], Ref],
        *,
        path: str,
        per_frame: bool,
    ) -> list[Ref]:
        layer = live.get(call.layer)
        kind = str(entry["class_name"])
        if layer is None or kind in ("TFOpLambda", "SlicingOpLambda"):
            _refuse(
                f"{path}{call.layer}",
                kind,
                "it is a bare operation, and what it does over time is not told by its configuration",
                "Use a layer for it, such as Add, Multiply, Rescaling or Activation.",
            )
        for key, value in call.extras.items():
            if value is not None and key != "training":
                _refuse(
                    f"{path}{call.layer}", kind, f"it is called with {key}={_short(value)}", f"Call it without {key}."
                )
        return self.call(layer, [known[ref] for ref in call.inputs], path=path, per_frame=per_frame)


def _output_count(layer: Any) -> int:
    if not getattr(layer, "return_state", False):
        return 1
    sizes = getattr(getattr(layer, "cell", None), "state_size", None)
    return 1 + len(_flat(sizes))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)) and not hasattr(value, "as_list"):
        return [leaf for item in value for leaf in _flat(item)]
    return [value]


def _triples(refs: Any) -> Iterator[tuple[str, int, int]]:
    """Read references: alone, in lists, or in mappings by the names that a model's inputs and outputs were given."""
    if isinstance(refs, dict):
        refs = [refs[name] for name in sorted(refs)]
    if refs and isinstance(refs[0], str):
        name, call, output = refs
        yield str(name), int(call), int(output)
        return
    for item in refs:
        yield from _triples(item)


def _calls(config: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int, _Call]]:
    for entry in config["layers"]:
        name = str(entry["name"])
        for number, node in enumerate(entry["inbound_nodes"]):
            if isinstance(node, dict):
                yield entry, number, _keras3_call(name, node)
            else:
                # In tf_keras a Functional or Sequential model counts its own making as call 0.
                yield entry, number + int(_is_functional(live.get(name))), _tf_keras_call(name, node)


def _is_functional(layer: Any) -> bool:
    return any(base.__name__ == "Functional" for base in type(layer).__mro__)


def _keras3_call(name: str, node: Mapping[str, Any]) -> _Call:
    inputs: list[tuple[str, int, int]] = []
    extras: dict[str, Any] = {}
    for position, argument in enumerate(node["args"]):
        found = list(_keras3_refs(argument))
        inputs += found
        if not found and position and argument is not None:
            extras[f"argument {position}"] = argument
    for key, value in node["kwargs"].items():
        if key in ("inputs", "sequence") and not inputs:
            inputs += list(_keras3_refs(value))
        else:
            extras[key] = "a tensor" if list(_keras3_refs(value)) else value
    return _Call(layer=name, inputs=inputs, extras=extras)


def _keras3_refs(value: Any) -> Iterator[tuple[str, int, int]]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            layer, call, output = value["config"]["keras_history"]
            yield str(layer), int(call), int(output)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _keras3_refs(item)


def _tf_keras_call(name: str, node: Sequence[Any]) -> _Call:
    inputs: list[tuple[str, int, int]] = []
    extras: dict[str, Any] = {}
    if node and isinstance(node[0], str):
        node = [node]
    for item in node:
        inputs.append((str(item[0]), int(item[1]), int(item[2])))
        extras.update(item[3] if len(item) > 3 else {})
    return _Call(layer=name, inputs=inputs, extras=extras)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse(name: str, kind: str, reason: str, instead: str) -> NoReturn:
    raise UnsupportedLayerError(f"{name!r} ({kind})", reason=reason, instead=instead)
