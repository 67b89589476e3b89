"""An artifact against the model that it was made from, over as long a stream as anybody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converters.fidelity import FIDELITY_FRAMES, measure_fidelity
from converters.loading import load_model
from converters.step_model import build_step_model
from runtime.engine import Engine
from runtime.errors import ConfigError
from toolkit.conversion import FIDELITY_SEED, unlabelled
from toolkit.data.streams import stream_of
from toolkit.evaluation.subject import same_sources
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runtime.interpreter import Choice
    from runtime.spec import FidelitySpec, Spec


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What came out.

    Attributes:
        fidelity: as measured here.
        spec: the artifact's own.
        interpreter: that ran it, and its version.
    """

    fidelity: FidelitySpec
    spec: Spec
    interpreter: str


def verify(
    file: Path,
    against: Path,
    sources: Sequence[str],
    *,
    frames: int = FIDELITY_FRAMES,
    interpreter: Choice | None = None,
    trust: bool = False,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Verification:
    """Measure the fidelity of an artifact again, at any length, on any interpreter.

    Args:
        file: the artifact.
        against: a run's folder or a Keras model.
        sources: data; where it is what a run was trained on, its held-out part is taken.
        frames: length of the stream.
        interpreter: that runs the artifact.
        trust: load classes and functions that framestep does not know.
        progress: told the stage, and how many of how many frames it has done.

    Raises:
        ConfigError: where the two do not take the same frames, or have other classes.
        FramestepError: where one of them, or the data, cannot be loaded.
    """
    engine = Engine.open(file, interpreter=interpreter)
    spec = engine.spec
    run = Run.load(against) if against.is_dir() else None
    model = run.model() if run is not None else load_model(against, trust=trust)
    step_model = build_step_model(model, scale=spec.input.scale, offset=spec.input.offset)
    theirs = (tuple(step_model.frame_shape), step_model.classes)
    ours = (spec.input.shape[1:], len(spec.labels))
    if theirs != ours:
        raise ConfigError(
            f"{file} takes frames {ours[0]} and has {ours[1]} classes; {against} {theirs[0]} and {theirs[1]}. "
            "Compare it with the model that it was converted from."
        )
    if run is not None and same_sources(sources, run.data.sources):
        dataset = run.validation_dataset()
    else:
        dataset = unlabelled(spec.input, spec.fps, sources)
    fidelity = measure_fidelity(
        step_model,
        engine.stepper(),
        stream_of(dataset, seed=FIDELITY_SEED),
        frames=frames,
        progress=lambda done: progress("measuring fidelity", done, frames),
    )
    return Verification(
        fidelity=fidelity, spec=spec, interpreter=f"{engine.interpreter_name} {engine.interpreter_version}"
    )
