"""The end of a training: what was reached, and the files of the run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.step_model import build_step_model
from toolkit.evaluation.clips import ClipResult
from toolkit.evaluation.predictors import StepModelPredictor
from toolkit.evaluation.validation import validation_stream
from toolkit.training.choosing import ChoosingConfig, choose
from toolkit.training.history import write_plot, write_table
from toolkit.training.loop import Silent
from toolkit.training.model_card import write_card
from toolkit.training.run_folder import save_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.data.dataset import Dataset
    from toolkit.training.loop import Row, Watcher
    from toolkit.training.network import Network
    from toolkit.training.run_folder import Run


def finish(
    run: Run,
    network: Network,
    train: Dataset,
    held: Dataset,
    rows: Sequence[Row],
    *,
    watcher: Watcher | None = None,
) -> Run:
    """Measure the model on the clips held out and write every file of the run, `run.json` last.

    Where the run's training asks for it (`choosing`, see `ChoosingConfig`), its reset policy and its decision are
    settled on the stream of what was held out; else they stay what they are.

    Args:
        run: without its results.
        network: the trained model.
        train: what it was trained on.
        held: what it was not trained on.
        rows: the history.
        watcher: see `Watcher`.

    Returns:
        The run with its results.
    """
    run = _settled(replace(run, results=_results(network, train, held)), network, held, watcher or Silent())
    run.folder.mkdir(parents=True, exist_ok=True)
    save_model(network.model, run.model_path)
    write_table(rows, run.folder / "history.csv")
    if rows:
        write_plot(rows, run.folder / "history.png")
    write_card(run)
    run.save()
    return run


def _settled(run: Run, network: Network, held: Dataset, watcher: Watcher) -> Run:
    """Choose the reset policy and fit the decision, on what the step form of the model says of a stream."""
    if run.training.get("choosing") is None:
        return run
    since_s = time.monotonic()
    picture = run.input_spec
    step_model = build_step_model(network.model, scale=picture.scale, offset=picture.offset)
    lengths = sorted(len(clip.frames) for clip in held.clips)
    chosen = choose(
        StepModelPredictor(step_model),
        validation_stream(held),
        run.labels,
        fps=run.fps,
        config=ChoosingConfig(**run.training["choosing"]),
        clip_frames=lengths[len(lengths) // 2] if run.model_config.cell != "none" else None,
        progress=lambda done, total: watcher.step(phase="choosing", epoch=1, epochs=1, step=done, steps=total),
    )
    reset = replace(chosen.reset, gap_s=run.reset.gap_s)
    return replace(
        run,
        reset=reset,
        decision=chosen.decision,
        results={**run.results, **chosen.results},
        seconds=round(run.seconds + time.monotonic() - since_s, 3),
    )


def _results(network: Network, train: Dataset, held: Dataset) -> dict[str, Any]:
    answers = network.answers(held.clips)
    confusion = np.zeros((len(held.labels), len(held.labels)), np.int64)
    np.add.at(confusion, (np.array(answers.labels), np.array(answers.answers)), 1)
    result = ClipResult(
        labels=held.labels, confusion=tuple(map(tuple, confusion.tolist())), answers=tuple(answers.answers)
    )
    return {
        "val_accuracy": result.accuracy,
        "val_frame_accuracy": answers.frame_accuracy,
        "val_loss": answers.loss,
        "per_class": result.per_class,
        "confusion": confusion.tolist(),
        "clips_trained": len(train.clips),
        "clips_held": len(held.clips),
        "streams_trained": len(train.streams),
        "frames_trained": sum(train.frames_per_class().values()),
        "held_per_class": dict(Counter(held.labels[clip.label] for clip in held.clips)),
        "skipped": len(train.skipped),
    }
