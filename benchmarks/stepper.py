"""What stepping costs in Python, beside the other ways to call the same interpreter.

    python benchmarks/stepper.py [ARTIFACT ...] [--rounds N] [--json FILE]

Every way runs the same network in an interpreter of its own, a millisecond in turn, many rounds over, and carries the
states from step to step as a stream must. The table gives the fastest round's mean, as timeit does, since whatever else
the machine does only adds; and what that is above `invoke()` alone, which is the cost of the way.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runtime.artifact import FRAME, PROBABILITIES, Artifact, read_artifact
from runtime.engine import Engine
from runtime.interpreter import open_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable

Way: TypeAlias = "Callable[[int], Any]"

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
ROUND_NS = 1_000_000


def main() -> None:
    """Measure, print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description="What stepping costs in Python.")
    parser.add_argument("artifacts", nargs="*", type=Path, default=sorted(GOLDEN.glob("*.tflite")))
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    results = []
    print(f"{'artifact':28} {'way':28} {'µs a step':>10} {'above invoke':>13} {'of by index':>12} {'of runner':>10}")
    for path in options.artifacts:
        result = measure(read_artifact(path), options.rounds)
        results.append({"artifact": path.name, **result})
        for name, way in result["ways"].items():
            print(
                f"{path.stem:28} {name:28} {way['step_us']:10.2f} {way['overhead_us']:13.2f} "
                f"{way['of_by_index']:12.2f} {way['of_runner']:10.2f}"
            )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(artifact: Artifact, rounds: int) -> dict[str, Any]:
    """Time each way, interleaved."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (100, *artifact.spec.input.shape), np.uint8)
    makers = {"invoke alone": _bare, "framestep": _ours, "set_tensor, get_tensor": _by_index, "runner": _runner}
    ways = {name: make(artifact, frames) for name, make in makers.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    steps = max(5, min(len(frames), ROUND_NS // min(_round(ways["framestep"], 5) for _ in range(20)) * 5))
    gc.disable()
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(_round(way, steps) / steps / 1000)
    gc.enable()
    step_us = {name: min(each) for name, each in times.items()}
    bare = step_us["invoke alone"]
    above = {name: each - bare for name, each in step_us.items()}
    return {
        "interpreter": Engine(artifact).interpreter_version,
        "rounds": rounds,
        "steps": steps,
        "ways": {
            name: {
                "step_us": round(step_us[name], 3),
                "overhead_us": round(above[name], 3),
                "of_by_index": round(above[name] / above["set_tensor, get_tensor"], 3),
                "of_runner": round(above[name] / above["runner"], 3),
            }
            for name in ways
        },
    }


def _round(way: Way, steps: int) -> int:
    begin = time.perf_counter_ns()
    for step in range(steps):
        way(step)
    return time.perf_counter_ns() - begin


def _bare(artifact: Artifact, frames: Any) -> Way:
    interpreter = _interpreter(artifact)
    interpreter.set_tensor(artifact.network.inputs[FRAME].index, frames[0])
    invoke = interpreter.invoke
    return lambda _: invoke()


def _ours(artifact: Artifact, frames: Any) -> Way:
    stepper = Engine(artifact).stepper()
    return lambda step: stepper.step(frames[step])


def _by_index(artifact: Artifact, frames: Any) -> Way:
    interpreter = _interpreter(artifact)
    network = artifact.network
    frame, probabilities = network.inputs[FRAME].index, network.outputs[PROBABILITIES].index
    states = [(network.inputs[state.name].index, network.outputs[state.name].index) for state in artifact.spec.states]

    def step(number: int) -> Any:
        interpreter.set_tensor(frame, frames[number])
        interpreter.invoke()
        for target, source in states:
            interpreter.set_tensor(target, interpreter.get_tensor(source))
        return interpreter.get_tensor(probabilities)[0]

    return step


def _runner(artifact: Artifact, frames: Any) -> Way:
    runner = _interpreter(artifact).get_signature_runner("step")
    states = {state.name: np.zeros(state.shape, state.dtype) for state in artifact.spec.states}

    def step(number: int) -> Any:
        nonlocal states
        states = runner(frame=frames[number], **states)
        return states.pop(PROBABILITIES)[0]

    return step


def _interpreter(artifact: Artifact) -> Any:
    interpreter: Any = open_interpreter(artifact.content).interpreter
    interpreter.allocate_tensors()
    return interpreter


if __name__ == "__main__":
    main()
