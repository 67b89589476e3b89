"""Changes to a clip for training: one draw for all of its frames, so that its motion stays a motion."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

_PARTS = 16
"""Source places are rounded to this part of a pixel, so that four weights add up to 256 exactly."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far a clip may be changed; each is drawn uniformly up to its limit, both ways.

    Attributes:
        rotation_deg: about the centre, in degrees.
        zoom: larger or smaller by this fraction.
        shear: columns shifted against rows, pixels a pixel.
        shift: of width and height, as a fraction.
        gain: brighter or darker by this fraction.
        brightness: grey levels added.
        noise: grey levels added, drawn anew for each pixel of each frame.
        mirror: whether half of the clips are mirrored left to right. Only where no label has a direction: a mirrored
            clockwise is a counterclockwise.
    """

    rotation_deg: float = 12.0
    zoom: float = 0.15
    shear: float = 0.1
    shift: float = 0.1
    gain: float = 0.2
    brightness: float = 10.0
    noise: float = 0.0
    mirror: bool = False

    def __post_init__(self) -> None:
        wrong = [f"{each.name} is {value}" for each in fields(self) if not (value := getattr(self, each.name)) >= 0]
        if wrong or self.zoom >= 1:
            raise ConfigError(
                f"An augmentation's {', '.join(wrong) or f'zoom is {self.zoom}'}; limits are 0 or more, zoom below 1."
            )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Change a clip; a pure function of its frames and of what the generator gives.

    Attributes:
        config: see `AugmentConfig`.
    """

    config: AugmentConfig

    def __call__(self, frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Draw once and change all frames alike.

        Args:
            frames: uint8 [t, height, width, channels].
            rng: always gives as many numbers, whatever the limits are, unless there is noise.

        Returns:
            uint8 of the same shape, a copy. What comes from outside of the picture is 0.
        """
        height, width = frames.shape[1:3]
        draws = rng.uniform(-1, 1, size=9)
        changed: npt.NDArray[np.uint8] = _warp(frames, self._sources(draws, height, width))
        gain = 1 + self.config.gain * draws[6]
        table = np.rint(np.arange(256) * gain + self.config.brightness * draws[7])
        changed = np.clip(table, 0, 255).astype(np.uint8)[changed]
        if self.config.noise:
            level = min(127, round(self.config.noise))
            noise = rng.integers(-level, level + 1, size=changed.shape, dtype=np.int16)
            changed = np.clip(noise + changed, 0, 255).astype(np.uint8)
        return changed

    def _sources(self, draws: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
        """Where each pixel of the changed picture comes from: [2, height, width], columns first."""
        limit = self.config
        angle = math.radians(limit.rotation_deg * draws[0])
        scale = 1 + limit.zoom * draws[1]
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = turn @ np.array([[1.0, limit.shear * draws[2]], [0.0, 1.0]]) / scale
        if limit.mirror and draws[8] < 0:
            matrix = matrix @ np.diag([-1.0, 1.0])
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        moved = limit.shift * draws[3:5] * (width, height)
        places = np.stack(np.meshgrid(np.arange(width), np.arange(height), indexing="xy")).reshape(2, -1)
        sources = matrix @ (places - (centre + moved)[:, None]) + centre[:, None]
        return np.asarray(sources.reshape(2, height, width))


def _warp(frames: npt.NDArray[np.uint8], sources: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Take each pixel from between four of the picture, in sixteenths; all integers, the same on every machine."""
    count, height, width, channels = frames.shape
    # Frames and channels stand innermost, so that each place is looked up once for all of them. A border of zeros
    # around the picture is what lies outside.
    stride = width + 3
    padded = np.zeros((height + 3, stride, count, channels), np.uint8)
    padded[1:-2, 1:-2] = frames.transpose(1, 2, 0, 3)
    rows = padded.reshape((height + 3) * stride, count * channels)
    fine = np.rint((sources + 1) * _PARTS).astype(np.int64)
    limits = np.array([width + 1, height + 1])[:, None, None] * _PARTS
    fine = np.clip(fine, 0, limits).reshape(2, -1)
    whole, part = np.divmod(fine, _PARTS)
    first = whole[1] * stride + whole[0]
    x, y = part.astype(np.uint16)
    total = np.zeros((height * width, count * channels), np.uint16)
    for offset, weight in (
        (0, (_PARTS - x) * (_PARTS - y)),
        (1, x * (_PARTS - y)),
        (stride, (_PARTS - x) * y),
        (stride + 1, x * y),
    ):
        # At most 255 * 256, which uint16 holds.
        total += rows[first + offset] * weight[:, None]
    changed = ((total + np.uint16(128)) >> 8).astype(np.uint8)
    return np.ascontiguousarray(changed.reshape(height, width, count, channels).transpose(2, 0, 1, 3))
