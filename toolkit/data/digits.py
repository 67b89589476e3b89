"""Moving digits: clips that need no download, and whose label needs memory.

A handwritten digit travels over a canvas whose borders wrap, from a uniformly drawn start: one frame says nothing
about the label, which is the direction of travel, and the frames in any order say at most whether it is along the
rows or the columns. The digits are the 1,797 images of 8x8 that scikit-learn carries; an image is a group, so that
none is on both sides of a split.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from converters.stream import StreamChunk
from runtime.errors import ConfigError, MissingDependencyError
from toolkit.data.dataset import Clip, Dataset, LabelledStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

DIGITS = "digits"
"""The name of this data wherever a source is asked for."""

LABELS = ("down", "left", "right", "up")
WIDTH, HEIGHT = 24, 24
"""The size that the tiny preset learns in seconds."""

FPS = 15.0

_DIRECTIONS = np.array([(1, 0), (0, -1), (0, 1), (-1, 0)])  # (rows, columns) a frame, in the order of LABELS
_GROUP = "digit-"


@dataclass(frozen=True, kw_only=True)
class DigitsConfig:
    """Which moving digits.

    Attributes:
        width: of the canvas, in pixels; a digit takes a third to a half of the shorter side.
        height: of the canvas, in pixels.
        colour: `rgb` repeats the gray picture.
        frames: of a clip.
        fps: frames a second, by agreement.
        seed: of everything that is drawn.
        copies: clips made of each image.
    """

    width: int = WIDTH
    height: int = HEIGHT
    colour: Literal["gray", "rgb"] = "gray"
    frames: int = 16
    fps: float = FPS
    seed: int = 0
    copies: int = 1

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 16:
            raise ConfigError(
                f"Moving digits have a size of {self.width}x{self.height}; they need 16x16 at least. Use --size 24x24."
            )

    @property
    def zoom(self) -> int:
        """Pixels of the canvas that one pixel of an image takes, each way."""
        return max(1, min(self.width, self.height) // 16)


@functools.cache
def digit_images() -> npt.NDArray[np.uint8]:
    """Give scikit-learn's digits, uint8 [1797, 8, 8], 0 to 255.

    Raises:
        MissingDependencyError: without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError("scikit-learn", extra="train", purpose="The built-in digits") from None
    images = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    images.flags.writeable = False
    return cast("npt.NDArray[np.uint8]", images)


def digits_dataset(config: DigitsConfig) -> Dataset:
    """Make clips of every image: `config.copies` of each, directions drawn."""
    images = len(digit_images())
    rng = np.random.default_rng((config.seed, 0))
    count = images * config.copies
    which = np.tile(np.arange(images), config.copies)
    # As many of each class as can be: the order is drawn, not each label.
    labels = rng.permutation(np.arange(count) % len(LABELS))
    frames = _travel(config, which, labels, rng)
    clips = tuple(
        Clip(
            name=f"{LABELS[label]}/{_GROUP}{image:04d}-{i // images}",
            label=int(label),
            group=f"{_GROUP}{image:04d}",
            frames=frames[i],
        )
        for i, (image, label) in enumerate(zip(which.tolist(), labels.tolist(), strict=True))
    )
    return Dataset(labels=LABELS, fps=config.fps, clips=clips, sources=(DIGITS,))


def images_of(clips: Sequence[Clip]) -> tuple[int, ...]:
    """Which images these clips of moving digits show, sorted."""
    return tuple(sorted({int(clip.group.removeprefix(_GROUP)) for clip in clips}))


@dataclass(frozen=True, kw_only=True)
class DigitsStream:
    """A stream of digits without an end: the direction changes every 16 to 48 frames.

    At half of the changes the digit turns where it stands; at the others another digit appears elsewhere, which is a
    cut.

    Attributes:
        config: see `DigitsConfig`; `frames` and `copies` do not matter.
        images: the images it may show; () for all.
        seed: of this stream.
    """

    config: DigitsConfig
    images: tuple[int, ...] = ()
    seed: int = 0

    @property
    def name(self) -> str:
        """What it is made of."""
        return f"moving digits, {len(self.images) or len(digit_images())} images, seed {self.seed}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The directions."""
        return LABELS

    @property
    def distinct(self) -> None:
        """None: it is drawn as it goes."""

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        """Give exactly `frames` frames from the beginning; one chunk is in memory at a time."""
        walk = self._walk(frames)
        for start in range(0, frames, size):
            count = min(size, frames - start)
            rows = [next(walk) for _ in range(count)]
            image, top, left, cut, label = np.array(rows, np.int64).T
            pixels = _draw(self.config, image, top, left)
            yield StreamChunk(frames=pixels, cuts=cut.astype(np.bool_), labels=label)

    def _walk(self, frames: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Tell image, row, column, cut and label of every frame."""
        allowed = self.images or tuple(range(len(digit_images())))
        zoom, height, width = self.config.zoom, self.config.height, self.config.width
        rng = np.random.default_rng((self.config.seed, 1, self.seed))
        told, label, image, top, left = 0, -1, 0, 0, 0
        while told < frames:
            # Never the same direction twice running, so that each segment is one of its own.
            label = int(rng.integers(4)) if label < 0 else int((label + rng.integers(1, 4)) % 4)
            jump = told == 0 or bool(rng.integers(2))
            if jump:
                image = allowed[int(rng.integers(len(allowed)))]
                top, left = int(rng.integers(height)), int(rng.integers(width))
            speed = zoom * int(rng.integers(1, 3))
            down, right = (_DIRECTIONS[label] * speed).tolist()
            for i in range(int(rng.integers(16, 49))):
                if i or not jump:
                    top, left = (top + down) % height, (left + right) % width
                yield image, top, left, int(jump and i == 0 and told > 0), label
                told += 1


def labelled_digits_stream(stream: DigitsStream, frames: int) -> LabelledStream:
    """Draw the first frames of a stream into memory, as training wants them."""
    chunks = list(stream.chunks(frames))
    return LabelledStream(
        name=stream.name,
        frames=np.concatenate([chunk.frames for chunk in chunks]),
        labels=np.concatenate([chunk.labels for chunk in chunks]),
        cuts=np.concatenate([chunk.cuts for chunk in chunks]),
    )


def _travel(
    config: DigitsConfig, which: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Clips [n, frames, height, width, channels] of the images `which` going the way that `labels` tell."""
    count = len(which)
    starts = np.stack([rng.integers(config.height, size=count), rng.integers(config.width, size=count)], axis=1)
    speeds = config.zoom * rng.integers(1, 3, size=count)
    moves = _DIRECTIONS[labels] * speeds[:, None]
    places = starts[:, None] + moves[:, None] * np.arange(config.frames)[None, :, None]
    images = np.repeat(which, config.frames)
    drawn = _draw(config, images, places[..., 0].ravel(), places[..., 1].ravel())
    shape = (count, config.frames, *drawn.shape[1:])
    # The three channels of rgb stay one in memory.
    return np.broadcast_to(drawn[..., :1].reshape(*shape[:-1], 1), shape)


def _draw(
    config: DigitsConfig, images: npt.NDArray[np.int64], top: npt.NDArray[np.int64], left: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Frames [n, height, width, channels] with each image at its place, wrapped around the borders."""
    side = 8 * config.zoom
    stamp = digit_images()[images].repeat(config.zoom, axis=1).repeat(config.zoom, axis=2)
    rows = (top[:, None] + np.arange(side)) % config.height
    columns = (left[:, None] + np.arange(side)) % config.width
    canvas = np.zeros((len(images), config.height, config.width), np.uint8)
    canvas[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]] = stamp
    channels = 1 if config.colour == "gray" else 3
    return np.broadcast_to(canvas[..., None], (*canvas.shape, channels))
