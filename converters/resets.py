"""When a long stream's states go back, the same for every model that is compared on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from runtime.spec import ResetSpec


def resets_of(reset: ResetSpec, first: int, count: int) -> npt.NDArray[np.bool_]:
    """Tell before which frames of an unbroken stream the policy resets.

    A scene cut is no gap: the camera went on. So only `every` acts on a stream that misses no frame.

    Args:
        reset: the policy.
        first: the first frame's number in the stream.
        count: how many frames.

    Returns:
        bool [count].
    """
    if reset.every_frames is None:
        return np.zeros(count, np.bool_)
    numbers = np.arange(first, first + count)
    return np.asarray((numbers > 0) & (numbers % reset.every_frames == 0))
