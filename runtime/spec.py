"""What an artifact means: the JSON document beside its network.

The format is told in docs/artifact.md. Reading refuses what is missing or wrong with the place where it stands, and
passes over keys it does not know, so that a later writer may add some.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runtime.errors import SpecError
from runtime.plain import from_plain as from_plain  # noqa: PLC0414  # callers find it here
from runtime.plain import kind, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
"""The version of the format that this reader knows."""

MAX_LABELS = 4096
MAX_STATES = 256
MAX_NAME = 200
MAX_RANK = 8
MAX_DIMENSION = 1 << 20

Precision: TypeAlias = Literal["float32", "float16", "dynamic", "int8", "mixed"]
Initial: TypeAlias = "float | int | list[Any]"

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
_SMALLEST_SCALE = 2.0**-126
_RANGES: dict[str, tuple[float, float]] = {
    "float32": (-_FLOAT32_MAX, _FLOAT32_MAX),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
}


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The picture that the network takes.

    Attributes:
        height: rows.
        width: columns.
        channels: 1 for gray, 3 for rgb.
        colour: full-range BT.601 luma, or RGB.
        kind: `picture`, or `difference`: of this frame and the one before, made inside the artifact.
        resize: how a larger picture is brought to this size.
        crop: what is cut off before that.
        dtype: the tensor's type; pixels are 0 to 255 in either.
        scale: with `offset`, what the artifact itself does to a pixel: `pixel * scale + offset`. Callers never do.
        offset: see `scale`.
    """

    height: int
    width: int
    channels: Literal[1, 3]
    colour: Literal["gray", "rgb"]
    kind: Literal["picture", "difference"] = "picture"
    resize: Literal["area"] = "area"
    crop: Literal["none", "centre"] = "none"
    dtype: Literal["uint8", "float32"] = "uint8"
    scale: float = 1 / 255
    offset: float = 0.0

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            _within(f"input.{name}", getattr(self, name), 1, 8192)
        if self.channels != {"gray": 1, "rgb": 3}[self.colour]:
            raise SpecError(f"input.channels is {self.channels}, but input.colour is {self.colour!r}. Mend the spec.")
        _finite("input.scale", self.scale)
        _finite("input.offset", self.offset)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The tensor's shape, [1, height, width, channels]."""
        return (1, self.height, self.width, self.channels)


@dataclass(frozen=True, kw_only=True)
class StateSpec:
    """A recurrent tensor that the caller owns.

    Attributes:
        name: of the input that takes it and of the output that gives its next value.
        shape: as the tensor holds it, the leading 1 included.
        dtype: numpy's name.
        scale: of a quantised state, else None.
        zero_point: of a quantised state, else None.
        initial: the value after a reset, in the tensor's own units: one number for all, or a nested list.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "int8", "uint8", "int16"] = "float32"
    scale: float | None = None
    zero_point: int | None = None
    initial: Initial = 0.0

    def __post_init__(self) -> None:
        where = f"states[{self.name!r}]"
        if not _NAME.fullmatch(self.name) or self.name in ("frame", "probabilities"):
            raise SpecError(
                f"{where}: a state's name is 1 to 64 of A-Z a-z 0-9 _ . - and neither frame nor probabilities."
            )
        if not self.shape or self.shape[0] != 1:
            raise SpecError(
                f"{where}.shape is {list(self.shape[:MAX_RANK])}; it must begin with 1, one stream at a time."
            )
        _within(f"The rank of {where}", len(self.shape), 1, MAX_RANK)
        for dimension in self.shape:
            _within(f"{where}.shape", dimension, 1, MAX_DIMENSION)
        quantised = self.dtype != "float32"
        if quantised != (self.scale is not None) or quantised != (self.zero_point is not None):
            raise SpecError(f"{where}: scale and zero_point belong to quantised states and to them alone.")
        lowest, highest = _RANGES[self.dtype]
        if self.scale is not None and not _SMALLEST_SCALE <= self.scale <= _RANGES["float32"][1]:
            raise SpecError(f"{where}.scale is {self.scale}; it must be above 0, and a float32.")
        if self.zero_point is not None:
            _within(f"{where}.zero_point", self.zero_point, int(lowest), int(highest))
        _check_initial(where, self.initial, self.shape)
        for number in _flat(self.initial):
            if not lowest <= number <= highest or (quantised and number != int(number)):
                raise SpecError(
                    f"{where}.initial holds {kind(number)}, which is no {self.dtype}. Convert the model again."
                )


@dataclass(frozen=True, kw_only=True)
class ResetSpec:
    """When a stream's states go back to their initial values.

    Attributes:
        policy: `never`; `gap`, when frames were missing for longer than `gap_s`; `every`, after `every_frames` frames
            (and at a gap); `event`, when an event ends (and at a gap).
        gap_s: the longest pause in seconds that the states outlive.
        every_frames: for `every`.
    """

    policy: Literal["never", "gap", "every", "event"] = "gap"
    gap_s: float = 1.0
    every_frames: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gap_s) and self.gap_s > 0):
            raise SpecError(f"reset.gap_s is {self.gap_s}; it must be above 0.")
        if (self.policy == "every") != (self.every_frames is not None):
            raise SpecError(
                f"reset.policy is {self.policy!r} and reset.every_frames {self.every_frames}; they go together."
            )
        if self.every_frames is not None:
            _within("reset.every_frames", self.every_frames, 1, 1 << 31)


@dataclass(frozen=True, kw_only=True)
class DecisionSpec:
    """How probabilities become events.

    Attributes:
        smoothing: weight of the newest frame in a running mean, 0 (excluded) to 1; 1 smooths nothing.
        on: the smoothed probability at which a label's event may start.
        off: the one under which it ends; at most `on`.
        minimum_frames: an event is only told once it has lasted so long.
        refractory_frames: after an event ends, none of that label starts for so long.
    """

    smoothing: float = 0.3
    on: float = 0.6
    off: float = 0.4
    minimum_frames: int = 3
    refractory_frames: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.smoothing <= 1:
            raise SpecError(f"decision.smoothing is {self.smoothing}; it must be above 0 and at most 1.")
        if not 0 <= self.off <= self.on <= 1:
            raise SpecError(
                f"decision.off is {self.off} and decision.on {self.on}; it must hold that 0 <= off <= on <= 1."
            )
        _within("decision.minimum_frames", self.minimum_frames, 1, 1 << 31)
        _within("decision.refractory_frames", self.refractory_frames, 0, 1 << 31)


@dataclass(frozen=True, kw_only=True)
class CalibrationSpec:
    """What the integer ranges were taken from.

    Attributes:
        source: the data, by name.
        frames: how many were rolled out.
        cuts: scene cuts among them.
        resets: state resets among them.
        percentile: of a tensor's extremes, frame by frame, that its range holds; 100 is all of them.
        state_ranges: lowest and highest value of each state on the roll-out.
        settled: of each state whose range had settled, the number of frames after which it grew by no more than a
            tenth of its width; 0 where the model itself imposes it.
        ranges: lowest and highest value of every tensor that is rounded to 8 bits, by the name of its place.
        bounded: those of them whose range the model itself imposes.
    """

    source: str
    frames: int
    cuts: int = 0
    resets: int = 0
    percentile: float = 100.0
    state_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    bounded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StateDrift:
    """Where the float model's state went on a long stream, against where it was in calibration.

    Attributes:
        lowest: of its elements, on any frame.
        highest: see `lowest`.
        outside_first: fraction of the first tenth's frames on which it lay beyond the calibrated range by more than an
            8-bit step; None where the artifact has no such range.
        outside_last: the same of the last tenth.
    """

    lowest: float
    highest: float
    outside_first: float | None = None
    outside_last: float | None = None


@dataclass(frozen=True, kw_only=True)
class FidelitySpec:
    """How far the artifact's answers on a long stream are from the trained float model's.

    Attributes:
        source: the stream, by name.
        frames: its length.
        agreement: fraction of frames on which both have the same argmax.
        agreement_first: the same in the first tenth.
        agreement_last: the same in the last tenth.
        rmse: root of the mean squared difference of the probabilities.
        accuracy: the artifact's fraction of right frames, where labels exist.
        accuracy_reference: the float model's.
        confident_disagreements: frames with another argmax although the float model's two largest probabilities are
            more than 0.2 apart; None where nobody counted.
        states: see `StateDrift`, by name.
    """

    source: str
    frames: int
    agreement: float
    agreement_first: float
    agreement_last: float
    rmse: float
    accuracy: float | None = None
    accuracy_reference: float | None = None
    confident_disagreements: int | None = None
    states: dict[str, StateDrift] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ParitySpec:
    """The float step model against the trained model on whole clips.

    Attributes:
        frames: length of the clip.
        max_error: largest difference of a probability, over the clip, after a reset, and after snapshot and restore.
    """

    frames: int
    max_error: float


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Everything that a device must know about a network.

    Attributes:
        name: of the model.
        input: see `InputSpec`.
        fps: frames a second that the model was trained at.
        states: see `StateSpec`.
        labels: one a class, in the order of the probabilities.
        reset: see `ResetSpec`.
        decision: see `DecisionSpec`.
        precision: of the network.
        calibration: see `CalibrationSpec`; None for what needs none.
        fidelity: see `FidelitySpec`; None where it was not measured.
        parity: see `ParitySpec`; None where it was not measured.
        interpreters: smallest versions that run the file, by `litert` and `tflite`; None where none does.
        sha256: of the FlatBuffer part of the file, in hexadecimal.
        made: how and with what it was made, for people.
        format: see `FORMAT`.
    """

    name: str
    input: InputSpec
    fps: float
    states: tuple[StateSpec, ...]
    labels: tuple[str, ...]
    reset: ResetSpec = field(default_factory=ResetSpec)
    decision: DecisionSpec = field(default_factory=DecisionSpec)
    precision: Precision
    calibration: CalibrationSpec | None = None
    fidelity: FidelitySpec | None = None
    parity: ParitySpec | None = None
    interpreters: dict[str, str | None] = field(default_factory=dict)
    sha256: str
    made: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise SpecError(
                f"The spec has format {self.format}; this framestep reads {FORMAT}. Install a newer framestep."
            )
        if not (self.name.isprintable() and 1 <= len(self.name) <= MAX_NAME):
            raise SpecError(f"name is {self.name[:MAX_NAME]!r}; it must be 1 to {MAX_NAME} printable characters.")
        if not (math.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise SpecError(f"fps is {self.fps}; it must be above 0 and at most 1000.")
        names = [state.name for state in self.states]
        if len(set(names)) != len(names) or len(names) > MAX_STATES:
            raise SpecError(f"states has {len(names)} entries named {names}; at most {MAX_STATES}, each name once.")
        if not 1 <= len(self.labels) <= MAX_LABELS or len(set(self.labels)) != len(self.labels):
            raise SpecError(f"labels has {len(self.labels)} entries; 1 to {MAX_LABELS}, each once.")
        for label in self.labels:
            if not label or not label.isprintable():
                raise SpecError(f"labels has {label!r}; a label is printable text on one line.")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise SpecError(f"sha256 is {self.sha256[:80]!r}; it must be 64 hexadecimal digits.")

    def to_json(self) -> str:
        """The document, as UTF-8 text on several lines."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Spec:
        """Read a document.

        Raises:
            SpecError: where it is not JSON, or not a spec; with the place.
        """
        data = read_json(text, "The spec")
        if isinstance(data, dict) and type(data.get("format")) is int and data["format"] != FORMAT:
            raise SpecError(
                f"The spec has format {kind(data['format'])}; this framestep reads {FORMAT}. Install a newer framestep."
            )
        return from_plain(cls, data, "spec")


def _within(where: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SpecError(f"{where} is {kind(value)}; it must be {low} to {high}.")


def _finite(where: str, value: float) -> None:
    if not math.isfinite(value):
        raise SpecError(f"{where} is {value}; it must be a finite number.")


def _check_initial(where: str, initial: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(initial, list):
        return
    level: list[Any] = [initial]
    for size in shape:
        if not all(isinstance(row, list) and len(row) == size for row in level):
            raise SpecError(f"{where}.initial does not have the shape {list(shape)}.")
        level = [each for row in level for each in row]
    for number in level:
        if type(number) not in (int, float):
            raise SpecError(f"{where}.initial holds {kind(number)}; it must hold numbers.")


def _flat(initial: Any) -> Iterator[float]:
    if isinstance(initial, list):
        for each in initial:
            yield from _flat(each)
    else:
        yield initial
