"""Windows of one length, cut from recordings and from clips joined: what teaches a model to do without resets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from converters.stream import NO_LABEL
from runtime.errors import ConfigError
from toolkit.training.batches import Batch
from toolkit.training.weighting import risen_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from toolkit.data.dataset import Clip, LabelledStream
    from toolkit.training.warping import WarpConfig

    Window: TypeAlias = tuple[
        npt.NDArray[np.uint8],
        npt.NDArray[np.int64],
        npt.NDArray[np.bool_],
        npt.NDArray[np.bool_],
        npt.NDArray[np.float32],
    ]
    """Frames, labels, borders (where the class or the recording changes), still and warps (see `Batch`)."""


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How windows are made and where they start from.

    Attributes:
        frames: the length of a window.
        shortest: of each clip a part is joined, drawn between this fraction of it and all of it.
        speed: logarithm of how much faster or slower, at most, a clip is played: frames are left out or repeated.
        stream_share: windows cut from recordings, where there are some; the others are clips joined.
        hidden_joins: share of the joins at which input `difference` shows nothing. At the others the two pictures are
            compared as at any frame, which is a scene cut that says nothing about the class.
        carried: share of the windows that start from a state of the batch before; the others from the initial one.
        rise_frames: the weight of the frames after a border rises over so many.
    """

    frames: int = 64
    shortest: float = 0.5
    speed: float = 0.25
    stream_share: float = 0.4
    hidden_joins: float = 0.5
    carried: float = 0.5
    rise_frames: int = 12

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, and must be 0 to 1"
            for name in ("shortest", "speed", "stream_share", "hidden_joins", "carried")
            if not 0 <= getattr(self, name) <= 1
        ]
        if self.frames < 2:
            problems.append(f"frames is {self.frames}, and must be at least 2")
        if problems:
            raise ConfigError(f"Training windows: {'; '.join(problems)}. Correct these.")


@dataclass(frozen=True, kw_only=True)
class WindowBatches:
    """Drawn windows; as many an epoch as all frames fill.

    Attributes:
        clips: joined in drawn order.
        streams: recordings that windows are cut from.
        batch_size: windows in a batch.
        seed: of every draw.
        config: see `WindowConfig`.
        warp: see `WarpConfig`; one draw for a part of a clip, and for a window of a recording.
    """

    clips: Sequence[Clip]
    streams: Sequence[LabelledStream] = ()
    batch_size: int
    seed: int
    config: WindowConfig
    warp: WarpConfig | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not (self.clips or self._long_streams()):
            raise ConfigError(
                f"Windows of {self.config.frames} frames in batches of {self.batch_size} need clips, or recordings "
                f"that are as long, of which there are none. Add data, or take shorter windows."
            )

    def _long_streams(self) -> list[LabelledStream]:
        return [stream for stream in self.streams if len(stream.frames) >= self.config.frames]

    def __len__(self) -> int:
        frames = sum(len(clip.frames) for clip in self.clips) + sum(len(s.frames) for s in self._long_streams())
        return max(1, math.ceil(frames / (self.config.frames * self.batch_size)))

    def batch(self, epoch: int, index: int) -> Batch:
        """See `Batches`."""
        deck = np.random.default_rng((self.seed, epoch)).permutation(len(self.clips))
        windows = [self._window(epoch, index, row, deck) for row in range(self.batch_size)]
        frames, labels, borders, still, warps = (np.stack(parts) for parts in zip(*windows, strict=True))
        weights = np.stack([risen_after(row, self.config.rise_frames) for row in borders])
        rng = np.random.default_rng((self.seed, epoch, index))
        start = rng.permutation(self.batch_size)
        start[rng.random(self.batch_size) >= self.config.carried] = -1
        return Batch(
            frames=frames,
            labels=np.maximum(labels, 0).astype(np.int32),
            weights=np.where(labels == NO_LABEL, 0, weights).astype(np.float32),
            still=still,
            order=np.tile(np.arange(self.config.frames, dtype=np.int32), (self.batch_size, 1)),
            start=start.astype(np.int32),
            warps=None if self.warp is None else warps,
        )

    def _window(self, epoch: int, index: int, row: int, deck: npt.NDArray[np.int64]) -> Window:
        rng = np.random.default_rng((self.seed, epoch, index, row))
        streams = self._long_streams()
        if streams and (not self.clips or rng.random() < self.config.stream_share):
            return self._cut(streams, rng)
        # Windows take up the shuffled clips one after another, so that an epoch shows all of them about as often.
        place = (index * self.batch_size + row) * len(deck) // (len(self) * self.batch_size)
        return self._join(np.roll(deck, -place), rng)

    def _cut(self, streams: Sequence[LabelledStream], rng: np.random.Generator) -> Window:
        length = self.config.frames
        places = np.cumsum([len(stream.frames) - length + 1 for stream in streams])
        place = int(rng.integers(places[-1]))
        which = int(np.searchsorted(places, place, side="right"))
        first = place - int(places[which - 1] if which else 0)
        stream = streams[which]
        frames = np.asarray(stream.frames[first : first + length])
        labels = stream.labels[first : first + length]
        borders = np.concatenate([[True], labels[1:] != labels[:-1]])
        if stream.cuts is not None:
            borders |= stream.cuts[first : first + length]
        return frames, labels, borders, np.zeros(length, np.bool_), self._warps(length, frames, rng)

    def _join(self, deck: npt.NDArray[np.int64], rng: np.random.Generator) -> Window:
        length = self.config.frames
        frames = np.empty((length, *self.clips[0].frames.shape[1:]), np.uint8)
        labels = np.empty(length, np.int64)
        borders, still = np.zeros(length, np.bool_), np.zeros(length, np.bool_)
        warps = np.empty((length, 9), np.float32)
        place = turn = 0
        while place < length:
            clip = self.clips[int(deck[turn % len(deck)])]
            part = clip.frames[self._part(len(clip.frames), rng)]
            changes = self._warps(len(part), part, rng)
            # A window may begin anywhere in the first part.
            first = int(rng.integers(len(part))) if place == 0 else 0
            end = min(length, place + len(part) - first)
            frames[place:end] = part[first : first + end - place]
            warps[place:end] = changes[first : first + end - place]
            labels[place:end] = clip.label
            borders[place] = True
            still[place] = place > 0 and rng.random() < self.config.hidden_joins
            place, turn = end, turn + 1
        return frames, labels, borders, still, warps

    def _part(self, length: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Places of the frames of a clip that are joined: a part of it, at a drawn speed."""
        speed = math.exp(self.config.speed * rng.uniform(-1, 1))
        wanted = int(rng.integers(max(1, math.ceil(self.config.shortest * length)), length + 1))
        count = min(wanted, int((length - 1) / speed) + 1)
        first = rng.uniform(0, length - 1 - speed * (count - 1))
        return (first + speed * np.arange(count)).astype(np.int64)

    def _warps(self, count: int, frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        if self.warp is None:
            return np.zeros((count, 9), np.float32)
        return self.warp.draw(rng, count, frames.shape[2], frames.shape[1])
