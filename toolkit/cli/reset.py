"""When states go back, as an option takes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


class ResetType(click.ParamType):  # type: ignore[type-arg]  # generic in its stubs, not in click 8.1
    """One of some words, or `WORD:N` with a number of frames.

    Args:
        words: that stand alone.
        counted: the word that takes a number.
    """

    name = "reset"

    def __init__(self, words: Sequence[str], counted: str) -> None:
        self._words, self._counted = tuple(words), counted

    @property
    def choices(self) -> str:
        """What may be said, for the help."""
        return "|".join((*self._words, f"{self._counted}:N"))

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Let `value` through where it is one of them."""
        if value in self._words or re.fullmatch(rf"{self._counted}:[1-9]\d{{0,8}}", value):
            return value
        words = ", ".join(self._words)
        return self.fail(f"{value!r} is none of {words} and {self._counted}:N (N frames, from 1).", param, ctx)


POLICY = ResetType(("auto", "never", "gap", "event"), "every")
"""Of `train`."""

CHOICE = ResetType(("spec", "never", "borders"), "window")
"""Of `evaluate`."""
