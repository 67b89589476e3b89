"""Which rule a layer has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from converters.keras_graph import family_of
from converters.step_rules.scope import Call, Value

Rule: TypeAlias = Callable[[Call], "Value | Sequence[Value]"]

OWN_LAYERS = "converters.layers."

_R = TypeVar("_R", bound=Rule)

_RULES: dict[str, Rule] = {}


def rule(*kinds: str) -> Callable[[_R], _R]:
    """Register a function as the rule of these layer classes."""

    def register(function: _R) -> _R:
        for kind in kinds:
            if kind in _RULES:
                raise ValueError(f"{kind} has two rules. Keep one.")
            _RULES[kind] = function
        return function

    return register


def known_kinds() -> frozenset[str]:
    """Names of the layer classes that have a rule, refusals included."""
    return frozenset(_RULES)


def is_genuine(layer: Any) -> bool:
    """Tell whether a layer's class is Keras's or framestep's own, and not somebody's class of the same name."""
    module = type(layer).__module__
    return module.startswith(OWN_LAYERS) or (
        module.partition(".")[0] in ("keras", "tf_keras") and family_of(layer) is not None
    )


def rule_of(layer: Any) -> Rule | None:
    """Return a layer's rule; None where framestep does not know the layer."""
    return _RULES.get(type(layer).__name__) if is_genuine(layer) else None
