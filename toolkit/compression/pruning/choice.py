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
        portions: widths shrink to multiples of the first; where that is not enough, to multiples of the next. Kernels
            compute vectors of 8 channels or more. XNNPACK on a Cortex-A76 takes 335,000 instructions a frame for preset
            tiny at 64x48, whose first convolutions have 8 and 16 channels, 269,000 with 8 and 8, but 438,000 with 4 and
            16, and 602,000 with 6 and 12.
        least: the fraction of each width that stays whatever it is worth. Importances are measured around the whole
            model, and say little of one that lost nearly all of a layer.
    """

    portions: tuple[int, ...] = (8, 4)
    least: float = 0.25

    def smaller(self, size: int, before: int, portion: int) -> int | None:
        """Take a portion from a width; None where it must stay as it is.

        Args:
            size: what it is.
            before: what it was in the whole model.
            portion: one of `portions`.
        """
        smaller = (size - 1) // portion * portion
        return smaller if smaller >= max(portion, self.least * before) else None


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
    for portion in config.portions:
        while widths.multiply_adds_with(path[-1]) > multiply_adds:
            left = {name: config.smaller(size, widths.sizes[name], portion) for name, size in path[-1].items()}
            step = _cheapest(widths, path[-1], worth, left)
            if step is None:
                break
            path.append(step)
    if (cost := widths.multiply_adds_with(path[-1])) > multiply_adds:
        raise ConfigError(
            f"Channel removal leaves at least {cost:,} of {widths.multiply_adds:,} multiply-adds, and "
            f"{int(multiply_adds):,} were asked for. Ask for a lower --sparsity."
        )
    sizes = _given_back(widths, path, multiply_adds)
    return {name: np.sort(ranked[name][:size]) for name, size in sizes.items()}


def _cheapest(
    widths: Widths,
    sizes: dict[str, int],
    worth: Mapping[str, npt.NDArray[np.float64]],
    left: Mapping[str, int | None],
) -> dict[str, int] | None:
    """Make one width smaller, the one that costs the least importance a multiply-add; None where none may be."""
    cost = widths.multiply_adds_with(sizes)
    options = []
    for name, smaller in left.items():
        if smaller is not None:
            saved = cost - widths.multiply_adds_with({**sizes, name: smaller})
            options.append((float(worth[name][sizes[name]] - worth[name][smaller]) / saved, name, smaller))
    if not options:
        return None
    _, name, smaller = min(options)
    return {**sizes, name: smaller}


def _given_back(widths: Widths, path: list[dict[str, int]], multiply_adds: float) -> dict[str, int]:
    """Undo each step, the last one but one first, for which there is room."""
    sizes = dict(path[-1])
    for before, after in zip(path[-2::-1], path[:0:-1], strict=True):
        name = next(name for name in sizes if before[name] != after[name])
        larger = {**sizes, name: before[name]}
        if sizes[name] == after[name] and widths.multiply_adds_with(larger) <= multiply_adds:
            sizes = larger
    return sizes
