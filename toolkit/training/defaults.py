"""What each preset is trained with where the user names nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.models.config import Input, Preset


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """A preset's settings.

    Attributes:
        size: width and height of the frames.
        digits_size: the same for the built-in digits, which are drawn at any size.
        input: see `ModelConfig`.
        batch: windows, or whole clips, in a step.
        learning_rate: at its highest.
        motion: see `TrainConfig`.
        steps: of training without baselines and bounds: what real motion needs, whose classes differ in order alone.
        digits_steps: the same for the built-in digits.
    """

    size: tuple[int, int]
    digits_size: tuple[int, int] = (24, 24)
    input: Input = "gray"
    batch: int = 4
    learning_rate: float = 0.006
    motion: float = 0.5
    steps: int = 5000
    digits_steps: int = 700


DEFAULTS: dict[Preset, Defaults] = {
    "tiny": Defaults(size=(64, 48)),
    "small": Defaults(size=(64, 48)),
    "article": Defaults(size=(32, 32), digits_size=(32, 32), input="rgb", learning_rate=0.001),
    "mobilenet": Defaults(size=(96, 96), digits_size=(32, 32), input="rgb", learning_rate=0.002),
}
