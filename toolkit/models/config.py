"""What a model is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Preset: TypeAlias = Literal["tiny", "small", "article", "mobilenet"]
Input: TypeAlias = Literal["rgb", "gray", "difference"]
Cell: TypeAlias = Literal["lstm", "gru", "rnn", "peephole", "convlstm", "none"]
Activation: TypeAlias = Literal["relu", "relu6", "elu", "tanh"]
Pooling: TypeAlias = Literal["max", "average"]

DIFFERENCE_GAIN = 4.0
"""What input `difference` multiplies the change of a pixel by, before it is cut off at full scale."""

_MOBILENET_MINIMUM = 32


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Where a bounded model clips, so that its integer ranges are known.

    Those of the cell are for plus and minus themselves; None leaves a place alone.

    Attributes:
        activations: largest value of each ReLU and ELU of the encoder and of the head, and of what a tanh is given, by
            layer name.
        pre: of the cell's sums before its gates, and of its products that have no bound of their own.
        c: of an LSTM's c.
        from_input: of the product of the input.
        from_h: of the product of h.
        from_c: of the product of c, in the article's cell.
        candidate: of the sum before a GRU's new h.
    """

    activations: Mapping[str, float] = field(default_factory=dict)
    pre: float | None = None
    c: float | None = None
    from_input: float | None = None
    from_h: float | None = None
    from_c: float | None = None
    candidate: float | None = None

    @property
    def cell(self) -> dict[str, float] | None:
        """Those of the cell, as `converters.layers` take them; None where there are none."""
        names = ("pre", "c", "from_input", "from_h", "from_c", "candidate")
        return {name: bound for name in names if (bound := getattr(self, name)) is not None} or None


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Input x encoder x cell x head.

    Attributes:
        preset: the encoder, and the defaults of what is None here.
        input: what the encoder sees: the picture, or the difference of this frame and the one before.
        width: of the picture, in pixels.
        height: see `width`.
        cell: what remembers; `none` answers for each frame alone.
        classes: how many there are.
        units: of the cell; filters for `convlstm`.
        depth: convolutions of the encoder.
        filters: of each convolution, the first one first; for `mobilenet`, see `mobilenet_widths`.
        features: of the dense layer between encoder and cell, where the preset has one.
        head: of the dense layer between cell and classes, where the preset has one.
        activation: after each of them.
        pooling: where the preset pools.
        bounds: see `Bounds`.

    Raises:
        ConfigError: naming every problem.
    """

    preset: Preset = "small"
    input: Input = "gray"
    width: int
    height: int
    cell: Cell = "lstm"
    classes: int
    units: int | None = None
    depth: int | None = None
    filters: tuple[int, ...] | None = None
    features: int | None = None
    head: int | None = None
    activation: Activation = "relu"
    pooling: Pooling = "max"
    bounds: Bounds | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)!r}, and must be one of {', '.join(get_args(options))}"
            for name, options in (
                ("preset", Preset),
                ("input", Input),
                ("cell", Cell),
                ("activation", Activation),
                ("pooling", Pooling),
            )
            if getattr(self, name) not in get_args(options)
        ]
        for name, lowest in (
            ("width", 8),
            ("height", 8),
            ("classes", 2),
            ("units", 1),
            ("depth", 1),
            ("features", 1),
            ("head", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < lowest:
                problems.append(f"{name} is {value}, and must be at least {lowest}")
        if self.filters is not None and min(self.filters, default=0) < 1:
            problems.append(f"filters are {self.filters}, and must be at least 1 each")
        if self.preset == "mobilenet":
            problems += self._mobilenet_problems()
        if problems:
            raise ConfigError(f"The model cannot be built: {'; '.join(problems)}. Correct these.")

    def _mobilenet_problems(self) -> list[str]:
        problems = []
        if min(self.width, self.height) < _MOBILENET_MINIMUM:
            problems.append(
                f"preset mobilenet takes pictures of at least {_MOBILENET_MINIMUM}x{_MOBILENET_MINIMUM}, "
                f"not {self.width}x{self.height}"
            )
        if self.depth is not None or self.activation != "relu" or self.pooling != "max":
            problems.append("preset mobilenet has its own depth, activation and pooling; leave those options out")
        return problems

    @property
    def channels(self) -> Literal[1, 3]:
        """Of the picture."""
        return 3 if self.input == "rgb" else 1

    @property
    def colour(self) -> Literal["gray", "rgb"]:
        """Of the picture."""
        return "rgb" if self.input == "rgb" else "gray"

    @property
    def scale(self) -> float:
        """With `offset`, what makes a pixel the number that the model takes: `pixel * scale + offset`."""
        return 2 / 255 if self._signed else 1 / 255

    @property
    def offset(self) -> float:
        """See `scale`."""
        return -1.0 if self._signed else 0.0

    @property
    def _signed(self) -> bool:
        # MobileNet's published weights were trained on pictures in [-1, 1].
        return self.preset == "mobilenet" and self.input != "difference"

    def to_plain(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Read what `to_plain` gave.

        Raises:
            ConfigError: where a key is unknown or missing, or a value wrong.
        """
        values = dict(data)
        try:
            if values.get("bounds") is not None:
                values["bounds"] = Bounds(**values["bounds"])
            if values.get("filters") is not None:
                values["filters"] = tuple(values["filters"])
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"The model's configuration cannot be read: {error}. Train the model again.") from None
