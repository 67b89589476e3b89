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
        fewest: as `least`, as a number. For four output channels or fewer, XNNPACK's kernels on ARM are so much slower
            that 8 cost less.
    """

    portions: tuple[tuple[int, int], ...] = ((32, 8), (12, 4), (1, 2))
    least: float = 0.25
    fewest: int = 5

    def smaller(self, size: int, before: int) -> int | None:
        """Take a portion from a width; None where it must stay as it is.

        Args:
            size: what it is.
            before: what it was in the whole model.
        """
        portion = next(portion for least, portion in self.portions if before >= least)
        smaller = (size - 1) // portion * portion
        return smaller if smaller >= max(self.fewest, self.least * before) else None


def choose(
    widths: Widths,
    importances: Mapping[str, npt.NDArray[np.float64]],
    *,
    multiply_adds: float,
    config: ChoiceConfig | None = None,
) -> Kept:
    """Remove channels until so many multiply-adds are left.

    Portion by portion, that which costs the least importance a multiply-add goes. Then what was taken in vain comes
    back: the last portions may have made room for more than was left to save.

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
    worth = {name: np.concatenate([[0.0], np.cumsum(importances[name][order])]) for name, order in ranked.items()}
    path = [dict(widths.sizes)]
    while (cost := widths.multiply_adds_with(path[-1])) > multiply_adds:
        sizes = path[-1]
        options = []
        for name, size in sizes.items():
            smaller = config.smaller(size, widths.sizes[name])
            if smaller is not None:
                saved = cost - widths.multiply_adds_with({**sizes, name: smaller})
                options.append((float(worth[name][size] - worth[name][smaller]) / saved, name, smaller))
        if not options:
            raise ConfigError(
                f"Channel removal leaves at least {cost:,} of {widths.multiply_adds:,} multiply-adds, and "
                f"{int(multiply_adds):,} were asked for. Ask for a lower --sparsity."
            )
        _, name, smaller = min(options)
        path.append({**sizes, name: smaller})
    sizes = _given_back(widths, path, multiply_adds)
    return {name: np.sort(ranked[name][:size]) for name, size in sizes.items()}


def _given_back(widths: Widths, path: list[dict[str, int]], multiply_adds: float) -> dict[str, int]:
    """Undo each step, the last one but one first, for which there is room."""
    sizes = dict(path[-1])
    for before, after in zip(path[-2::-1], path[:0:-1], strict=True):
        name = next(name for name in sizes if before[name] != after[name])
        larger = {**sizes, name: before[name]}
        if sizes[name] == after[name] and widths.multiply_adds_with(larger) <= multiply_adds:
            sizes = larger
    return sizes
