"""The size of a picture on the command line: `64x48`."""

from __future__ import annotations

import re
from typing import Any

import click


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic in its stubs, not in click 8.1
    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read width and height."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,4})[xX×](\d{1,4})", str(value).strip())
        if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
            self.fail(f"{value!r} is no size; write width and height in pixels, as 64x48.", param, ctx)
        return int(match[1]), int(match[2])


SIZE = _Size()
"""Gives (width, height)."""
