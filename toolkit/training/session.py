"""One training from data to a finished run, which can be stopped anywhere and resumed."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras

from runtime.atomic import replacing
from runtime.errors import ConfigError, FramestepError
from runtime.spec import ResetSpec
from toolkit.models.build import build_model
from toolkit.training.baselines import Baselines
from toolkit.training.batches import ClipBatches
from toolkit.training.bounding import bound_network
from toolkit.training.environment import environment
from toolkit.training.finishing import finish
from toolkit.training.history import write_table
from toolkit.training.loop import Loop, Silent, seconds_of
from toolkit.training.network import Network
from toolkit.training.run_folder import MODEL_FILE, RUN_FILE, Run
from toolkit.training.warping import WarpConfig
from toolkit.training.windows import WindowBatches, WindowConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from toolkit.data.dataset import Dataset
    from toolkit.models.config import ModelConfig
    from toolkit.training.baselines import Baseline
    from toolkit.training.batches import Batches
    from toolkit.training.bounding import BoundingConfig
    from toolkit.training.choosing import ChoosingConfig
    from toolkit.training.loop import Row, Watcher
    from toolkit.training.run_folder import DataRequest
    from toolkit.training.schedule import TrainConfig

CHECKPOINTS = "checkpoints"
_SETTINGS = "settings.json"
_FEWEST_EPOCHS = 4


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """Everything that decides what a run will be.

    Attributes:
        name: of the model.
        data: see `DataRequest`.
        model: see `ModelConfig`; its `classes` come from the data.
        train: see `TrainConfig`.
        stateful: whether to train on windows (see `WindowConfig`) in place of whole clips.
        window: see `WindowConfig`.
        warp: see `WarpConfig`; None changes nothing.
        bounding: see `BoundingConfig`; None leaves the phase out.
        choosing: see `ChoosingConfig`; None leaves the reset policy a guess, and the decision the default.
        steps: where not None, `train.epochs` is made so many that they have about these steps.
        baseline_share: epochs of each baseline, as a fraction of the model's; 0 leaves them out.
        weights: a file for preset mobilenet.
    """

    name: str
    data: DataRequest
    model: ModelConfig
    train: TrainConfig
    stateful: bool
    window: WindowConfig
    warp: WarpConfig | None = None
    bounding: BoundingConfig | None = None
    choosing: ChoosingConfig | None = None
    steps: int | None = None
    baseline_share: float = 0.5
    weights: Path | None = None

    def to_plain(self) -> dict[str, Any]:
        """As JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return plain


def train_run(
    request: TrainRequest,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
    command: str = "",
) -> Run:
    """Train, bound, measure, and write the run.

    An interrupt leaves in `out` what `resume` needs; an error leaves `out` as it was.

    Args:
        request: see `TrainRequest`.
        out: the run's folder, new or empty.
        resume: go on with what was interrupted there, with the same request.
        force: take the place of the run that is there.
        watcher: see `Watcher`.
        command: how the user asked, for the model card.

    Raises:
        ConfigError: where `out` cannot be used, or settings do not fit together.
        DatasetError: where the data cannot be used.
    """
    check_folder(out, resume=resume, force=force)
    train, held = request.data.load()
    request = replace(request, model=replace(request.model, classes=len(train.labels)))
    settings = {"request": request.to_plain(), "data": _fingerprint(train, held)}
    if resume:
        _check_settings(out, settings)
    session = _Session(request, out, train, held, watcher or Silent())
    try:
        _prepare(out, settings, fresh=not resume)
        return session.run(command)
    except FramestepError:
        _clear(out)
        raise


def check_folder(out: Path, *, resume: bool, force: bool) -> None:
    """Refuse a folder that must not be written to.

    Raises:
        ConfigError: where a run, or something else, is in the way, or there is nothing to resume.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; a run is a folder. Name another --out.")
    unfinished = (out / CHECKPOINTS / _SETTINGS).is_file()
    if (out / RUN_FILE).is_file():
        if resume or not force:
            words = "Leave --resume out" if resume else "Use --force to replace it"
            raise ConfigError(f"{out} already holds a finished run. {words}, or name another --out.")
    elif resume and not unfinished:
        raise ConfigError(f"{out} holds nothing to resume. Leave --resume out.")
    elif unfinished and not (resume or force):
        raise ConfigError(f"{out} holds an interrupted run. Use --resume to go on with it, or --force to begin again.")
    elif out.is_dir() and not unfinished and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty and is no run. Name another --out.")


def make_batches(training: Mapping[str, Any], data: Dataset) -> Batches:
    """Make what a run is trained on.

    Args:
        training: of `Run.training`, or of `TrainRequest.to_plain`.
        data: the training part.
    """
    warp = None if training["warp"] is None else WarpConfig(**training["warp"])
    train, window = training["train"], WindowConfig(**training["window"])
    if training["stateful"]:
        return WindowBatches(
            clips=data.clips,
            streams=data.streams,
            batch_size=train["batch_size"],
            seed=train["seed"],
            config=window,
            warp=warp,
        )
    return ClipBatches(clips=data.clips, batch_size=train["batch_size"], seed=train["seed"], warp=warp)


class _Session:
    """The phases of one training; each knows from its checkpoint whether it is done."""

    def __init__(self, request: TrainRequest, out: Path, train: Dataset, held: Dataset, watcher: Watcher) -> None:
        self._request, self._out, self._data, self._held = request, out, train, held
        self._watcher = watcher
        if request.steps is not None:
            epochs = max(_FEWEST_EPOCHS, round(request.steps / len(self._batches())))
            self._request = replace(request, train=replace(request.train, epochs=epochs))

    def run(self, command: str) -> Run:
        request = self._request
        tf.config.experimental.enable_op_determinism()
        tf_keras.utils.set_random_seed(request.train.seed)
        network = Network(
            build_model(request.model, weights=request.weights), scale=request.model.scale, offset=request.model.offset
        )
        batches = self._batches()
        rows = self._fit(network, batches, request.train, "train", [])
        network, model, rows, notes = self._bound(network, batches, rows)
        baselines = self._baselines()
        seconds = seconds_of(rows) + sum(each.seconds for each in baselines.values() if each)
        run = Run(
            folder=self._out,
            name=request.name,
            model_config=model,
            labels=self._data.labels,
            fps=self._data.fps,
            data=replace(request.data, sources=_absolute(request.data.sources)),
            reset=self._reset(),
            training={**request.to_plain(), **notes},
            baselines={name: each.accuracy if each else None for name, each in baselines.items()},
            seconds=round(seconds, 3),
            made=environment(command),
        )
        return finish(run, network, self._data, self._held, rows, watcher=self._watcher)

    def _fit(
        self, network: Network, batches: Batches, config: TrainConfig, phase: str, before: Sequence[Row]
    ) -> list[Row]:
        loop = Loop(
            network,
            batches,
            self._held.clips,
            config,
            phase=phase,
            checkpoint=self._checkpoint(phase),
            watcher=_Recorder(self._watcher, before, self._out / "history.csv"),
        )
        return [*before, *loop.run().history]

    def _bound(
        self, network: Network, batches: Batches, rows: list[Row]
    ) -> tuple[Network, ModelConfig, list[Row], dict[str, Any]]:
        """Choose where it clips and train on so; see `bound_network`."""
        request = self._request
        if request.bounding is None:
            return network, request.model, rows, {}
        longer = list(rows)
        fine = replace(
            request.train,
            epochs=_share(request.train.epochs, request.bounding.share),
            learning_rate=request.train.learning_rate * request.bounding.rate,
            motion=0.0,
            patience=0,
        )

        def fit(clipped: Network, _: ModelConfig, phase: str) -> Sequence[Row]:
            longer[:] = self._fit(clipped, batches, fine, phase, longer)
            return ()

        found = bound_network(network, request.model, batches, request.bounding, fit)
        accuracies = {
            f"val_accuracy_{words}": [row.val_accuracy or 0.0 for row in longer if row.phase == phase][-1]
            for words, phase in (("unbounded", rows[-1].phase), ("bounded", found.notes["phase"]))
        }
        return found.network, found.model, longer, {**accuracies, "bounded": found.notes}

    def _baselines(self) -> dict[str, Baseline | None]:
        request, data = self._request, self._data
        if not request.baseline_share or not data.clips:
            return {"single_frame": None, "shuffled_order": None}
        lengths = sorted(len(clip.frames) for clip in data.clips)
        frames = request.train.batch_size * (request.window.frames if request.stateful else 1)
        baselines = Baselines(
            model=request.model,
            train=replace(
                request.train,
                epochs=_share(request.train.epochs, request.baseline_share),
                # As many frames a step as the model beside them gets.
                batch_size=max(request.train.batch_size, frames // lengths[len(lengths) // 2]),
                motion=0.0,
                patience=0,
            ),
            clips=data.clips,
            held=self._held.clips,
            warp=request.warp,
            rise_frames=request.window.rise_frames if request.stateful else 1,
            weights=request.weights,
            checkpoint=self._checkpoint,
        )
        # Without a memory there is no order to shuffle.
        remembers = request.model.cell != "none"
        return {
            "single_frame": baselines.single_frame(self._watcher),
            "shuffled_order": baselines.shuffled_order(self._watcher) if remembers else None,
        }

    def _batches(self) -> Batches:
        return make_batches(self._request.to_plain(), self._data)

    def _reset(self) -> ResetSpec:
        if self._request.stateful or self._request.model.cell == "none":
            return ResetSpec(policy="gap")
        # What was trained on clips alone loses its way in a longer stream.
        lengths = sorted(len(clip.frames) for clip in self._data.clips)
        return ResetSpec(policy="every", every_frames=lengths[len(lengths) // 2])

    def _checkpoint(self, phase: str) -> Path:
        return self._out / CHECKPOINTS / f"{phase.replace(' ', '_')}.npz"


class _Recorder:
    """Writes the history after every epoch, and tells the user's watcher."""

    def __init__(self, watcher: Watcher, before: Sequence[Row], path: Path) -> None:
        self._watcher, self._before, self._path = watcher, before, path

    def step(self, *, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        self._watcher.step(phase=phase, epoch=epoch, epochs=epochs, step=step, steps=steps)

    def epoch(self, row: Row, history: Sequence[Row]) -> None:
        write_table([*self._before, *history], self._path)
        self._watcher.epoch(row, history)


def _share(epochs: int, share: float) -> int:
    return max(1, round(epochs * share))


def _absolute(sources: Sequence[str]) -> tuple[str, ...]:
    """The sources as they are found from any folder."""
    from pathlib import Path

    return tuple(str(Path(source).resolve()) if Path(source).exists() else source for source in sources)


def _fingerprint(*parts: Dataset) -> str:
    """Of what was loaded: names, lengths, labels and a sample of the pixels."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr((part.labels, part.fps)).encode())
        for clip in part.clips:
            digest.update(repr((clip.name, clip.label, clip.group, clip.frames.shape)).encode())
            digest.update(clip.frames[0].tobytes())
        for stream in part.streams:
            digest.update(repr((stream.name, stream.frames.shape)).encode())
            digest.update(stream.labels.tobytes())
    return digest.hexdigest()


def _check_settings(out: Path, settings: dict[str, Any]) -> None:
    saved = json.loads((out / CHECKPOINTS / _SETTINGS).read_text(encoding="utf-8"))
    if saved["data"] != settings["data"]:
        raise ConfigError(f"The data is not what {out} was begun with. Bring it back, or begin again with --force.")
    differing = sorted(_differences(saved["request"], settings["request"], ""))
    if differing:
        raise ConfigError(
            f"{out} was begun with other settings: {'; '.join(differing)}. Use the same ones with --resume, "
            "or begin again with --force."
        )


def _differences(before: Any, now: Any, where: str) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            words
            for key in before.keys() | now.keys()
            for words in _differences(before.get(key), now.get(key), f"{where}.{key}".lstrip("."))
        ]
    return [] if before == now else [f"{where} was {before}, is {now}"]


def _prepare(out: Path, settings: dict[str, Any], *, fresh: bool) -> None:
    if fresh:
        _clear(out)
    (out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    with replacing(out / CHECKPOINTS / _SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=1), encoding="utf-8")


def _clear(out: Path) -> None:
    """Remove what framestep writes into a run's folder, and the folder where that was all."""
    # Without run.json it is no run any more: that one goes first.
    for name in (RUN_FILE, MODEL_FILE, "history.csv", "history.png", "README.md"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
