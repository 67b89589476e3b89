"""What a step of each of several artifacts costs: instructions on a target's core, or time on this machine."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

import numpy as np

from runtime.engine import Engine
from toolkit.evaluation.instructions import CORES, LAB_VARIABLE, count_instructions, lab_folder, lab_is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from toolkit.evaluation.instructions import Target

FRAMES = 1000
"""Steps timed of each artifact, in turns."""

_BLOCK = 50


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs that may be compared with one another.

    Attributes:
        unit: `instructions` or microseconds.
        where: on what.
        values: one an artifact.
        note: what the target would have needed, where it is not what was measured on.
    """

    unit: Literal["instructions", "us"]
    where: str
    values: tuple[float, ...]
    note: str | None = None


def step_costs(
    paths: Sequence[Path], target: Target | None = None, *, progress: Callable[[int], None] = lambda _: None
) -> Costs:
    """Measure a step of each artifact, one thread.

    Args:
        paths: of the artifacts.
        target: the board that they are for; None for this machine.
        progress: told how many of the artifacts are done.

    Raises:
        ConversionError: where the lab is set up and gives no count.
        ArtifactError: where a file is no artifact.
    """
    core = None if target is None else CORES.get(target)
    if core is not None and lab_is_there():
        counts = []
        for path in paths:
            counts.append(float(count_instructions(path, core)))
            progress(len(counts))
        return Costs(unit="instructions", where=f"{target}'s core, a {core}, emulated", values=tuple(counts))
    values = _times_us(paths)
    progress(len(paths))
    return Costs(unit="us", where="this machine", values=values, note=_note(target))


def _note(target: Target | None) -> str | None:
    machine = platform.machine()
    if target in CORES:
        return (
            f"There is no Pi lab in {lab_folder()}, so this machine ({machine}) was timed in place of {target}. "
            f"benchmarks/pi_lab/setup.sh of framestep's repository sets it up there, or where {LAB_VARIABLE} says."
        )
    if target == "x86-64" and machine.lower() not in ("x86_64", "amd64"):
        return f"This machine ({machine}) was timed; it is no x86-64."
    return None


def _times_us(paths: Sequence[Path]) -> tuple[float, ...]:
    """Give each artifact's median, timed in turns so that whatever else the machine does falls on all alike."""
    engines = [Engine.open(path) for path in paths]
    steppers = [engine.stepper() for engine in engines]
    shape = engines[0].spec.input.shape if engines else (1,)
    frames = np.random.default_rng(0).integers(0, 256, (_BLOCK, *shape), dtype=np.uint8)
    times_ns: list[list[int]] = [[] for _ in paths]
    now = time.perf_counter_ns
    for block in range(1 + FRAMES // _BLOCK):
        turn = block % max(1, len(paths))
        order = list(range(len(paths)))
        for number in order[turn:] + order[:turn]:
            for frame in frames:
                start = now()
                steppers[number].step(frame)
                if block:  # the first one warms up
                    times_ns[number].append(now() - start)
    return tuple(round(median(times) / 1e3, 2) for times in times_ns)
