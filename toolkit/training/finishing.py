"""The end of a training: what was reached, and the files of the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.evaluation.clips import ClipResult
from toolkit.training.history import write_plot, write_table
from toolkit.training.model_card import write_card
from toolkit.training.run_folder import save_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.data.dataset import Dataset
    from toolkit.training.loop import Row
    from toolkit.training.network import Network
    from toolkit.training.run_folder import Run


def finish(run: Run, network: Network, train: Dataset, held: Dataset, rows: Sequence[Row]) -> Run:
    """Measure the model on the clips held out and write every file of the run, `run.json` last.

    Args:
        run: without its results.
        network: the trained model.
        train: what it was trained on.
        held: what it was not trained on.
        rows: the history.

    Returns:
        The run with its results.
    """
    run = replace(run, results=_results(network, train, held))
    run.folder.mkdir(parents=True, exist_ok=True)
    save_model(network.model, run.model_path)
    write_table(rows, run.folder / "history.csv")
    if rows:
        write_plot(rows, run.folder / "history.png")
    write_card(run)
    run.save()
    return run


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
