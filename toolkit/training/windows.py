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
    from toolkit.training.batches import Change

    Window: TypeAlias = tuple[
        npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]
    ]
    """Frames, labels, borders (where the class or the recording changes) and still (see `Batch`)."""


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How windows are made and where they start from.

    Attributes:
        frames: the length of a window.
        stream_share: windows cut from recordings, where there are some; the others are clips joined.
        hidden_joins: share of the joins at which input `difference` shows nothing. At the others the two pictures are
            compared as at any frame, which is a scene cut that says nothing about the class.
        carried: share of the windows that start from a state of the batch before; the others from the initial one.
        rise_frames: the weight of the frames after a border rises over so many.
    """

    frames: int = 64
    stream_share: float = 0.4
    hidden_joins: float = 0.5
    carried: float = 0.5
    rise_frames: int = 12

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, and must be 0 to 1"
            for name in ("stream_share", "hidden_joins", "carried")
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
        change: see `Change`; one draw for a clip, and for a window of a recording.
    """

    clips: Sequence[Clip]
    streams: Sequence[LabelledStream] = ()
    batch_size: int
    seed: int
    config: WindowConfig
    change: Change | None = None

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
        windows = [
            self._window(np.random.default_rng((self.seed, epoch, index, row))) for row in range(self.batch_size)
        ]
        frames, labels, borders, still = (np.stack(parts) for parts in zip(*windows, strict=True))
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
        )

    def _window(self, rng: np.random.Generator) -> Window:
        streams = self._long_streams()
        if streams and (not self.clips or rng.random() < self.config.stream_share):
            return self._cut(streams, rng)
        return self._join(rng)

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
        return self._changed(frames, rng), labels, borders, np.zeros(length, np.bool_)

    def _join(self, rng: np.random.Generator) -> Window:
        length = self.config.frames
        frames = np.empty((length, *self.clips[0].frames.shape[1:]), np.uint8)
        labels = np.empty(length, np.int64)
        borders, still = np.zeros(length, np.bool_), np.zeros(length, np.bool_)
        place = 0
        while place < length:
            clip = self.clips[int(rng.integers(len(self.clips)))]
            # A window may begin anywhere in a clip; the clips after it begin at their beginning.
            first = int(rng.integers(len(clip.frames))) if place == 0 else 0
            part = np.asarray(clip.frames[first : first + length - place])
            end = place + len(part)
            frames[place:end] = self._changed(part, rng)
            labels[place:end] = clip.label
            borders[place] = True
            still[place] = place > 0 and rng.random() < self.config.hidden_joins
            place = end
        return frames, labels, borders, still

    def _changed(self, frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        return frames if self.change is None else self.change(frames, rng)
