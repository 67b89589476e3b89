"""What training and evaluation read: labelled clips and labelled streams, at one size and one rate."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from converters.stream import NO_LABEL
from runtime.errors import ConfigError, SpecError
from runtime.spec import InputSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How data is brought into the shape that a model takes.

    Attributes:
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        colour: full-range BT.601 luma, or RGB.
        crop: what is cut off before the picture is brought to its size.
        fps: frames a second; None for the data's own rate, where there is one.
        group_by: regular expression searched in the name of a clip's file, without its ending: its first group, or
            all that it matched, is the clip's group. None for the `group` column of a CSV, or each clip its own.
        min_frames: clips with fewer are skipped.
        labels: the classes in order, where they are settled (by a model); None to take them from the data.
        labelled: whether the data must tell at least two classes; False for calibration.
    """

    width: int
    height: int
    colour: Literal["gray", "rgb"] = "gray"
    crop: Literal["none", "centre"] = "none"
    fps: float | None = None
    group_by: str | None = None
    min_frames: int = 4
    labels: tuple[str, ...] | None = None
    labelled: bool = True

    def __post_init__(self) -> None:
        problems: list[str] = []
        try:
            self.input_spec()
        except SpecError as error:
            problems.append(str(error).replace("input.", ""))
        if self.fps is not None and not (math.isfinite(self.fps) and 0 < self.fps <= 1000):
            problems.append(f"fps is {self.fps}; it must be above 0 and at most 1000.")
        if self.min_frames < 1:
            problems.append(f"min_frames is {self.min_frames}; it must be at least 1.")
        if self.group_by is not None:
            try:
                re.compile(self.group_by)
            except re.error as error:
                problems.append(f"group_by is {self.group_by!r}, which is no regular expression: {error}.")
        if problems:
            raise ConfigError(" ".join(problems))

    def input_spec(self) -> InputSpec:
        """What `runtime.preprocess` is given for every picture."""
        return InputSpec(
            height=self.height,
            width=self.width,
            channels=1 if self.colour == "gray" else 3,
            colour=self.colour,
            crop=self.crop,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a frame: height, width, channels."""
        return (self.height, self.width, 1 if self.colour == "gray" else 3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A finite labelled sequence of frames.

    Attributes:
        name: where it came from, for people; unique in its dataset.
        label: its place in `Dataset.labels`.
        group: clips of one group look alike and stay on one side of a split.
        frames: uint8 [t, height, width, channels]; read-only, often memory-mapped.
    """

    name: str
    label: int
    group: str
    frames: npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledStream:
    """A long recording in which segments are labelled.

    Attributes:
        name: where it came from, for people.
        frames: uint8 [t, height, width, channels]; read-only, often memory-mapped.
        labels: int64 [t], each frame's place in `Dataset.labels`, or `NO_LABEL`.
        cuts: bool [t], true where a frame is known not to continue the one before it; None where none is.
        segments: (first, last, label), both ends included, in order; () to take each run of one label as a segment.
    """

    name: str
    frames: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    cuts: npt.NDArray[np.bool_] | None = None
    segments: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file that could not be used, or not to its end.

    Attributes:
        path: the file.
        reason: why, as the end of a sentence.
    """

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Clips and streams of the same classes.

    Attributes:
        labels: the classes; a clip's `label` is a place in here.
        fps: frames a second of all of it.
        clips: in a fixed order.
        streams: recordings that are not clips.
        skipped: files that are not in here.
        damaged: films that are in here, but not whole: those that end early are in here up to there.
        sources: what it was loaded from.
    """

    labels: tuple[str, ...]
    fps: float
    clips: tuple[Clip, ...] = ()
    streams: tuple[LabelledStream, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    damaged: tuple[Skipped, ...] = ()
    sources: tuple[str, ...] = field(default=())

    @property
    def groups(self) -> tuple[str, ...]:
        """The clips' groups, each once, sorted."""
        return tuple(sorted({clip.group for clip in self.clips}))

    def clips_per_class(self) -> dict[str, int]:
        """How many clips each class has."""
        counts = Counter(clip.label for clip in self.clips)
        return {label: counts[i] for i, label in enumerate(self.labels)}

    def frames_per_class(self) -> dict[str, int]:
        """How many frames each class has, over clips and streams."""
        counts: Counter[int] = Counter()
        for clip in self.clips:
            counts[clip.label] += len(clip.frames)
        for stream in self.streams:
            counts.update(stream.labels[stream.labels != NO_LABEL].tolist())
        return {label: counts[i] for i, label in enumerate(self.labels)}
