"""The one way from a picture to pixels, beside the usual loop: decode to RGB, gray in float, area mean.

    python benchmarks/pictures.py

A 640x480 film of noise that moves, decoded beforehand; each way is timed in turns, its pixels compared with the
other's.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from runtime.preprocess import Preprocessor
from runtime.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT, SCALE = 640, 480, 10
FRAMES, ROUNDS = 60, 10


def film() -> list[Any]:
    """Decoded frames of an H.264 or MPEG-4 film made in memory."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for i in range(FRAMES):
            moved = np.roll(picture, 3 * i, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode(None))
    content.seek(0)
    with av.open(content) as container:
        return list(container.decode(video=0))


def usual(frame: Any) -> Any:
    """RGB of the whole picture, BT.601 luma in float, mean of each area."""
    rgb = frame.to_ndarray(format="rgb24").astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    areas = luma.reshape(HEIGHT // SCALE, SCALE, WIDTH // SCALE, SCALE).mean((1, 3))
    return np.rint(areas).clip(0, 255).astype(np.uint8)[None, ..., None]


def main() -> None:
    """Print the table."""
    frames = film()
    spec = InputSpec(height=HEIGHT // SCALE, width=WIDTH // SCALE, channels=1, colour="gray")
    ways: dict[str, Callable[[Any], Any]] = {"framestep": Preprocessor(spec), "usual": usual}
    pixels = {name: np.concatenate([way(frame) for frame in frames]) for name, way in ways.items()}
    times_us: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            for frame in frames:
                start = time.perf_counter_ns()
                way(frame)
                times_us[name].append((time.perf_counter_ns() - start) / 1e3)
    for name, taken in times_us.items():
        print(f"{name:<10} p50 {np.percentile(taken, 50):8.1f} µs a picture of {WIDTH}x{HEIGHT}")
    off = np.abs(pixels["framestep"].astype(int) - pixels["usual"].astype(int))
    print(f"grey levels apart: mean {off.mean():.2f}, largest {off.max()}")


if __name__ == "__main__":
    main()
