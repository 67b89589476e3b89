"""A run made from a run: the folder is checked first, and the new run appears when all of it is there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras

from runtime.errors import ConfigError
from toolkit.compression.masks import kernel_sparsities, sparsity
from toolkit.training.environment import environment
from toolkit.training.finishing import finish
from toolkit.training.loop import seconds_of
from toolkit.training.model_card import write_card
from toolkit.training.network import Network
from toolkit.training.schedule import TrainConfig
from toolkit.training.session import check_folder, make_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from toolkit.data.dataset import Dataset
    from toolkit.models.config import ModelConfig
    from toolkit.training.batches import Batches
    from toolkit.training.loop import Row, Watcher
    from toolkit.training.run_folder import Run


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """What a run is made from.

    Attributes:
        run: the run that stays as it is.
        train: what it was trained on.
        held: what it was not trained on.
        network: its model, newly loaded: it may be changed.
        batches: what its training was fed.
    """

    run: Run
    train: Dataset
    held: Dataset
    network: Network
    batches: Batches


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What was made of it.

    Attributes:
        network: the new model; `Origin.network` where that one was changed.
        history: of the training that this took; may be empty.
        model_config: builds a model of this structure.
        sparsity: None where the run is not a pruned one; otherwise the file that is written is measured again, and
            that number is the run's.
        notes: how it was made, as JSON types, `method` at least. They become the last of the new run's
            `training["derivations"]`, with the name of the run that it was made `from`.
    """

    network: Network
    history: Sequence[Row]
    model_config: ModelConfig
    sparsity: float | None
    notes: Mapping[str, Any] = field(default_factory=dict)


def derive_run(
    run: Run,
    out: Path,
    make: Callable[[Origin], Outcome],
    *,
    force: bool = False,
    watcher: Watcher | None = None,
    command: str = "",
) -> Run:
    """Make a run from a run, with its own data and settings.

    An interrupt or an error leaves in `out` what was there, the run before or nothing.

    Args:
        run: stays as it is.
        out: the new run's folder.
        make: does the work.
        force: take the place of the run that is there.
        watcher: is told how the measuring goes at the end; `make` tells it of its own work.
        command: how the user asked, for the model card.

    Raises:
        ConfigError: where `out` cannot be used.
        DatasetError: where the run's data is not there any more.
    """
    if out.resolve() == run.folder.resolve():
        raise ConfigError(f"{out} is the run that the new one is made from. Name another --out.")
    check_folder(out, resume=False, force=force)
    train, held = run.datasets()
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(int(run.training["train"]["seed"]))
    network = Network(run.model(), scale=run.model_config.scale, offset=run.model_config.offset)
    origin = Origin(run=run, train=train, held=held, network=network, batches=make_batches(run.training, train))
    made = make(origin)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    derivations = [*run.training.get("derivations", []), {"from": run.name, **made.notes}]
    derived = replace(
        run,
        folder=part,
        name=out.resolve().name,
        model_config=made.model_config,
        training={**run.training, "derivations": derivations},
        seconds=seconds_of(made.history),
        sparsity=made.sparsity,
        made=environment(command),
    )
    try:
        derived = _measured(finish(derived, made.network, train, held, made.history, watcher=watcher))
        _move(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return replace(derived, folder=out)


def fine_tuning(run: Run, *, epochs: int | None, share: float, rate: float) -> TrainConfig:
    """Give the settings with which a run is trained on.

    Args:
        run: whose own settings the others are.
        epochs: None for a share of those that the run was trained with.
        share: see `epochs`.
        rate: the learning rate, as a fraction of the training's.
    """
    settings = run.training["train"]
    return TrainConfig(
        **{
            **settings,
            "epochs": epochs or max(1, round(settings["epochs"] * share)),
            "learning_rate": settings["learning_rate"] * rate,
            "motion": 0.0,
            "patience": 0,
        }
    )


def _measured(run: Run) -> Run:
    """Measure the zeros of the file that was written, and write down what it has."""
    if run.sparsity is None:
        return run
    saved = run.model()
    kernels = {name: round(share, 6) for name, share in kernel_sparsities(saved).items()}
    run = replace(run, sparsity=sparsity(saved), results={**run.results, "kernel_sparsities": kernels})
    write_card(run)
    run.save()
    return run


def _move(part: Path, out: Path) -> None:
    """Put a folder where there may be one already; only a kill between two renames could leave neither there."""
    aside = out.with_name(f".{out.name}.old")
    try:
        if out.exists():
            shutil.rmtree(aside, ignore_errors=True)
            out.rename(aside)
        part.rename(out)
    except BaseException:
        if aside.exists() and not out.exists():
            aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
