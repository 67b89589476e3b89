"""A process that starts, makes its first prediction, and says how long that took and what memory it holds.

Started by `toolkit.evaluation.bench` as a child, so that nothing is loaded before the clock runs.
"""

from __future__ import annotations

import json
import sys
import time

STEPS = 100
"""Steps before memory is read: buffers that are made late are there by then."""


def measure(path: str, interpreter: str | None, threads: int) -> dict[str, float]:
    """Import what a device imports, open an artifact, and step it.

    Returns:
        `cold_start_ms`, from before the first import to the first verdict, and `rss_bytes` after `STEPS` steps.
    """
    start_ns = time.perf_counter_ns()
    import numpy as np

    from runtime.decision import Decision
    from runtime.engine import Engine
    from runtime.preprocess import Preprocessor

    engine = Engine.open(path, interpreter=interpreter, threads=threads)  # type: ignore[arg-type]  # a child's argument
    spec = engine.spec
    stepper, preprocess, decision = engine.stepper(), Preprocessor(spec.input), Decision(spec.decision, spec.labels)
    picture = np.zeros(spec.input.shape[1:] if spec.input.channels == 3 else spec.input.shape[1:3], np.uint8)
    decision.update(0, stepper.step(preprocess(picture)))
    first_ns = time.perf_counter_ns()
    for index in range(1, STEPS):
        decision.update(index, stepper.step(preprocess(picture)))
    return {"cold_start_ms": (first_ns - start_ns) / 1e6, "rss_bytes": _resident_bytes()}


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # pathlib would be memory of its own
            pages = int(file.read().split()[1])
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    import os

    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2] or None, int(sys.argv[3]))))  # noqa: T201  # to the parent
