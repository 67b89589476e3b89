"""One picture of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels: TypeAlias = npt.NDArray[np.uint8]
    """uint8, [height, width] luma or [height, width, 3] RGB, full range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture, when it was taken, and which one of its source it is.

    Attributes:
        picture: what the source decoded: `Pixels`, or a decoder's own frame that `runtime.preprocess` understands.
        time_s: capture time in seconds. A film's own presentation time, a live source's monotonic clock.
        index: the source's count of frames, from 0. Frames that are dropped later still count.
        begins: whether nobody knows what lay between this frame and the one before, because the source was opened
            anew.
    """

    picture: Any
    time_s: float
    index: int
    begins: bool = False
