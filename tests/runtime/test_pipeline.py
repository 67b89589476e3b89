"""The loop, with stand-ins and with a real network."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from runtime.engine import Engine
from runtime.errors import SinkError, SourceError
from runtime.frame import Frame
from runtime.pipeline import Pipeline, Summary
from runtime.preprocess import Preprocessor
from runtime.sinks import open_sink
from runtime.sinks.queued import QueuedSink
from runtime.sources import open_source
from runtime.spec import DecisionSpec, ResetSpec
from runtime.testing import FakeSource, FakeStepper, ListSink, make_spec, write_film

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.frame import Pixels
    from runtime.spec import Spec
    from runtime.status import Ask

QUICK = DecisionSpec(smoothing=1.0, on=0.6, off=0.4, minimum_frames=1)
DARK, BRIGHT = np.zeros((4, 6), np.uint8), np.full((4, 6), 255, np.uint8)


def at(times_s: list[float], picture: Pixels = BRIGHT) -> FakeSource:
    return FakeSource(Frame(picture=picture, time_s=time_s, index=index) for index, time_s in enumerate(times_s))


def steady(count: int, fps: float = 15.0, start_s: float = 0.0) -> list[float]:
    return [start_s + index / fps for index in range(count)]


def run(source: FakeSource, spec: Spec | None = None, **options: Any) -> tuple[Summary, ListSink, FakeStepper]:
    sink, stepper = ListSink(), FakeStepper(spec or make_spec(decision=QUICK))
    summary = Pipeline(stepper=stepper, source=source, sinks=[sink], **options).run()
    return summary, sink, stepper


def test_every_frame_has_a_record() -> None:
    summary, sink, _ = run(FakeSource.of_pictures([BRIGHT] * 3))
    assert sink.frames == [
        {"index": 0, "time": 0.0, "label": "dark", "probabilities": [0.5, 0.5], "decision": None},
        {"index": 1, "time": 0.066667, "label": "bright", "probabilities": [0.25, 0.75], "decision": "bright"},
        {"index": 2, "time": 0.133333, "label": "bright", "probabilities": [0.125, 0.875], "decision": "bright"},
    ]
    assert summary.frames == 3


def test_an_event_is_told_when_it_is_over() -> None:
    _, sink, _ = run(FakeSource.of_pictures([DARK, BRIGHT, BRIGHT, BRIGHT, DARK, DARK, DARK]))
    assert sink.events == [
        {"event": "dark", "start": 0, "end": 1},
        {"event": "bright", "start": 2, "end": 4},
        {"event": "dark", "start": 5, "end": 6},
    ]
    assert sink.records.index(sink.events[0]) == sink.records.index(sink.frames[2]) - 1


def test_a_source_of_twice_the_rate_is_halved() -> None:
    summary, sink, _ = run(at(steady(8, fps=30)))
    assert [record["index"] for record in sink.frames] == [0, 2, 4, 6]
    assert (summary.frames, summary.dropped, summary.repeated) == (4, 4, 0)


def test_a_slower_source_is_repeated_and_says_so() -> None:
    summary, sink, _ = run(at(steady(4, fps=10)))
    assert [(record["index"], record.get("repeated")) for record in sink.frames] == [
        (0, None),
        (1, None),
        (1, True),
        (2, None),
        (3, None),
    ]
    assert (summary.frames, summary.repeated) == (5, 1)


def test_a_repeated_frame_is_stepped_again_and_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []
    original = Preprocessor.__call__

    def prepare(self: Preprocessor, picture: Any) -> Pixels:
        prepared.append(picture)
        return original(self, picture)

    monkeypatch.setattr(Preprocessor, "__call__", prepare)
    summary, _, _ = run(at(steady(4, fps=10)))
    assert (len(prepared), summary.frames) == (4, 5)


def test_a_gap_resets_the_states_and_says_so() -> None:
    summary, sink, stepper = run(at([*steady(3), *steady(2, start_s=60.0)]))
    assert [record.get("gap") for record in sink.frames] == [None, None, None, True, None]
    assert sink.frames[3]["probabilities"] == sink.frames[0]["probabilities"]
    assert (summary.gaps, summary.resets, stepper.resets) == (1, 1, 1)


def test_an_event_does_not_reach_across_a_gap() -> None:
    _, sink, _ = run(at([*steady(3), *steady(3, start_s=60.0)]))
    assert sink.events == [{"event": "bright", "start": 1, "end": 2}, {"event": "bright", "start": 4, "end": 5}]


def test_the_policy_never_outlives_a_gap() -> None:
    spec = make_spec(decision=QUICK, reset=ResetSpec(policy="never"))
    summary, sink, _ = run(at([*steady(3), *steady(2, start_s=60.0)]), spec)
    assert [record["probabilities"][1] for record in sink.frames] == [0.5, 0.75, 0.875, 0.9375, 0.96875]
    assert (summary.gaps, summary.resets) == (1, 0)


def test_the_policy_every_resets_after_so_many_frames() -> None:
    spec = make_spec(decision=QUICK, reset=ResetSpec(policy="every", every_frames=2))
    summary, sink, _ = run(at(steady(5)), spec)
    assert [record["probabilities"][1] for record in sink.frames] == [0.5, 0.75, 0.5, 0.75, 0.5]
    assert summary.resets == 2


def test_the_policy_every_counts_from_a_gap() -> None:
    spec = make_spec(decision=QUICK, reset=ResetSpec(policy="every", every_frames=3))
    _, sink, _ = run(at([*steady(2), *steady(4, start_s=60.0)]), spec)
    assert [record["probabilities"][1] for record in sink.frames] == [0.5, 0.75, 0.5, 0.75, 0.875, 0.5]


def test_the_policy_event_resets_when_an_event_ends() -> None:
    spec = make_spec(decision=QUICK, reset=ResetSpec(policy="event"))
    summary, sink, _ = run(FakeSource.of_pictures([DARK, BRIGHT, BRIGHT, BRIGHT]), spec)
    # dark ends at the third frame, and the fourth begins from black again
    assert [record["probabilities"][1] for record in sink.frames] == [0.0, 0.5, 0.75, 0.5]
    assert summary.resets == 1


def test_a_broken_picture_never_reaches_the_states() -> None:
    whole = simplejpeg.encode_jpeg(np.full((4, 6, 3), 255, np.uint8))
    summary, sink, _ = run(FakeSource.of_pictures([whole, whole[:-300], whole]))
    assert [record["index"] for record in sink.frames] == [0, 2]
    assert [record["probabilities"][1] for record in sink.frames] == [0.5, 0.75]
    assert summary.broken == 1


def test_a_broken_picture_is_not_repeated_either() -> None:
    pictures = [BRIGHT, b"broken", BRIGHT]
    summary, sink, _ = run(FakeSource.of_pictures(pictures, fps=7.5))
    assert [(record["index"], record.get("repeated")) for record in sink.frames] == [(0, None), (0, True), (2, None)]
    assert (summary.broken, summary.repeated, summary.gaps) == (1, 1, 0)


def test_broken_pictures_for_longer_than_the_limit_are_a_gap() -> None:
    summary, sink, _ = run(FakeSource.of_pictures([BRIGHT, *[b"broken"] * 20, BRIGHT]))
    assert [record.get("gap") for record in sink.frames] == [None, True]
    assert (summary.broken, summary.resets) == (20, 1)


def test_it_stops_after_so_many_frames_without_asking_for_another() -> None:
    def pictures() -> Iterator[Pixels]:
        yield BRIGHT
        yield BRIGHT
        raise AssertionError

    summary, sink, _ = run(FakeSource.of_pictures(pictures()), max_frames=2)
    assert (summary.frames, len(sink.frames)) == (2, 2)


def test_stop_ends_it_after_the_frame_it_is_at_and_tells_the_open_event() -> None:
    sink = ListSink()
    source = FakeSource.of_pictures(repeat(BRIGHT))
    pipeline = Pipeline(stepper=FakeStepper(make_spec(decision=QUICK)), source=source, sinks=[sink])
    write = sink.write

    def stop_at_the_fifth(record: dict[str, Any]) -> None:
        write(record)
        if record.get("index") == 4:
            pipeline.stop()

    sink.write = stop_at_the_fifth  # type: ignore[method-assign]  # the sink is where the test can act
    assert pipeline.run().frames == 5
    assert sink.events == [{"event": "bright", "start": 1, "end": 4}]


def test_records_of_a_live_source_say_what_the_wall_clock_said_however_it_jumps() -> None:
    wall = iter([datetime(year, 2, 3, 4, 5, 6, 789_123, timezone.utc) for year in (2026, 1970, 2036, 2026)])
    frames = [Frame(picture=BRIGHT, time_s=index / 15, index=index) for index in range(3)]
    source, spec = FakeSource(frames, live=True), make_spec(decision=QUICK)
    summary, sink, _ = run(source, spec, utc=lambda: next(wall))
    assert [record["utc"] for record in sink.frames] == [
        "2026-02-03T04:05:06.789+00:00",
        "1970-02-03T04:05:06.789+00:00",
        "2036-02-03T04:05:06.789+00:00",
    ]
    assert [record["utc"] for record in sink.events] == ["2026-02-03T04:05:06.789+00:00"]
    assert (summary.gaps, summary.resets) == (0, 0)


def test_what_a_live_source_had_and_nobody_took_is_counted() -> None:
    frames = [Frame(picture=BRIGHT, time_s=index / 15, index=index) for index in (0, 3, 4, 9)]
    summary, _, _ = run(FakeSource(frames, live=True))
    assert summary.missed == 6
    assert "wait" in summary.stages_us
    assert "decode" not in summary.stages_us


def test_every_stage_is_timed_once_a_frame() -> None:
    summary, _, _ = run(at(steady(4, fps=10)))
    assert {stage: times.count for stage, times in summary.stages_us.items()} == {
        "decode": 4,
        "preprocess": 4,
        "step": 5,
        "decide": 5,
        "sinks": 5,
    }


def test_what_is_no_number_becomes_null() -> None:
    class Lost(FakeStepper):
        def step(self, pixels: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
            return super().step(pixels) * np.float32(math.nan)

    sink = ListSink()
    Pipeline(stepper=Lost(make_spec()), source=at([0.0]), sinks=[sink]).run()
    assert sink.frames[0]["probabilities"] == [None, None]
    assert json.loads(json.dumps(sink.frames[0], allow_nan=False)) == sink.frames[0]


def test_its_status_counts_frames_by_what_became_of_them_and_resets_by_reason() -> None:
    pictures = [BRIGHT, BRIGHT, b"broken", BRIGHT]
    times_s = [0.0, 0.2, 0.25, 60.0]
    frames = [
        Frame(picture=picture, time_s=time_s, index=index)
        for index, (picture, time_s) in enumerate(zip(pictures, times_s, strict=True))
    ]
    pipeline = Pipeline(stepper=FakeStepper(make_spec()), source=FakeSource(frames, live=True))
    pipeline.run()
    status = pipeline.status()
    assert status.frames == {"stepped": 3, "repeated": 2, "dropped": 0, "missed": 0, "broken": 1, "stale": 0}
    assert (status.resets, status.gaps, status.latest_s) == ({"gap": 1}, 1, 60.0)
    assert status.durations["step"].count == 5
    assert (status.name, status.source) == ("fake", "live")


def test_an_observing_sink_is_told_whom_to_ask() -> None:
    class Curious(ListSink):
        def observe(self, ask: Ask) -> None:
            self.ask = ask

    sink = Curious()
    pipeline = Pipeline(stepper=FakeStepper(make_spec()), source=at(steady(3)), sinks=[sink])
    pipeline.run()
    assert sink.ask() == pipeline.status()
    assert sink.ask().latest_s is None  # of a film


def test_the_status_names_every_queue() -> None:
    with QueuedSink("a file", ListSink) as queued:
        pipeline = Pipeline(stepper=FakeStepper(make_spec()), source=at(steady(3)), sinks=[queued, ListSink()])
        pipeline.run()
    assert [(queue.name, queue.dropped) for queue in pipeline.status().queues] == [("a file", {})]


def test_every_sink_gets_every_record() -> None:
    sinks = [ListSink(), ListSink()]
    Pipeline(stepper=FakeStepper(make_spec()), source=at(steady(3)), sinks=sinks).run()
    assert sinks[0].records == sinks[1].records
    assert len(sinks[0].frames) == 3


def test_a_source_that_fails_ends_it_with_the_sources_words() -> None:
    def pictures() -> Iterator[Pixels]:
        yield BRIGHT
        raise SourceError("The camera has gone. Plug it in again.")

    with pytest.raises(SourceError, match="The camera has gone"):
        run(FakeSource.of_pictures(pictures()))


def test_a_sink_that_fails_ends_it_with_the_sinks_words() -> None:
    with open_sink("jsonl:/dev/full") as sink, pytest.raises(SinkError, match="No space left on device"):
        Pipeline(stepper=FakeStepper(make_spec()), source=at(steady(3)), sinks=[sink]).run()


def test_a_film_through_a_real_network_gives_what_stepping_it_by_hand_gives(golden: Path, tmp_path: Path) -> None:
    engine = Engine.open(golden / "tiny.tflite")
    pictures = [np.full((48, 64, 3), 8 * number, np.uint8) for number in range(20)]
    path = write_film(tmp_path / "x.mkv", pictures, fps=engine.spec.fps)
    sink = ListSink()
    with open_source(str(path), engine.spec) as source:
        Pipeline(stepper=engine.stepper(), source=source, sinks=[sink]).run()
    stepper, prepare = engine.stepper(), Preprocessor(engine.spec.input)
    expected = [stepper.step(prepare(picture)) for picture in pictures]
    assert [record["index"] for record in sink.frames] == list(range(20))
    # records keep six decimals
    assert np.allclose([record["probabilities"] for record in sink.frames], expected, atol=5e-7, rtol=0)
