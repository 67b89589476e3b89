"""What the frame clock's slack saves: a source of the model's own rate that jitters and drifts.

    python benchmarks/clock.py

Frames come at 15 a second for an hour and a half, their times off by jitter and their rate by drift. Beside the frame
clock stands one without slack, in which a frame serves the tick that it is nearest to.
"""

from __future__ import annotations

import random

from runtime.clock import FrameClock
from runtime.frame import Frame

FPS = 15.0
FRAMES = 80_000


def arrivals(*, jitter_s: float, drift: float) -> list[Frame]:
    """Frames with their times."""
    draw = random.Random(0)  # noqa: S311  # no secret
    times = (i * (1 + drift) / FPS + draw.gauss(0, jitter_s) for i in range(FRAMES))
    return [Frame(picture=None, time_s=time_s, index=i) for i, time_s in enumerate(times)]


def without_slack(frames: list[Frame]) -> tuple[int, int]:
    """Frames dropped and ticks repeated by rounding to the nearest tick."""
    dropped = repeated = 0
    last = -1
    for frame in frames:
        tick = round((frame.time_s - frames[0].time_s) * FPS)
        if tick <= last:
            dropped += 1
            continue
        repeated += tick - last - 1
        last = tick
    return dropped, repeated


def main() -> None:
    """Print the table."""
    print(f"{FRAMES} frames: dropped and repeated with slack, and without")
    for jitter_s in (0.0, 0.005, 0.015):
        for drift in (0.0, 1e-4, -1e-4, 1e-3):
            frames = arrivals(jitter_s=jitter_s, drift=drift)
            clock = FrameClock(FPS, gap_s=1.0)
            for _ in clock.select(frames):
                pass
            dropped, repeated = without_slack(frames)
            print(
                f"jitter {1e3 * jitter_s:4.0f} ms, drift {1e6 * drift:6.0f} ppm: {clock.dropped:5} {clock.repeated:5}"
                f"   {dropped:6} {repeated:6}"
            )


if __name__ == "__main__":
    main()
