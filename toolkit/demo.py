"""The whole way on built-in data: train, prune, convert, verify, measure, run over a film."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from runtime.engine import Engine
from runtime.pipeline import Pipeline
from runtime.sinks import open_sink
from runtime.sources import open_source
from runtime.testing import ListSink
from toolkit.compression.pruning.config import PruneConfig
from toolkit.compression.pruning.methods import prune_run
from toolkit.conversion import ConversionRequest, convert_run
from toolkit.data.dataset import DataConfig
from toolkit.data.digits import DIGITS, FPS, DigitsConfig, DigitsStream, images_of
from toolkit.data.digits_files import write_film
from toolkit.evaluation.bench import BenchConfig, bench
from toolkit.evaluation.clips import evaluate_clips
from toolkit.evaluation.subject import open_subject
from toolkit.models.config import ModelConfig
from toolkit.training.bounding import BoundingConfig
from toolkit.training.defaults import DEFAULTS
from toolkit.training.run_folder import DataRequest
from toolkit.training.schedule import TrainConfig
from toolkit.training.session import TrainRequest, train_run
from toolkit.training.windows import WindowConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from converters.convert import Converted
    from runtime.sinks import Record
    from runtime.spec import Precision
    from toolkit.data.dataset import Dataset
    from toolkit.models.config import Cell, Preset
    from toolkit.training.loop import Watcher
    from toolkit.training.run_folder import Run

Name: TypeAlias = Literal["lstm", "lstm-pruned", "gru"]

_PRESET: Preset = "tiny"

VARIANTS: tuple[tuple[Name, Precision], ...] = (
    ("lstm", "float32"),
    ("lstm", "float16"),
    ("lstm", "dynamic"),
    ("lstm", "int8"),
    ("lstm-pruned", "int8"),
    ("gru", "int8"),
)
"""Run and precision of each artifact; it is named after both."""

CHOSEN: tuple[Name, Precision] = ("lstm", "int8")
"""The artifact that is run over the film."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How much of everything.

    Attributes:
        variants: see `VARIANTS`; `CHOSEN` must be among them.
        steps: of training for each cell.
        baseline_share: of those, for each baseline.
        prune_epochs: of training while weights go.
        sparsity: fraction of the weights that go.
        stream_frames: length of the stream on which artifacts are compared with their runs.
        bench_frames: timed for each artifact.
        film_frames: length of the film.
        seed: of everything that is drawn.
    """

    variants: tuple[tuple[Name, Precision], ...] = VARIANTS
    steps: int = 400
    baseline_share: float = 0.3
    prune_epochs: int = 2
    sparsity: float = 0.5
    stream_frames: int = 3000
    bench_frames: int = 2000
    film_frames: int = 600
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who is told how far the demo is.

    Attributes:
        stage: called with a sentence when a stage begins.
        watcher: of training; None for nobody.
        progress: of conversion: stage, done, total.
    """

    stage: Callable[[str], None] = lambda _: None
    watcher: Watcher | None = None
    progress: Callable[[str, int, int], None] = lambda *_: None


def demo(folder: Path, config: DemoConfig, listener: Listener | None = None) -> dict[str, Any]:
    """Go the whole way and leave runs, artifacts and a film in a folder.

    Args:
        folder: made where it does not exist; what an earlier demo wrote there is replaced.
        config: see `DemoConfig`.
        listener: see `Listener`.

    Returns:
        `runs`, `variants`, `film`, `artifact` and `seconds`, as JSON types.

    Raises:
        FidelityError: where an artifact does not hold the gate of `framestep convert`.
    """
    start_s = time.monotonic()
    tell = listener or Listener()
    folder.mkdir(parents=True, exist_ok=True)
    runs = _runs(folder, config, tell)
    held = runs["lstm"].validation_dataset()
    variants = []
    for name, precision in config.variants:
        tell.stage(f"converting {name} to {precision}")
        request = ConversionRequest(precision=precision, frames=config.stream_frames)
        path = folder / f"{name}-{precision}.tflite"
        variants.append(_figures(convert_run(runs[name], path, request, progress=tell.progress), held))
    tell.stage("timing the artifacts in turns")
    paths = [folder / f"{variant['name']}.tflite" for variant in variants]
    for variant, cost in zip(variants, bench(paths, BenchConfig(frames=config.bench_frames)), strict=True):
        variant.update({key: cost[key] for key in ("bytes", "gzip_bytes", "step_us", "rss_bytes", "cold_start_ms")})
    tell.stage("running the int8 artifact over a film")
    chosen = folder / f"{'-'.join(CHOSEN)}.tflite"
    return {
        "runs": {name: _told(run) for name, run in runs.items()},
        "variants": variants,
        "film": _film(folder, chosen, held, config),
        "artifact": str(chosen),
        "seconds": round(time.monotonic() - start_s, 1),
    }


def _runs(folder: Path, config: DemoConfig, tell: Listener) -> dict[Name, Run]:
    wanted = {name for name, _ in config.variants}
    tell.stage("training a CNN-LSTM on moving digits, and what it must beat: one frame, and shuffled frames")
    runs: dict[Name, Run] = {}
    runs["lstm"] = train_run(_request("lstm", config), folder / "lstm", force=True, watcher=tell.watcher)
    if "lstm-pruned" in wanted:
        tell.stage(f"taking {config.sparsity:.0%} of the CNN-LSTM's weights out")
        less = PruneConfig(sparsity=config.sparsity, epochs=config.prune_epochs)
        runs["lstm-pruned"] = prune_run(runs["lstm"], folder / "lstm-pruned", less, force=True, watcher=tell.watcher)
    if "gru" in wanted:
        tell.stage("training a CNN-GRU")
        alone = replace(_request("gru", config), baseline_share=0.0)
        runs["gru"] = train_run(alone, folder / "gru", force=True, watcher=tell.watcher)
    return runs


def _request(cell: Cell, config: DemoConfig) -> TrainRequest:
    defaults = DEFAULTS[_PRESET]
    width, height = defaults.digits_size
    return TrainRequest(
        name=f"digits-{cell}",
        data=DataRequest(sources=(DIGITS,), config=DataConfig(width=width, height=height), seed=config.seed),
        model=ModelConfig(preset=_PRESET, width=width, height=height, cell=cell, classes=2),
        train=TrainConfig(epochs=1, batch_size=defaults.batch, learning_rate=defaults.learning_rate, seed=config.seed),
        stateful=True,
        window=WindowConfig(),
        bounding=BoundingConfig(),
        steps=config.steps,
        baseline_share=config.baseline_share,
    )


def _figures(converted: Converted, held: Dataset) -> dict[str, Any]:
    """What the conversion measured, and the artifact's accuracy on the clips held out."""
    path, spec = converted.path, converted.spec
    subject = open_subject(path)
    return {
        "name": path.stem,
        "path": str(path),
        "precision": spec.precision,
        "accuracy": evaluate_clips(subject.predictor, held.clips, subject.labels).accuracy,
        "fidelity": None if spec.fidelity is None else asdict(spec.fidelity),
    }


def _told(run: Run) -> dict[str, Any]:
    return {
        "run": str(run.folder),
        "val_accuracy": run.val_accuracy,
        "baselines": dict(run.baselines),
        "seconds": run.seconds,
        "sparsity": run.sparsity,
    }


def _film(folder: Path, artifact: Path, held: Dataset, config: DemoConfig) -> dict[str, Any]:
    """Write a film of digits that were held out, and run an artifact over it as `framestep run` does."""
    film, lines = folder / "film.mp4", folder / "film.jsonl"
    stream = DigitsStream(config=DigitsConfig(), images=images_of(held.clips), seed=config.seed + 2)
    chunks = list(stream.chunks(config.film_frames))
    write_film(film, np.concatenate([chunk.frames for chunk in chunks]), fps=FPS)
    truth = [stream.labels[label] for label in np.concatenate([chunk.labels for chunk in chunks]).tolist()]
    lines.unlink(missing_ok=True)
    answers = ListSink()
    with ExitStack() as stack:
        source = stack.enter_context(open_source(str(film)))
        sink = stack.enter_context(open_sink(f"jsonl:{lines}"))
        summary = Pipeline(stepper=Engine.open(artifact).stepper(), source=source, sinks=[sink, answers]).run()
    return {
        "path": str(film),
        "answers": str(lines),
        "frames": summary.frames,
        "events": len(answers.events),
        "frame_accuracy": _share(answers.frames, truth),
        "stages_us": {name: asdict(times) for name, times in summary.stages_us.items()},
    }


def _share(answers: Sequence[Record], truth: Sequence[str]) -> float:
    return float(sum(answer["label"] == truth[answer["index"]] for answer in answers) / len(truth))
