"""A run: the folder that training writes, and everything that later commands ask of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.atomic import replacing
from runtime.errors import ConfigError, SpecError
from runtime.spec import DecisionSpec, InputSpec, ResetSpec, from_plain
from toolkit.data.dataset import DataConfig
from toolkit.models.config import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.data.dataset import Dataset

RUN_FORMAT = 1
RUN_FILE = "run.json"
MODEL_FILE = "model.keras"


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """Which data a run is made of, and how it is divided.

    Attributes:
        sources: folders, tables, films, `digits`.
        config: see `DataConfig`.
        seed: of the division.
        guard: see `toolkit.data.splits.split`.
        validation: the fraction held out.
    """

    sources: tuple[str, ...]
    config: DataConfig
    seed: int = 0
    guard: int = 0
    validation: float = 0.25

    def load(self) -> tuple[Dataset, Dataset]:
        """Load and divide it: the training and the validation part.

        Raises:
            DatasetError: where it cannot be used.
        """
        from toolkit.data.loading import load_dataset
        from toolkit.data.splits import split

        dataset = load_dataset(self.sources, self.config)
        return split(dataset, seed=self.seed, guard=self.guard, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it is.
        name: of the model.
        model_config: what the model is made of.
        labels: one a class, in the order of the probabilities.
        fps: frames a second of the data.
        data: see `DataRequest`.
        reset: when a stream's states go back.
        decision: how probabilities become events.
        training: how it was trained, as JSON types.
        results: what was measured on the clips held out, as JSON types; `val_accuracy` at least.
        baselines: accuracies of `single_frame` and `shuffled_order`; None where they were not measured.
        seconds: of training, everything included.
        sparsity: fraction of the prunable weights that are 0 by pruning; None for a run that was not pruned.
        made: with what, for people.
    """

    folder: Path
    name: str
    model_config: ModelConfig
    labels: tuple[str, ...]
    fps: float
    data: DataRequest
    reset: ResetSpec = field(default_factory=ResetSpec)
    decision: DecisionSpec = field(default_factory=DecisionSpec)
    training: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    sparsity: float | None = None
    made: Mapping[str, str] = field(default_factory=dict)

    @property
    def input_spec(self) -> InputSpec:
        """The picture that the model takes."""
        config = self.model_config
        return InputSpec(
            height=config.height,
            width=config.width,
            channels=config.channels,
            colour=config.colour,
            kind="difference" if config.input == "difference" else "picture",
            crop=self.data.config.crop,
            scale=config.scale,
            offset=config.offset,
        )

    @property
    def val_accuracy(self) -> float:
        """The fraction of the clips held out that are told right."""
        return float(self.results["val_accuracy"])

    @property
    def model_path(self) -> Path:
        """The trained model."""
        return self.folder / MODEL_FILE

    def model(self) -> Any:
        """Load the trained model, a tf_keras model of clips; see `build_model`."""
        from converters.loading import load_model

        return load_model(self.model_path)

    def datasets(self) -> tuple[Dataset, Dataset]:
        """Load the data again that it was trained on, and that was held out."""
        return self.data.load()

    def training_dataset(self) -> Dataset:
        """Load the data again that it was trained on."""
        return self.datasets()[0]

    def validation_dataset(self) -> Dataset:
        """Load the data again that was held out."""
        return self.datasets()[1]

    def to_plain(self) -> dict[str, Any]:
        """As JSON types, without the folder."""
        plain = {**asdict(self), "format": RUN_FORMAT, "model": self.model_config.to_plain()}
        del plain["folder"], plain["model_config"]
        return plain

    def save(self) -> None:
        """Write `run.json`; the folder holds it, or the one before."""
        text = json.dumps(self.to_plain(), ensure_ascii=False, indent=1)
        with replacing(self.folder / RUN_FILE) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run's folder; its model is loaded when it is asked for.

        Raises:
            ConfigError: where it is not a finished run.
        """
        folder = Path(folder)
        path = folder / RUN_FILE
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder. Name a folder that framestep train has written.")
        if not path.is_file() or not (folder / MODEL_FILE).is_file():
            lacks = RUN_FILE if not path.is_file() else MODEL_FILE
            hint = " Finish it with --resume." if (folder / "checkpoints").is_dir() else ""
            raise ConfigError(f"{folder} is not a finished run: it has no {lacks}.{hint or ' Name a run folder.'}")
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            if plain["format"] != RUN_FORMAT:
                raise ConfigError(
                    f"{path} has format {plain['format']}; this framestep reads {RUN_FORMAT}. Train the model again."
                )
            return cls._from_plain(folder, plain)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ConfigError):
                raise
            words = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"{path} cannot be read: {words}. Train the model again.") from None

    @classmethod
    def _from_plain(cls, folder: Path, plain: Mapping[str, Any]) -> Run:
        data = dict(plain["data"])
        config = dict(data["config"])
        if config.get("labels") is not None:
            config["labels"] = tuple(config["labels"])
        try:
            reset = from_plain(ResetSpec, plain["reset"], "reset")
            # Runs of before it was fitted have none.
            decision = from_plain(DecisionSpec, plain.get("decision", {}), "decision")
        except SpecError as error:
            raise ConfigError(f"{folder / RUN_FILE} cannot be read: {error}") from None
        return cls(
            folder=folder,
            name=plain["name"],
            model_config=ModelConfig.from_plain(plain["model"]),
            labels=tuple(plain["labels"]),
            fps=plain["fps"],
            data=DataRequest(**{**data, "sources": tuple(data["sources"]), "config": DataConfig(**config)}),
            reset=reset,
            decision=decision,
            training=plain["training"],
            results=plain["results"],
            baselines=plain["baselines"],
            seconds=plain["seconds"],
            sparsity=plain["sparsity"],
            made=plain["made"],
        )


def save_model(model: Any, path: Path) -> None:
    """Write a model as `.keras`, atomically.

    Args:
        model: a tf_keras model.
        path: ending in `.keras`.
    """
    with replacing(path) as temporary:
        # Keras chooses its format by the ending.
        named = temporary.with_name(f"{temporary.name}.keras")
        try:
            model.save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
