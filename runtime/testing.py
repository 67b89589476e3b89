"""Stand-ins for the parts of the loop, for tests of whatever uses it. They keep the promises of the real ones."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.decoders import load_pyav
from runtime.errors import FrameError
from runtime.frame import Frame
from runtime.spec import InputSpec, Spec, StateSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from typing_extensions import Self

    from runtime.frame import Pixels
    from runtime.sinks import Record

MEMORY = "memory"
"""The name of `FakeStepper`'s state."""


def make_spec(*, labels: tuple[str, ...] = ("dark", "bright"), height: int = 4, width: int = 6, **changes: Any) -> Spec:
    """Make a small valid spec, of the network that `FakeStepper` plays.

    Args:
        labels: see `Spec`.
        height: of the picture, gray.
        width: of the picture.
        changes: other fields of the spec.
    """
    fields: dict[str, Any] = {
        "name": "fake",
        "input": InputSpec(height=height, width=width, channels=1, colour="gray"),
        "fps": 15.0,
        "states": (StateSpec(name=MEMORY, shape=(1, 1)),),
        "precision": "float32",
        "sha256": "0" * 64,
    }
    return Spec(labels=labels, **(fields | changes))


class FakeStepper:
    """Play a network whose state is the running mean of the pictures' brightness.

    The label whose place it is on the way from black to white gets the probability 1 minus how far off it is; the
    others share the rest.

    Args:
        spec: with one float state of the shape (1, 1).

    Attributes:
        spec: as given.
        resets: how often it was reset.
    """

    weight = 0.5

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.resets = 0
        self._memory = self._initial()

    def _initial(self) -> npt.NDArray[np.float32]:
        return np.full((1, 1), self.spec.states[0].initial, np.float32)

    def step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Take one frame, uint8 [height, width, channels] or with a leading 1; give float32 [classes].

        Raises:
            FrameError: where the frame has another type or shape.
        """
        shape = self.spec.input.shape
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape not in (shape, shape[1:]):
            given = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else f"a {type(pixels).__name__}"
            raise FrameError(
                f"Frame is {given}; the model expects uint8 {shape[1:]}. Pass it through Preprocessor first."
            )
        self._memory += self.weight * (np.float32(pixels.mean() / 255) - self._memory)
        place = float(self._memory[0, 0]) * (len(self.spec.labels) - 1)
        weights = np.maximum(0, 1 - np.abs(np.arange(len(self.spec.labels)) - place))
        return np.asarray(weights / weights.sum(), np.float32)

    def reset(self) -> None:
        """Go back to the initial state."""
        self.resets += 1
        self._memory = self._initial()

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Copy the state, by name."""
        return {self.spec.states[0].name: self._memory.copy()}

    def restore(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up the state of a snapshot.

        Raises:
            FrameError: where it is of another model.
        """
        name = self.spec.states[0].name
        if snapshot.keys() != {name}:
            raise FrameError(
                f"The snapshot has the states {sorted(snapshot)}; the model has {[name]}. "
                "Restore one of the same model."
            )
        given = snapshot[name]
        if given.dtype != np.float32 or given.shape != (1, 1):
            raise FrameError(
                f"State {name!r} of the snapshot is {given.dtype} {list(given.shape)}; the model has float32 [1, 1]. "
                "Restore one of the same model."
            )
        self._memory = given.copy()


def write_film(
    path: Path,
    pictures: Iterable[Pixels],
    *,
    fps: float = 15.0,
    codec: str = "ffv1",
    pixel_format: str = "bgr0",
    times_s: Sequence[float] | None = None,
) -> Path:
    """Write a film with PyAV.

    Args:
        path: its end chooses the container; `.mkv` takes every codec.
        pictures: uint8 [height, width, 3] RGB or [height, width].
        fps: frames a second.
        codec: FFmpeg's name; ffv1 loses nothing.
        pixel_format: what is encoded; `bgr0` and `gray` lose nothing.
        times_s: each picture's presentation time, for a rate that varies.

    Returns:
        The path.
    """
    av = load_pyav("Writing a film")
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = pixel_format
        if times_s is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, "gray" if picture.ndim == 2 else "rgb24")
            if times_s is None:
                frame.pts, frame.time_base = number, 1 / rate
            else:
                frame.pts, frame.time_base = round(times_s[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class FakeSource:
    """Give frames that a test made.

    Args:
        frames: in order.
        live: whether it plays a camera.

    Attributes:
        closed: whether it was closed.
    """

    def __init__(self, frames: Iterable[Frame], *, live: bool = False) -> None:
        self.live = live
        self.problems: list[str] = []
        self.closed = False
        self._frames = frames
        self._stopped = False

    @classmethod
    def of_pictures(cls, pictures: Iterable[Any], *, fps: float = 15.0) -> FakeSource:
        """Give pictures at a steady rate."""
        return cls(Frame(picture=each, time_s=index / fps, index=index) for index, each in enumerate(pictures))

    def frames(self) -> Iterator[Frame]:
        """Give the frames."""
        for frame in self._frames:
            if self._stopped:
                return
            yield frame

    def stop(self) -> None:
        """Let the frames end."""
        self._stopped = True

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ListSink:
    """Keep every record.

    Attributes:
        records: in order.
        closed: whether it was closed.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.closed = False

    @property
    def frames(self) -> list[Record]:
        """The frames' records."""
        return [record for record in self.records if "index" in record]

    @property
    def events(self) -> list[Record]:
        """The events' records."""
        return [record for record in self.records if "event" in record]

    def write(self, record: Record) -> None:
        """Keep a record."""
        self.records.append(record)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
