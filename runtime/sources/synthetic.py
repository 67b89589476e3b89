"""Shapes that move over a still background: a stream that needs neither camera nor decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runtime.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from runtime.frame import Pixels
    from runtime.spec import Spec

SHAPES = 3


class SyntheticSource:
    """Draw the same endless stream for the same seed, as fast as it is asked for.

    Args:
        height: of a picture.
        width: of a picture.
        colour: whether pictures are RGB, else luma.
        fps: frames a second of capture time.
        seed: of background, shapes and ways.

    Attributes:
        live: False; it waits for its reader.
        fps: as given.
        problems: empty.
    """

    live = False

    def __init__(
        self, *, height: int = 120, width: int = 160, colour: bool = True, fps: float = 15.0, seed: int = 0
    ) -> None:
        self.fps = fps
        self.problems: list[str] = []
        self._stopped = False
        random = np.random.default_rng(seed)
        extra = (3,) if colour else ()
        coarse = random.integers(60, 160, (-(-height // 8), -(-width // 8), *extra), dtype=np.uint8)
        self._background: Pixels = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
        self._size = np.array([height, width])
        self._sides = np.maximum(self._size * random.uniform(0.15, 0.4, (SHAPES, 1)), 1).astype(np.int64)
        self._starts = random.uniform(0, 1, (SHAPES, 2))
        # In pictures a second: a shape crosses the picture in one to some ten seconds.
        self._speeds = random.uniform(0.1, 1, (SHAPES, 2)) * random.choice([-1, 1], (SHAPES, 2))
        self._shades = random.integers(0, 256, (SHAPES, *extra), dtype=np.uint8)

    @classmethod
    def for_model(cls, spec: Spec | None, *, seed: int = 0) -> SyntheticSource:
        """Draw in the size, colour and rate that a model takes, so that nothing needs to be scaled."""
        if spec is None:
            return cls(seed=seed)
        return cls(
            height=spec.input.height,
            width=spec.input.width,
            colour=spec.input.colour == "rgb",
            fps=spec.fps,
            seed=seed,
        )

    def frames(self) -> Iterator[Frame]:
        """Draw frame after frame, without an end."""
        index = 0
        while not self._stopped:
            yield Frame(picture=self.draw(index), time_s=index / self.fps, index=index)
            index += 1

    def draw(self, index: int) -> Pixels:
        """Draw one frame: uint8 [height, width, 3] or [height, width]."""
        picture = self._background.copy()
        # Every shape bounces: its way goes from 0 to 1 and back again.
        ways = np.abs((self._starts + self._speeds * (index / self.fps)) % 2 - 1)
        for way, side, shade in zip(ways, self._sides, self._shades, strict=True):
            top, left = (way * np.maximum(self._size - side, 0)).astype(np.int64)
            picture[top : top + side[0], left : left + side[1]] = shade
        return picture

    def stop(self) -> None:
        """Let the frames end."""
        self._stopped = True

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
