"""From a trained model to an artifact under its name, or to an error and no file."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.artifact_writer import pack_artifact
from converters.calibration import calibrate, ranges_for
from converters.fidelity import FIDELITY_FRAMES, Gate, measure_fidelity
from converters.graph_rewrites import dynamic_range, rewrite, smallest_runtime
from converters.parity import measure_parity
from converters.tflite import convert_saved_model
from runtime.artifact import read_artifact
from runtime.atomic import replacing
from runtime.engine import Engine
from runtime.errors import CalibrationError, ConversionError, FidelityError
from runtime.spec import DecisionSpec, InputSpec, ParitySpec, ResetSpec, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from converters.calibration import Calibration
    from converters.observation import Observation
    from converters.reference import Reference
    from converters.settling import Range
    from converters.step_model import StepModel
    from converters.stream import FrameStream
    from runtime.spec import Precision

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "dynamic", "int8", "mixed")

CALIBRATED: tuple[Precision, ...] = ("int8", "mixed")
"""Those whose ranges come from a roll-out."""


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """What a conversion is told beside the model.

    Attributes:
        name: of the model.
        labels: one a class.
        fps: frames a second of the data it was trained on.
        input: scale and offset are what the model expects; its size and channels must be the model's.
        precision: of the network.
        reset: when states go back.
        decision: how probabilities become events.
        gate: what the artifact must hold.
        calibration_frames: rolled out for int8 and mixed; None for as many as it takes until the states have settled.
        fidelity_frames: the length of the stream of the gate.
        plain: no graph rewrites: the yardstick that they are measured against.
        keep: write a file that fails its gate as `NAME.failed.tflite`.
        made: what else the spec tells about how the model was made.
    """

    name: str
    labels: tuple[str, ...]
    fps: float
    input: InputSpec
    precision: Precision
    reset: ResetSpec = field(default_factory=ResetSpec)
    decision: DecisionSpec = field(default_factory=DecisionSpec)
    gate: Gate = field(default_factory=Gate)
    calibration_frames: int | None = None
    fidelity_frames: int = FIDELITY_FRAMES
    plain: bool = False
    keep: bool = False
    made: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An artifact that was written.

    Attributes:
        path: where.
        spec: what it says.
    """

    path: Path
    spec: Spec


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A model with what all of its precisions share, measured once.

    Attributes:
        step_model: its step form.
        parity: the step against the model.
        observation: the roll-out that integer ranges are taken from; None where none were asked for.
    """

    step_model: StepModel
    parity: ParitySpec
    observation: Observation | None = None


def prepare(
    model: Any,
    step_model: StepModel,
    config: ConversionConfig,
    *,
    calibration: FrameStream | None,
    precisions: Collection[Precision] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Prepared:
    """Hold the step against its model, and calibrate it where a precision needs that: once for all that follow.

    Args:
        model: of tf_keras or Keras 3.
        step_model: its step form.
        config: see `ConversionConfig`.
        calibration: the stream that integer ranges come from.
        precisions: that it will be converted to; that of `config` where not given.
        progress: told the stage, and how many of how many frames it has done.

    Raises:
        ConversionError: where the labels do not fit, or the step does not equal the model.
        CalibrationError: where frames to calibrate on are missing, or do not fit.
    """
    _check_shape(step_model, config)
    parity = measure_parity(model, step_model)
    parity.check()
    wanted = [each for each in precisions or (config.precision,) if each in CALIBRATED]
    if wanted and calibration is None:
        raise CalibrationError(
            f"{wanted[0]} needs frames to calibrate on. Give them with --calibrate, or take --precision dynamic."
        )
    return Prepared(
        step_model=step_model,
        parity=ParitySpec(frames=parity.frames, max_error=parity.max_error),
        observation=_observe(step_model, config, calibration, progress) if wanted and calibration else None,
    )


def convert(
    prepared: Prepared,
    path: Path,
    config: ConversionConfig,
    *,
    fidelity: FrameStream,
    reference: Reference | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Converted:
    """Convert to one precision, measure it, and write the artifact if its gate holds.

    Args:
        prepared: by `prepare`, for this precision among others.
        path: the artifact's; its folder must exist.
        config: see `ConversionConfig`.
        fidelity: the stream that the gate is measured on.
        reference: the float model's answers on that stream, where they are known already.
        progress: told the stage, and how many of how many frames it has done.

    Raises:
        ConversionError: where the converter fails.
        CalibrationError: where the model was prepared without what this precision needs.
        FidelityError: where a state's range has not settled, or a gate does not hold; `path` is then as it was.
    """
    check_folder(path)
    step_model, calibration = prepared.step_model, _calibration(prepared, config.precision)
    ranges = None if calibration is None else calibration.ranges
    network = network_of(step_model, config.precision, ranges=ranges, plain=config.plain)
    spec = _spec(step_model, config, network, calibration, prepared.parity)
    with replacing(path) as temporary:
        temporary.write_bytes(pack_artifact(network, spec))
        measured = measure_fidelity(
            step_model,
            Engine(read_artifact(temporary)).stepper(),
            fidelity,
            frames=config.fidelity_frames,
            reference=reference,
            progress=lambda done: progress("measuring fidelity", done, config.fidelity_frames),
        )
        spec = replace(spec, fidelity=measured)
        temporary.write_bytes(pack_artifact(network, spec))
        try:
            if calibration is not None:
                calibration.check()
            config.gate.check(measured, spec=spec)
        except FidelityError as error:
            kept = _keep_failed(temporary, path) if config.keep else None
            raise FidelityError(str(error), report={"path": kept, **describe(temporary, spec)}) from None
    return Converted(path=path, spec=spec)


def check_folder(path: Path) -> None:
    """Refuse a name that nothing can be written under, before the work is done.

    Raises:
        ConversionError: where its folder does not exist.
    """
    if not path.parent.is_dir():
        raise ConversionError(f"The folder {path.parent} does not exist. Make it, or choose another --output.")


def describe(path: Path, spec: Spec) -> dict[str, object]:
    """Return what `convert --json` says of a written file, but for its path."""
    import gzip

    content = path.read_bytes()
    return {
        "precision": spec.precision,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, mtime=0)),
        "fidelity": None if spec.fidelity is None else asdict(spec.fidelity),
    }


def _check_shape(step_model: StepModel, config: ConversionConfig) -> None:
    wanted = config.input.shape[1:]
    if tuple(step_model.frame_shape) != wanted:
        raise ConversionError(
            f"The model takes frames of {tuple(step_model.frame_shape)}; the spec "
            f"says {wanted}. Give the model's own size."
        )
    if step_model.classes != len(config.labels):
        raise ConversionError(
            f"The model has {step_model.classes} classes, and {len(config.labels)} labels were given: "
            f"{', '.join(config.labels[:8])}. Give one label a class with --labels."
        )


def _observe(
    step_model: StepModel, config: ConversionConfig, stream: FrameStream, progress: Callable[[str, int, int], None]
) -> Observation:
    return calibrate(
        step_model,
        stream,
        reset=config.reset,
        decision=config.decision,
        labels=config.labels,
        frames=config.calibration_frames,
        progress=lambda done, total: progress("calibrating", done, total),
    )


def _calibration(prepared: Prepared, precision: Precision) -> Calibration | None:
    if precision not in CALIBRATED:
        return None
    if prepared.observation is None:
        raise CalibrationError(f"{precision} needs ranges, and none were prepared. Prepare the model for it.")
    return ranges_for(prepared.observation, precision)


def network_of(
    step_model: StepModel, precision: Precision, *, ranges: Mapping[str, Range] | None = None, plain: bool = False
) -> bytes:
    """Convert a step model, without measuring it.

    Args:
        step_model: what to convert.
        precision: of the network. `mixed` is int8 where there are feature maps, dynamic range in dense layers and
            cells, and float states.
        ranges: of its taps, for int8 and mixed.
        plain: no graph rewrites.

    Raises:
        ConversionError: where the converter fails.
    """
    recipe: Any = precision
    if precision == "mixed":
        recipe = "int8"
        ranges = {tap.name: ranges[tap.name] for tap in step_model.taps if tap.maps} if ranges else None
    elif precision == "dynamic" and not plain:
        recipe = "float32"
    with tempfile.TemporaryDirectory(prefix="framestep-") as folder:
        step_model.save(Path(folder), ranges=ranges)
        network = convert_saved_model(Path(folder), recipe)
    if plain:
        return network
    return rewrite(dynamic_range(network) if precision in ("dynamic", "mixed") else network)


def _spec(
    step_model: StepModel,
    config: ConversionConfig,
    network: bytes,
    calibration: Calibration | None,
    parity: ParitySpec,
) -> Spec:
    return Spec(
        name=config.name,
        input=config.input,
        fps=config.fps,
        states=step_model.state_specs(),
        labels=config.labels,
        reset=config.reset,
        decision=config.decision,
        precision=config.precision,
        calibration=None if calibration is None else calibration.spec,
        parity=parity,
        interpreters={"tflite": smallest_runtime(network)},
        sha256=hashlib.sha256(network).hexdigest(),
        made=_made(config),
    )


def _made(config: ConversionConfig) -> dict[str, str]:
    import tensorflow as tf

    from runtime import __version__

    rewrites = "none" if config.plain else "casts first, float softmax, slim"
    return {"framestep": __version__, "tensorflow": tf.__version__, "rewrites": rewrites} | config.made


def _keep_failed(temporary: Path, path: Path) -> str:
    failed = path.with_name(f"{path.stem}.failed{path.suffix}")
    with replacing(failed) as copy:
        copy.write_bytes(temporary.read_bytes())
    return str(failed)
