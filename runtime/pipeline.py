"""The loop: frames in, predictions out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from runtime.clock import FrameClock
from runtime.decision import Decision
from runtime.errors import FrameError
from runtime.latency import Percentiles, StageTimes
from runtime.preprocess import Preprocessor
from runtime.status import Observing, Queue, QueueCounts, Status, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from runtime.clock import Tick
    from runtime.decision import Event, Verdict
    from runtime.frame import Frame, Pixels
    from runtime.sinks import Record, Sink
    from runtime.sources import Source
    from runtime.spec import Spec

PROBABILITY_DECIMALS = 6
TIME_DECIMALS = 6


class Steps(Protocol):
    """One stream's network: `runtime.stepper.Stepper`, or what stands in for it."""

    spec: Spec

    def step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Take one frame."""

    def reset(self) -> None:
        """Go back to the initial states."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run of the loop came to.

    Attributes:
        frames: stepped, the repeated ones among them.
        dropped: that the source gave and the clock did not need.
        repeated: steps with the frame of the step before, where the source gave none in time.
        missed: that a live source had and nobody took in time.
        broken: that could not be decoded.
        gaps: pauses longer than the spec allows.
        resets: of the states, by whatever policy.
        events: told.
        stages_us: percentiles of each stage's time; `decode` is `wait` for a live source.
        problems: what was lost on the way, a sentence each.
    """

    frames: int
    dropped: int
    repeated: int
    missed: int
    broken: int
    gaps: int
    resets: int
    events: int
    stages_us: dict[str, Percentiles]
    problems: tuple[str, ...]


class Pipeline:
    """Step one stream's frames and hand the predictions to sinks.

    It opens and closes nothing: source and sinks belong to the caller.

    Args:
        stepper: the network with its states.
        source: where frames come from.
        sinks: where predictions go.
        max_frames: how many to step at most; None for as many as there are.
        utc: what people's clocks say, for the records of a live source; nothing is decided by it.
    """

    def __init__(
        self,
        *,
        stepper: Steps,
        source: Source,
        sinks: Sequence[Sink] = (),
        max_frames: int | None = None,
        utc: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        spec = stepper.spec
        self._stepper = stepper
        self._source = source
        self._sinks = tuple(sinks)
        self._max_frames = math.inf if max_frames is None else max_frames
        self._utc = utc if source.live else None
        self._labels = spec.labels
        self._reset = spec.reset
        self._clock = FrameClock(spec.fps, spec.reset.gap_s)
        self._preprocess = Preprocessor(spec.input)
        self._decision = Decision(spec.decision, spec.labels)
        self._times = StageTimes()
        self._stopped = False
        self._pixels: Pixels | None = None
        self._latest_s: float | None = None
        self._gap = False
        self._since_reset = 0
        self._frames = self._repeated = self._missed = self._broken = self._gaps = self._events = 0
        self._resets: Counter[str] = Counter()
        for sink in self._sinks:
            if isinstance(sink, Observing):
                sink.observe(self.status)

    def run(self) -> Summary:
        """Go on until the source ends, `max_frames` are stepped, or `stop` is called.

        Raises:
            SourceError: where frames cannot be had.
            SinkError: where predictions cannot be written.
            MissingDependencyError: where a picture needs a decoder that is not installed.
        """
        times = self._times
        fetched = "wait" if self._source.live else "decode"
        times.start()
        for tick in self._clock.select(self._until_stopped()):
            if not tick.repeated:
                times.lap(fetched)
                self._pixels = self._prepare(tick)
                times.lap("preprocess")
            if self._pixels is None:
                times.start()
                continue
            events = self._tear(tick)
            probabilities = self._stepper.step(self._pixels)
            times.lap("step")
            verdict = self._decision.update(tick.index, probabilities)
            events += verdict.events
            times.lap("decide")
            self._write(self._record(tick, probabilities, verdict), events)
            times.lap("sinks")
            self._count(tick, verdict)
            if self._frames >= self._max_frames:
                break
            times.start()
        self._write(None, self._decision.finish())
        return self.summary()

    def stop(self) -> None:
        """Let `run` end after the frame it is at; safe in a signal handler."""
        self._stopped = True
        self._source.stop()

    def summary(self) -> Summary:
        """Tell what has been done so far."""
        return Summary(
            frames=self._frames,
            dropped=self._clock.dropped,
            repeated=self._repeated,
            missed=self._missed,
            broken=self._broken,
            gaps=self._gaps,
            resets=self._resets.total(),
            events=self._events,
            stages_us=self._times.summary(),
            problems=tuple(self._source.problems),
        )

    def status(self) -> Status:
        """Tell how it is; safe in any thread."""
        source = self._source
        watched = source if isinstance(source, Watched) else None
        return Status(
            name=self._stepper.spec.name,
            precision=self._stepper.spec.precision,
            frames={
                "stepped": self._frames - self._repeated,
                "repeated": self._repeated,
                "dropped": self._clock.dropped,
                "missed": self._missed,
                "broken": self._broken + (watched.counts.broken if watched else 0),
                "stale": watched.counts.stale if watched else 0,
            },
            resets=dict(self._resets),
            gaps=self._gaps,
            events=self._events,
            durations=self._times.durations(),
            source=watched.watch.state if watched else "live",
            latest_s=self._latest_s if source.live else None,
            queues=tuple(
                QueueCounts(name=sink.name, up=sink.up, dropped=dict(sink.dropped))
                for sink in self._sinks
                if isinstance(sink, Queue)
            ),
        )

    def _until_stopped(self) -> Iterator[Frame]:
        expected = 0
        for frame in self._source.frames():
            if self._stopped:
                return
            if self._source.live:
                self._missed += frame.index - expected
            expected = frame.index + 1
            yield frame

    def _prepare(self, tick: Tick) -> Pixels | None:
        """Bring a new frame to the model's size; None for a broken one, which must not reach the states."""
        try:
            return self._preprocess(tick.frame.picture)
        except FrameError:
            self._broken += 1
            return None

    def _tear(self, tick: Tick) -> tuple[Event, ...]:
        """Where frames are missing before this one, end the open event and reset; also where the policy's turn is."""
        # Broken frames leave a gap as well, so the clock's own word is not enough.
        time_s = tick.frame.time_s
        gap = tick.gap or (self._latest_s is not None and time_s - self._latest_s > self._reset.gap_s)
        self._latest_s = time_s
        self._gaps += gap
        self._gap = gap
        due = self._reset.policy == "every" and self._since_reset == self._reset.every_frames
        events = self._decision.finish() if gap else ()
        if due or (gap and self._reset.policy != "never"):
            self._reset_states("gap" if gap else "every")
        return events

    def _reset_states(self, reason: str) -> None:
        self._stepper.reset()
        self._decision.reset()
        self._since_reset = 0
        self._resets[reason] += 1

    def _count(self, tick: Tick, verdict: Verdict) -> None:
        self._frames += 1
        self._repeated += tick.repeated
        self._since_reset += 1
        if verdict.events and self._reset.policy == "event":
            self._reset_states("event")

    def _record(self, tick: Tick, probabilities: npt.NDArray[np.float32], verdict: Verdict) -> Record:
        rounded = [round(value, PROBABILITY_DECIMALS) for value in probabilities.tolist()]
        record: dict[str, Any] = {
            "index": tick.index,
            "time": round(tick.frame.time_s, TIME_DECIMALS),
            "label": self._labels[int(probabilities.argmax())],
            "probabilities": [value if math.isfinite(value) else None for value in rounded],
            "decision": verdict.label,
        }
        if tick.repeated:
            record["repeated"] = True
        if self._gap:
            record["gap"] = True
        return record

    def _write(self, record: Record | None, events: tuple[Event, ...]) -> None:
        """Hand over what ended before this frame, then the frame."""
        records: list[Record] = [{"event": each.label, "start": each.start, "end": each.end} for each in events]
        self._events += len(records)
        if record is not None:
            records.append(record)
        if self._utc is not None:
            # Not the capture time's: what is written later, after an outage, still says when it was.
            stamp = self._utc().isoformat(timespec="milliseconds")
            records = [each | {"utc": stamp} for each in records]
        for sink in self._sinks:
            for each in records:
                sink.write(each)
