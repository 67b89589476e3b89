"""What an artifact costs: time a frame, memory, cold start, bytes.

The files are timed in one process and in turns, a block of frames each, so that whatever else the machine does falls
on all of them alike. Every file gets the same pictures.
"""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.decision import Decision
from runtime.engine import Engine
from runtime.errors import ArtifactError, ConfigError, SourceError
from runtime.preprocess import Preprocessor
from runtime.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runtime.frame import Frame
    from runtime.interpreter import Choice

BLOCK = 50
"""Frames that one file steps before the next file's turn."""

COLD_STARTS = 3
"""Children started for each file; their median counts."""

CHILD_LIMIT_S = 120.0

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """How to measure.

    Attributes:
        source: where the pictures come from, as for `framestep run`; synthetic ones where None.
        frames: timed for each file; as many as one block go before, untimed.
        threads: that an invoke may use.
        interpreter: which one; the first that is installed where None.
    """

    source: str | None = None
    frames: int = 1000
    threads: int = 1
    interpreter: Choice | None = None

    def __post_init__(self) -> None:
        for name in ("frames", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")


@dataclass(kw_only=True)
class _Candidate:
    """One file with its stages, and what each took in nanoseconds."""

    path: Path
    engine: Engine
    preprocess_ns: list[int] = field(default_factory=list)
    step_ns: list[int] = field(default_factory=list)
    decide_ns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = self.engine.spec
        self.stepper = self.engine.stepper()
        self.preprocess = Preprocessor(spec.input)
        self.decision = Decision(spec.decision, spec.labels)

    def run(self, frames: Sequence[Frame], *, timed: bool) -> None:
        """Take every frame through the stages."""
        now = time.perf_counter_ns
        for frame in frames:
            start = now()
            pixels = self.preprocess(frame.picture)
            ready = now()
            probabilities = self.stepper.step(pixels)
            stepped = now()
            self.decision.update(frame.index, probabilities)
            decided = now()
            if timed:
                self.preprocess_ns.append(ready - start)
                self.step_ns.append(stepped - ready)
                self.decide_ns.append(decided - stepped)


def bench(paths: Sequence[Path], config: BenchConfig) -> list[dict[str, Any]]:
    """Time artifacts side by side.

    Returns:
        For each file `path`, `precision`, `interpreter`, `threads`, `frames`, `step_us` and `stages_us`, each stage
        {`p50`, `p95`, `p99`} with `decode` null for synthetic pictures, `rss_bytes`, `cold_start_ms`, `bytes` and
        `gzip_bytes`.

    Raises:
        ArtifactError: where a file is no artifact.
        SourceError: where the source gives no frame.
    """
    candidates = [
        _Candidate(path=path, engine=Engine.open(path, interpreter=config.interpreter, threads=config.threads))
        for path in paths
    ]
    cold = [_cold_start(path, config) for path in paths]
    decode_ns: list[int] = []
    pictures = _endless(config.source or "synthetic", decode_ns)
    warm = list(itertools.islice(pictures, BLOCK))
    for candidate in candidates:
        candidate.run(warm, timed=False)
    decode_ns.clear()
    for block, start in enumerate(range(0, config.frames, BLOCK)):
        frames = list(itertools.islice(pictures, min(BLOCK, config.frames - start)))
        turn = block % len(candidates)
        for candidate in candidates[turn:] + candidates[:turn]:
            candidate.run(frames, timed=True)
    decode = _percentiles_us(decode_ns) if config.source else None
    return [_result(each, config, decode) | child for each, child in zip(candidates, cold, strict=True)]


def _endless(source: str, decode_ns: list[int]) -> Iterator[Frame]:
    """A source's frames, from its beginning again where it ends; what each took is added to the list."""
    while True:
        with open_source(source) as opened:
            frames = iter(opened.frames())
            start = time.perf_counter_ns()
            frame = next(frames, None)
            some = frame is not None
            while frame is not None:
                decode_ns.append(time.perf_counter_ns() - start)
                yield frame
                start = time.perf_counter_ns()
                frame = next(frames, None)
        if not some:
            raise SourceError(f"{source} gives no frame. Give a source that has some.")


def _percentiles_us(times_ns: Sequence[int]) -> dict[str, float]:
    values = np.percentile(np.asarray(times_ns, np.float64) / 1e3, PERCENTILES)
    return {f"p{percent}": round(float(value), 2) for percent, value in zip(PERCENTILES, values, strict=True)}


def _result(candidate: _Candidate, config: BenchConfig, decode: dict[str, float] | None) -> dict[str, Any]:
    content = candidate.path.read_bytes()
    step = _percentiles_us(candidate.step_ns)
    return {
        "path": str(candidate.path),
        "precision": candidate.engine.spec.precision,
        "interpreter": candidate.engine.interpreter_name,
        "threads": config.threads,
        "frames": len(candidate.step_ns),
        "step_us": step,
        "stages_us": {
            "decode": decode,
            "preprocess": _percentiles_us(candidate.preprocess_ns),
            "step": step,
            "decide": _percentiles_us(candidate.decide_ns),
        },
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, compresslevel=9, mtime=0)),
    }


def _cold_start(path: Path, config: BenchConfig) -> dict[str, Any]:
    """Start fresh children for one file: `cold_start_ms` and `rss_bytes`."""
    command = [sys.executable, "-m", "toolkit.evaluation.cold_start"]
    command += [str(path), config.interpreter or "", str(config.threads)]
    results = []
    for _ in range(COLD_STARTS):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHILD_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise ArtifactError(f"{path}: no prediction within {CHILD_LIMIT_S:.0f} s of starting.") from None
        if done.returncode:
            words = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise ArtifactError(f"{path} makes no prediction in a process of its own: {words}")
        results.append(json.loads(done.stdout))
    return {
        "cold_start_ms": round(median(result["cold_start_ms"] for result in results), 1),
        "rss_bytes": int(median(result["rss_bytes"] for result in results)),
    }
