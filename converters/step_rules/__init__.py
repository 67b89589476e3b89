"""How each layer takes one frame: one rule a layer class, one layer family a file."""

from __future__ import annotations

from converters.step_rules import (
    activations,
    cells,
    linear,
    merges,
    normalisation,
    recurrent,
    refusals,
    shapes,
    temporal,
)
from converters.step_rules.registry import known_kinds, rule_of

__all__ = [
    "activations",
    "cells",
    "known_kinds",
    "linear",
    "merges",
    "normalisation",
    "recurrent",
    "refusals",
    "rule_of",
    "shapes",
    "temporal",
]
