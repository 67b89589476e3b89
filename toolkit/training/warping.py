"""Changes to what the encoder sees: one draw for all frames of a clip, so that its motion stays a motion."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from runtime.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

_TOGETHER = 64
"""Frames are warped in multiples of so many: their number is compiled into the program, and clips have many lengths."""


@dataclass(frozen=True, kw_only=True)
class WarpConfig:
    """How far a clip may be changed; each is drawn uniformly up to its limit, both ways.

    Attributes:
        rotation_deg: about the centre, in degrees.
        zoom: logarithm of the size.
        aspect: logarithm of width against height.
        shear: columns shifted against rows, pixels a pixel.
        shift: of width and height, as a fraction.
        drift: a slow swinging of the shift over the frames, as a fraction; hands and cameras are never still.
        gain: logarithm of the brightness, or of the strength of a difference.
        mirror: whether half of the clips are mirrored left to right. Only where no label has a direction: a mirrored
            clockwise is a counterclockwise.
    """

    rotation_deg: float = 30.0
    zoom: float = 0.25
    aspect: float = 0.2
    shear: float = 0.1
    shift: float = 0.15
    drift: float = 0.03
    gain: float = 0.4
    mirror: bool = False

    def __post_init__(self) -> None:
        wrong = [
            f"{each.name} is {value}"
            for each in fields(self)
            if not 0 <= (value := getattr(self, each.name)) < math.inf
        ]
        if wrong:
            raise ConfigError(f"Warping: {', '.join(wrong)}. Limits are 0 or more.")

    def draw(self, rng: np.random.Generator, frames: int, width: int, height: int) -> npt.NDArray[np.float32]:
        """Draw the change of one clip.

        Args:
            rng: gives as many numbers whatever the limits are.
            frames: of the clip.
            width: of the pictures.
            height: of the pictures.

        Returns:
            float32 [frames, 9]: of each frame the eight numbers of a projective transform, from places in the changed
            picture to places in the given one, and the gain.
        """
        draws = rng.uniform(-1, 1, size=8)
        periods, phases, depths = rng.uniform(12, 64, 2), rng.random(2), rng.random(2)
        angle = math.radians(self.rotation_deg * draws[0])
        size, aspect = math.exp(self.zoom * draws[1]), math.exp(self.aspect * draws[2])
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = turn @ np.array([[aspect / size, self.shear * draws[3]], [0.0, 1 / (aspect * size)]])
        if self.mirror and draws[7] < 0:
            matrix = matrix @ np.diag([-1.0, 1.0])
        extent, centre = np.array([width, height]), np.array([(width - 1) / 2, (height - 1) / 2])
        swing = np.sin(2 * np.pi * (np.arange(frames)[:, None] / periods + phases))
        moved = extent * (self.shift * draws[4:6] + self.drift * depths * swing)
        offsets = centre - (centre + moved) @ matrix.T
        change = np.zeros((frames, 9), np.float32)
        change[:, [0, 1, 3, 4]] = matrix.ravel()
        change[:, [2, 5]] = offsets
        change[:, 8] = math.exp(self.gain * draws[6])
        return change


def warped(pictures: Any, changes: Any, highest: float) -> Any:
    """Change pictures; what comes from outside of them is 0.

    Args:
        pictures: float32 [batch, time, height, width, channels], 0 to `highest`.
        changes: float32 [batch, time, 9]; see `WarpConfig.draw`. Of the transform only the affine part counts.
        highest: above which the gain clips.
    """
    shape = tf.shape(pictures)
    height, width, channels = pictures.shape[2:]
    folded, numbers = tf.reshape(pictures, [-1, height, width, channels]), tf.reshape(changes, [-1, 9])
    frames = tf.shape(folded)[0]
    rest = -frames % _TOGETHER
    moved = _moved(tf.pad(folded, [[0, rest], [0, 0], [0, 0], [0, 0]]), tf.pad(numbers, [[0, rest], [0, 0]]), highest)
    return tf.reshape(moved[:frames], shape)


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow's
def _moved(pictures: Any, changes: Any, highest: float) -> Any:
    """Bilinear interpolation [n, height, width, channels]: compiled, a third of the time of TensorFlow's own op."""
    height, width, channels = pictures.shape[1:]
    change = changes[:, :, None, None]
    rows, columns = tf.meshgrid(tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32), indexing="ij")
    # With a border of zeros, whatever lies outside is somewhere on it.
    x = change[:, 0] * columns + change[:, 1] * rows + change[:, 2] + 1
    y = change[:, 3] * columns + change[:, 4] * rows + change[:, 5] + 1
    x = tf.clip_by_value(x, 0.0, np.nextafter(np.float32(width + 1), np.float32(0)))
    y = tf.clip_by_value(y, 0.0, np.nextafter(np.float32(height + 1), np.float32(0)))
    left, top = tf.floor(x), tf.floor(y)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]
    bordered = tf.reshape(tf.pad(pictures, [[0, 0], [1, 1], [1, 1], [0, 0]]), [-1, channels])
    line = width + 2
    corner = tf.range(tf.shape(pictures)[0])[:, None, None] * ((height + 2) * line)
    corner += tf.cast(top, tf.int32) * line + tf.cast(left, tf.int32)
    upper = tf.gather(bordered, corner) * (1 - right_share) + tf.gather(bordered, corner + 1) * right_share
    lower = (
        tf.gather(bordered, corner + line) * (1 - right_share) + tf.gather(bordered, corner + line + 1) * right_share
    )
    return tf.minimum((upper * (1 - bottom_share) + lower * bottom_share) * change[:, 8, ..., None], highest)
