"""Runs and other people's Keras models, made ready for the converter: labels, rate, and the streams to measure on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.convert import ConversionConfig, Converted, check_folder, convert, prepare
from converters.fidelity import FIDELITY_FRAMES, Gate
from converters.loading import load_model
from converters.step_model import build_step_model
from converters.stream import NO_LABEL, StreamChunk
from runtime.errors import ConfigError
from runtime.sources.synthetic import SyntheticSource
from runtime.spec import InputSpec
from toolkit.data.dataset import DataConfig
from toolkit.data.loading import load_dataset
from toolkit.data.streams import stream_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from converters.step_model import StepModel
    from converters.stream import FrameStream
    from runtime.spec import Precision
    from toolkit.data.dataset import Dataset
    from toolkit.training.run_folder import Run

CALIBRATION_SEED = 0
FIDELITY_SEED = 1
"""Another order than calibration's, where both are measured on the same data."""


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """What a user asks of a conversion, whatever is converted.

    Attributes:
        precision: of the network.
        gate: what the artifact must hold.
        frames: the length of the stream of the gate.
        calibrate: data to calibrate on; () for a run's own training part.
        calibration_frames: rolled out for integer ranges; None for as many as it takes.
        plain: no graph rewrites.
        keep: write a file that fails its gate as `NAME.failed.tflite`.
    """

    precision: Precision
    gate: Gate = field(default_factory=Gate)
    frames: int = FIDELITY_FRAMES
    calibrate: tuple[str, ...] = ()
    calibration_frames: int | None = None
    plain: bool = False
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class ForeignModel:
    """What a model that is not a run does not say of itself.

    Attributes:
        path: `.keras` or `.h5`.
        labels: one a class; None numbers them.
        fps: frames a second that it was trained at.
        scale: with `offset`, what it expects of a pixel of 0 to 255: `pixel * scale + offset`.
        offset: see `scale`.
        trust: load classes and functions that framestep does not know, which may run any code.
    """

    path: Path
    labels: tuple[str, ...] | None
    fps: float
    scale: float = 1 / 255
    offset: float = 0.0
    trust: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Workpiece:
    """A model with what all of its conversions share.

    Attributes:
        model: of tf_keras or Keras 3.
        step_model: its step form.
        config: of a conversion; another precision may take the place of its own.
        calibration: the stream that integer ranges come from; None where there is none.
        fidelity: the stream that a gate is measured on.
    """

    model: Any
    step_model: StepModel
    config: ConversionConfig
    calibration: FrameStream | None
    fidelity: FrameStream

    def convert(self, path: Path, *, progress: Callable[[str, int, int], None] = lambda *_: None) -> Converted:
        """Convert it to the precision of its configuration.

        Raises:
            FramestepError: as `converters.convert.prepare` and `convert`.
        """
        check_folder(path)
        prepared = prepare(self.model, self.step_model, self.config, calibration=self.calibration, progress=progress)
        return convert(prepared, path, self.config, fidelity=self.fidelity, progress=progress)


def workpiece_of_run(run: Run, request: ConversionRequest) -> Workpiece:
    """Make a run ready: it is calibrated on its training part and measured on the part held out.

    Raises:
        FramestepError: where the model or the data cannot be loaded.
    """
    model = run.model()
    picture = run.input_spec
    step_model = build_step_model(model, scale=picture.scale, offset=picture.offset)
    train, held_out = run.datasets()
    calibration = stream_of(train, seed=CALIBRATION_SEED)
    if request.calibrate:
        calibration = stream_of(unlabelled(picture, run.fps, request.calibrate), seed=CALIBRATION_SEED)
    config = _config(run.name, run.labels, run.fps, picture, request)
    config = replace(config, reset=run.reset, decision=run.decision, made=dict(run.made))
    fidelity = stream_of(held_out, seed=FIDELITY_SEED)
    return Workpiece(model=model, step_model=step_model, config=config, calibration=calibration, fidelity=fidelity)


def workpiece_of_model(foreign: ForeignModel, request: ConversionRequest) -> Workpiece:
    """Make a Keras model ready; without data it is measured on seeded synthetic frames.

    Raises:
        FramestepError: where the model or the data cannot be loaded.
    """
    model = load_model(foreign.path, trust=foreign.trust)
    step_model = build_step_model(model, scale=foreign.scale, offset=foreign.offset)
    height, width, channels = step_model.frame_shape
    picture = InputSpec(
        height=height,
        width=width,
        channels=1 if channels == 1 else 3,
        colour="gray" if channels == 1 else "rgb",
        scale=foreign.scale,
        offset=foreign.offset,
    )
    labels = foreign.labels or tuple(str(number) for number in range(step_model.classes))
    calibration: FrameStream | None = None
    if request.calibrate:
        calibration = stream_of(unlabelled(picture, foreign.fps, request.calibrate), seed=CALIBRATION_SEED)
    fidelity = calibration or SyntheticStream(picture=picture)
    config = _config(foreign.path.stem, labels, foreign.fps, picture, request)
    return Workpiece(model=model, step_model=step_model, config=config, calibration=calibration, fidelity=fidelity)


def convert_run(
    run: Run, path: Path, request: ConversionRequest, *, progress: Callable[[str, int, int], None] = lambda *_: None
) -> Converted:
    """Convert a run; see `workpiece_of_run`.

    Raises:
        FramestepError: as `Workpiece.convert`, and where the model or the data cannot be loaded.
    """
    check_folder(path)
    return workpiece_of_run(run, request).convert(path, progress=progress)


def unlabelled(picture: InputSpec, fps: float, sources: Sequence[str]) -> Dataset:
    """Load data in a model's size and at its rate, whether or not it has the model's labels."""
    config = DataConfig(
        width=picture.width, height=picture.height, colour=picture.colour, crop=picture.crop, fps=fps, labelled=False
    )
    return load_dataset(sources, config)


def read_labels(text: str) -> tuple[str, ...]:
    """Read `a,b,c`, or a file with a label a line.

    Raises:
        ConfigError: where a label is empty or stands twice.
    """
    from pathlib import Path

    file = Path(text)
    words = file.read_text(encoding="utf-8").splitlines() if file.is_file() else text.split(",")
    labels = tuple(word.strip() for word in words if word.strip())
    if not labels or len(set(labels)) != len(labels):
        raise ConfigError(f"The labels are {', '.join(words)}; give each class one of its own, as in --labels a,b,c.")
    return labels


def _config(
    name: str, labels: tuple[str, ...], fps: float, picture: InputSpec, request: ConversionRequest
) -> ConversionConfig:
    return ConversionConfig(
        name=name,
        labels=labels,
        fps=fps,
        input=picture,
        precision=request.precision,
        gate=request.gate,
        calibration_frames=request.calibration_frames,
        fidelity_frames=request.frames,
        plain=request.plain,
        keep=request.keep,
    )


@dataclass(frozen=True, kw_only=True)
class SyntheticStream:
    """The runtime's synthetic source as a stream without labels; another scene every ten seconds.

    Attributes:
        picture: the size and colour that the model takes.
    """

    picture: InputSpec
    scene_frames: int = 150

    @property
    def name(self) -> str:
        """What it is."""
        return "synthetic frames"

    @property
    def labels(self) -> tuple[str, ...] | None:
        """None: nobody knows what the shapes mean to a model."""
        return None

    @property
    def distinct(self) -> None:
        """None: it is drawn as it goes."""

    def chunks(self, frames: int, *, size: int = 256) -> Iterator[StreamChunk]:
        """Give exactly `frames` frames from the beginning."""
        walk = self._walk()
        for start in range(0, frames, size):
            rows = [next(walk) for _ in range(min(size, frames - start))]
            cuts = np.array([cut for _, cut in rows])
            cuts[0] &= start > 0
            yield StreamChunk(
                frames=np.stack([pixels for pixels, _ in rows]),
                cuts=cuts,
                labels=np.full(len(rows), NO_LABEL, np.int64),
            )

    def _walk(self) -> Iterator[tuple[Any, bool]]:
        seed = 0
        while True:
            source = SyntheticSource(
                height=self.picture.height, width=self.picture.width, colour=self.picture.channels == 3, seed=seed
            )
            for frame in source.frames():
                if frame.index == self.scene_frames:
                    break
                yield frame.picture.reshape(self.picture.shape[1:]), frame.index == 0
            seed += 1
