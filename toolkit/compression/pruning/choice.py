"""Which channels stay: the least important a multiply-add go first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from toolkit.models.widths import Widths

Kept = dict[str, "npt.NDArray[np.int64]"]
"""Of every width, the places of the channels that stay, ascending."""


@dataclass(frozen=True, kw_only=True)
class ChoiceConfig:
    """In what portions channels go, and how far.

    Attributes:
        portions: channels go in portions of this many, by how many there are at least. Kernels read and write vectors
            of 4 and 8: an odd channel costs as much as the ones that would fill its vector.
        least: the fraction of each width that stays whatever it is worth. Importances are measured around the whole
            model, and say little of one that lost nearly all of a layer.
    """

    portions: tuple[tuple[int, int], ...] = ((32, 8), (8, 4), (4, 2), (1, 1))
    least: float = 0.25

    def portion(self, size: int) -> int:
        """How many channels of a width go at a time."""
        return next(portion for least, portion in self.portions if size >= least)


def choose(
    widths: Widths,
    importances: Mapping[str, npt.NDArray[np.float64]],
    *,
    multiply_adds: float,
    config: ChoiceConfig | None = None,
) -> Kept:
    """Remove channels until so many multiply-adds are left.

    Args:
        widths: of the model.
        importances: see `importance.importances`.
        multiply_adds: at most this many for a frame.
        config: see `ChoiceConfig`.

    Raises:
        ConfigError: where what must stay costs more.
    """
    config = config or ChoiceConfig()
    ranked = {name: np.argsort(values, kind="stable")[::-1] for name, values in importances.items()}
    sizes = dict(widths.sizes)
    cost = widths.multiply_adds_with(sizes)
    while cost > multiply_adds:
        best: tuple[float, str, int, int] | None = None
        for name, size in sizes.items():
            portion = config.portion(widths.sizes[name])
            smaller = (size - 1) // portion * portion
            if smaller < max(1, config.least * widths.sizes[name]):
                continue
            left = widths.multiply_adds_with({**sizes, name: smaller})
            lost = float(importances[name][ranked[name][smaller:size]].sum())
            candidate = (lost / (cost - left), name, smaller, left)
            best = candidate if best is None else min(best, candidate)
        if best is None:
            raise ConfigError(
                f"Channel removal leaves at least {cost:,} of {widths.multiply_adds:,} multiply-adds, and "
                f"{multiply_adds:,.0f} were asked for. Ask for a lower --sparsity."
            )
        _, name, sizes[name], cost = best
    return {name: np.sort(ranked[name][:size]) for name, size in sizes.items()}
