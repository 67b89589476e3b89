"""What a training step is fed, each batch a pure function of the seed, the epoch and its place in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from runtime.errors import ConfigError
from toolkit.training.weighting import risen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from toolkit.data.dataset import Clip
    from toolkit.training.warping import WarpConfig

    Row: TypeAlias = tuple[npt.NDArray[np.uint8], int, npt.NDArray[np.int32], npt.NDArray[np.float32] | None]
    """Frames, label, order and warps of a clip; see `Batch`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Some clips or windows, padded to one length.

    Attributes:
        frames: uint8 [batch, time, height, width, channels].
        labels: int32 [batch, time]; 0 where the weight is 0.
        weights: float32 [batch, time], of each frame in the loss.
        still: bool [batch, time]; where true, input `difference` is 0, as if the frame were a stream's first.
        order: int32 [batch, time], the order in which the cell meets the frames.
        warps: float32 [batch, time, 9], see `WarpConfig.draw`; None where nothing is warped.
        start: int32 [batch]: the row of the batch before whose last state this row starts from; -1 for the initial.
    """

    frames: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    still: npt.NDArray[np.bool_]
    order: npt.NDArray[np.int32]
    start: npt.NDArray[np.int32]
    warps: npt.NDArray[np.float32] | None = None


class Batches(Protocol):
    """A training set, epoch by epoch."""

    def __len__(self) -> int:
        """Batches an epoch."""

    def batch(self, epoch: int, index: int) -> Batch:
        """Make one batch; the same arguments give the same batch, in any process."""


@dataclass(frozen=True, kw_only=True)
class ClipBatches:
    """Every clip once an epoch, from its beginning to its end.

    Attributes:
        clips: what is trained on.
        batch_size: clips in a batch; the last one of an epoch may have fewer.
        seed: of the order and of every change.
        rise_frames: the weight of a clip's frames rises over so many.
        longest: of a longer clip, so many frames are cut out at a drawn place.
        frames: so many frames of each clip are cut out at a drawn place; None for all of it.
        shuffled: whether the cell meets the frames in drawn order.
        warp: see `WarpConfig`; None changes nothing.
    """

    clips: Sequence[Clip]
    batch_size: int
    seed: int
    rise_frames: int = 1
    longest: int = 128
    frames: int | None = None
    shuffled: bool = False
    warp: WarpConfig | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not self.clips:
            raise ConfigError(
                f"There are {len(self.clips)} clips for batches of {self.batch_size}. Give at least one of each."
            )

    def __len__(self) -> int:
        return math.ceil(len(self.clips) / self.batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """See `Batches`."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.clips))
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        rows = [self._row(self.clips[i], np.random.default_rng((self.seed, epoch, int(i)))) for i in chosen]
        return padded(rows, rise_frames=self.rise_frames, last_only=self.frames is not None)

    def _row(self, clip: Clip, rng: np.random.Generator) -> Row:
        frames = clip.frames
        wanted = min(len(frames), self.frames if self.frames is not None else self.longest)
        first = int(rng.integers(len(frames) - wanted + 1))
        frames = np.asarray(frames[first : first + wanted])
        warps = None if self.warp is None else self.warp.draw(rng, wanted, frames.shape[2], frames.shape[1])
        order = rng.permutation(wanted) if self.shuffled else np.arange(wanted)
        return frames, clip.label, order.astype(np.int32), warps


def padded(
    rows: Sequence[Row],
    *,
    rise_frames: int = 1,
    last_only: bool = False,
) -> Batch:
    """Make one batch of clips of several lengths: the last frame is repeated, with weight 0.

    Args:
        rows: at least one.
        rise_frames: see `ClipBatches`.
        last_only: only each clip's last frame counts.
    """
    count, longest = len(rows), max(len(row[0]) for row in rows)
    weights = np.zeros((count, longest), np.float32)
    labels = np.zeros((count, longest), np.int32)
    order = np.tile(np.arange(longest, dtype=np.int32), (count, 1))
    pixels = np.empty((count, longest, *rows[0][0].shape[1:]), np.uint8)
    warps = None if rows[0][3] is None else np.zeros((count, longest, 9), np.float32)
    for i, (frames, label, places, changes) in enumerate(rows):
        length = len(frames)
        pixels[i, :length] = frames
        pixels[i, length:] = frames[-1]
        labels[i] = label
        order[i, :length] = places
        if warps is not None and changes is not None:
            warps[i, :length] = changes
            warps[i, length:] = changes[-1]
        if last_only:
            weights[i, length - 1] = 1
        else:
            weights[i, :length] = risen(length, rise_frames)
    return Batch(
        frames=pixels,
        labels=labels,
        weights=weights,
        still=np.zeros((count, longest), np.bool_),
        order=order,
        start=np.full(count, -1, np.int32),
        warps=warps,
    )
