"""How much each frame counts in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def risen(length: int, rise_frames: int) -> npt.NDArray[np.float32]:
    """Weights of a clip's frames: 1/rise, 2/rise, ... 1, 1: nobody can know a clip from its first frame."""
    risen_so_far = (np.arange(length, dtype=np.float32) + 1) / np.float32(max(1, rise_frames))
    return np.minimum(risen_so_far, np.float32(1))


def risen_after(borders: npt.NDArray[np.bool_], rise_frames: int) -> npt.NDArray[np.float32]:
    """Weights of a window's frames, which begin to rise anew at every border; the first frame is one.

    Args:
        borders: bool [t].
        rise_frames: see `risen`.
    """
    places = np.arange(len(borders))
    last_border = np.maximum.accumulate(np.where(borders, places, 0))
    since: npt.NDArray[np.intp] = places - last_border
    return risen(len(borders), rise_frames)[since]
