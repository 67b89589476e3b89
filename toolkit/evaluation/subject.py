"""What is evaluated: a run or an artifact, with all that data must be brought to."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runtime.errors import DatasetError
from toolkit.data.dataset import DataConfig, Dataset
from toolkit.data.digits import DIGITS
from toolkit.data.finding import find
from toolkit.data.loading import Progress, load_dataset
from toolkit.data.splits import split
from toolkit.evaluation.predictors import ArtifactPredictor, Predictor, StepModelPredictor
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.interpreter import Choice
    from runtime.spec import DecisionSpec, InputSpec, ResetSpec
    from toolkit.data.dataset import Clip

Part = Literal["validation", "all"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model that can be asked, and what it was made for.

    Attributes:
        predictor: see `Predictor`.
        labels: one a class.
        fps: frames a second that it takes.
        input: the picture that it takes.
        reset: its policy.
        decision: how its probabilities become events.
        run: where it is a run; None for an artifact.
    """

    predictor: Predictor
    labels: tuple[str, ...]
    fps: float
    input: InputSpec
    reset: ResetSpec
    decision: DecisionSpec
    run: Run | None = None

    def data_config(self) -> DataConfig:
        """How data is brought to what the model takes; every label must be one of the model's."""
        return DataConfig(
            width=self.input.width,
            height=self.input.height,
            colour=self.input.colour,
            crop=self.input.crop,
            fps=self.fps,
            min_frames=1,
            labels=self.labels,
        )

    def trained_on(self, film: Path) -> bool | None:
        """Whether a recording is among a run's own data; None for an artifact, of which nobody knows."""
        if self.run is None:
            return None
        places = {Path(source).resolve() for source in self.run.data.sources if source != DIGITS}
        return not places.isdisjoint({film.resolve(), film.resolve().parent})


def open_subject(path: Path, *, interpreter: Choice | None = None, threads: int = 1) -> Subject:
    """Open a run's folder or an artifact.

    Args:
        path: of either.
        interpreter: for an artifact; None for the first that is installed.
        threads: for an artifact.

    Raises:
        FramestepError: where it is neither.
    """
    if path.is_dir():
        return _open_run(path)
    from runtime.engine import Engine

    engine = Engine.open(path, interpreter=interpreter, threads=threads)
    spec = engine.spec
    return Subject(
        predictor=ArtifactPredictor(engine),
        labels=spec.labels,
        fps=spec.fps,
        input=spec.input,
        reset=spec.reset,
        decision=spec.decision,
    )


def load_part(
    subject: Subject,
    sources: Sequence[str],
    *,
    part: Part | None,
    like: Run | None = None,
    progress: Progress | None = None,
) -> tuple[Dataset, Part]:
    """Load what a model is to be evaluated on.

    Args:
        subject: the model.
        sources: data; () for the run's own.
        part: what of it; None for the part that was held out where that is known, else all. It is known of a run's own
            data, all of it or some of its sources, and of the digits.
        like: a run whose division counts for an artifact.
        progress: see `load_dataset`.

    Returns:
        The data, and which part it is.

    Raises:
        DatasetError: where it cannot be used.
    """
    run = subject.run or like
    named = tuple(sources) or (run.data.sources if run is not None else ())
    if run is not None and part != "all" and set(_places(named)) <= set(_places(run.data.sources)):
        held = _held_out(run, named)
        if held.clips:
            return held, "validation"
        if part == "validation":
            raise DatasetError(
                f"{run.name} held out nothing of {', '.join(named)}. Name all that it was trained on, or data that it "
                "has not seen."
            )
    dataset = load_dataset(named, subject.data_config(), progress=progress)
    if part != "all" and dataset.sources == (DIGITS,):
        return split(dataset, seed=0)[1], "validation"
    if part == "validation":
        raise DatasetError(
            f"Nobody knows which part of {', '.join(named)} was held out. Name the run that was trained on it with "
            "--like, or use --part all."
        )
    return dataset, "all"


def _open_run(path: Path) -> Subject:
    from converters.step_model import build_step_model

    run = Run.load(path)
    picture = run.input_spec
    model = build_step_model(run.model(), scale=picture.scale, offset=picture.offset)
    return Subject(
        predictor=StepModelPredictor(model),
        labels=run.labels,
        fps=run.fps,
        input=picture,
        reset=run.reset,
        decision=run.decision,
        run=run,
    )


def same_sources(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists name the same data, in whatever order and from wherever."""
    return sorted(_places(some)) == sorted(_places(others))


def words_on(run: Run, sources: Sequence[str], part: Part) -> str | None:
    """Say what a user should know of named data that a run was partly made of; None where that is nothing.

    Args:
        run: see `load_part`.
        sources: as they were named.
        part: what was taken without having been asked for.
    """
    shared = [source for source in sources if not set(_places([source])).isdisjoint(_places(run.data.sources))]
    if not shared or same_sources(sources, run.data.sources):
        return None
    if part == "validation":
        return f"Of {', '.join(shared)} only what {run.name} held out is taken; --part all takes everything."
    return f"{', '.join(shared)} is among what {run.name} was trained on: this tells little of what it can do."


def _places(sources: Sequence[str]) -> list[str]:
    return [source if source == DIGITS else str(Path(source).resolve()) for source in sources]


def _held_out(run: Run, sources: Sequence[str]) -> Dataset:
    """Load what a run held out of some of its sources."""
    held = run.validation_dataset()
    if same_sources(sources, run.data.sources):
        return held
    named, holders = set(_places(sources)), defaultdict(set)
    for source in set(_places(run.data.sources)) - {DIGITS}:
        found = find(source, run.data.config.group_by)
        for path in (*(clip.path for clip in found.clips), *(stream.path for stream in found.streams)):
            holders[path.resolve()].add(source)

    def is_named(clip: Clip) -> bool:
        # The clips of a recording are named after it, and those of digits after no file.
        film = Path(re.sub(r"\[\d+-\d+\]$", "", clip.name)).resolve()
        return not named.isdisjoint(holders.get(film, {DIGITS}))

    return replace(held, clips=tuple(clip for clip in held.clips if is_named(clip)), sources=tuple(sources))
