"""Frames by the thousand in bounded memory: what calibration and fidelity roll a model over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

NO_LABEL = -1
"""Stands in `StreamChunk.labels` for a frame whose class is not known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamChunk:
    """Consecutive frames of a stream.

    Attributes:
        frames: uint8 [n, height, width, channels], as the network takes them.
        cuts: bool [n]; true where a frame does not continue the one before it. The very first frame of a stream is no
            cut: nothing stands before it.
        labels: int64 [n]; `NO_LABEL` where there is none.
    """

    frames: npt.NDArray[np.uint8]
    cuts: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.frames)


@runtime_checkable
class FrameStream(Protocol):
    """Frames without an end, the same ones each time they are asked for."""

    @property
    def name(self) -> str:
        """What it is made of, for people and for the spec."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What the numbers in `StreamChunk.labels` mean, or None where there are no labels."""

    @property
    def distinct(self) -> int | None:
        """How many different frames it has before it goes round; None where it never does."""

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        """Give exactly `frames` frames from the beginning, `size` at a time and the rest in the last chunk.

        A stream that is shorter goes round again, and its first frame is then a cut.
        """
