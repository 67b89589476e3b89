"""A sink behind a queue: the loop neither waits for it nor ends with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SinkError
from runtime.sinks import finish, open_queued
from runtime.sinks.queued import Limits, QueuedSink
from runtime.testing import ListSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.sinks import Record, Sink

SOON = Limits(first_s=0.001, longest_s=0.002, check_s=0.01)
PATIENT_S = 30.0  # for another thread, on a busy machine


def frame(index: int) -> Record:
    return {"index": index}


def event(start: int) -> Record:
    return {"event": "bright", "start": start, "end": start}


class Gate(ListSink):
    """A sink that takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.let = threading.Event(), threading.Event()

    def write(self, record: Record) -> None:
        self.entered.set()
        assert self.let.wait(PATIENT_S)
        super().write(record)


class Moody(ListSink):
    """A sink that raises whenever there is an error left."""

    def __init__(self, errors: Iterator[Exception | None]) -> None:
        super().__init__()
        self.errors = errors

    def write(self, record: Record) -> None:
        error = next(self.errors, None)
        if error is not None:
            raise error
        super().write(record)


def through(sink: Sink, records: list[Record], **options: Any) -> QueuedSink:
    with QueuedSink("it", lambda: sink, **({"limits": SOON} | options)) as queued:
        for record in records:
            queued.write(record)
    return queued


def blocked(limits: Limits) -> tuple[Gate, QueuedSink]:
    """A queue whose sink is busy with the record 0."""
    gate = Gate()
    queued = QueuedSink("it", lambda: gate, limits=limits)
    queued.write(frame(0))
    assert gate.entered.wait(PATIENT_S)
    return gate, queued


def test_every_record_comes_through_in_order_and_the_sink_is_closed() -> None:
    sink, records = ListSink(), [frame(0), event(0), frame(1), frame(2), event(2)]
    queued = through(sink, records)
    assert sink.records == records
    assert sink.closed
    assert not queued.dropped.total()


def test_a_slow_sink_costs_the_oldest_frames_and_they_are_counted() -> None:
    gate, queued = blocked(Limits(frames=3))
    for index in range(1, 8):
        queued.write(frame(index))
    gate.let.set()
    queued.close()
    assert gate.records == [frame(index) for index in (0, 5, 6, 7)]
    assert queued.dropped == {"full": 4}


def test_frames_never_push_an_event_out() -> None:
    gate, queued = blocked(Limits(frames=2, events=3))
    for index in range(1, 9):
        queued.write(frame(index))
        queued.write(event(index))
    gate.let.set()
    queued.close()
    assert gate.records == [frame(0), event(6), frame(7), event(7), frame(8), event(8)]


@given(st.lists(st.sampled_from([None, SinkError("It is full. Wait.")]), max_size=20))
def test_whenever_it_fails_each_record_still_comes_once_and_in_order(errors: list[Exception | None]) -> None:
    sink = Moody(iter(errors))
    done = threading.Event()
    records = [frame(0), event(1), frame(2)]
    write = sink.write

    def count(record: Record) -> None:
        write(record)
        if len(sink.records) == len(records):
            done.set()

    sink.write = count  # type: ignore[method-assign]  # the sink is where the test can look
    with QueuedSink("it", lambda: sink, limits=SOON) as queued:
        for record in records:
            queued.write(record)
        assert done.wait(PATIENT_S)
    assert sink.records == records


def test_a_sink_that_cannot_be_opened_is_tried_again_and_says_so() -> None:
    sink, told = ListSink(), list[str]()
    tries = iter([SinkError("No broker. Start one."), ValueError("secret"), None])
    opened = threading.Event()

    def open_it() -> Sink:
        error = next(tries)
        if error is not None:
            raise error
        opened.set()
        return sink

    with QueuedSink("it", open_it, limits=SOON, draw=lambda: 0.5, tell=told.append) as queued:
        queued.write(frame(0))
        assert opened.wait(PATIENT_S)
    assert sink.records == [frame(0)]
    assert told == [
        "it is off: No broker. Start one. It is tried again, first in 0.0 s.",
        "it is off: ValueError. It is tried again, first in 0.0 s.",
        "it is on.",
    ]


def test_the_pauses_grow_and_are_forgotten_after_health() -> None:
    told: list[str] = []
    now = [0.0]
    sink = Moody(iter([SinkError("a."), SinkError("b."), None, SinkError("c.")]))
    limits = Limits(first_s=0.1, longest_s=0.2, jitter=0.0, check_s=0.01, healthy_s=60.0)
    written = threading.Event()
    write = sink.write

    def age(record: Record) -> None:
        write(record)
        now[0] += 100.0
        written.set()

    sink.write = age  # type: ignore[method-assign]  # the sink is where the test can act
    with QueuedSink("it", lambda: sink, limits=limits, clock_s=lambda: now[0], tell=told.append) as queued:
        queued.write(frame(0))
        assert written.wait(PATIENT_S)
        written.clear()
        queued.write(frame(1))
        assert written.wait(PATIENT_S)
    assert [words for words in told if "off" in words] == [
        "it is off: a. It is tried again, first in 0.1 s.",
        "it is off: b. It is tried again, first in 0.2 s.",
        "it is off: c. It is tried again, first in 0.1 s.",
    ]


def test_a_failure_that_lasts_is_told_once() -> None:
    told: list[str] = []
    sink = Moody(iter([SinkError("Full.")] * 5))
    written = threading.Event()
    write = sink.write

    def tell_of(record: Record) -> None:
        write(record)
        written.set()

    sink.write = tell_of  # type: ignore[method-assign]  # the sink is where the test can look
    with QueuedSink("it", lambda: sink, limits=SOON, draw=lambda: 0.5, tell=told.append) as queued:
        queued.write(frame(0))
        assert written.wait(PATIENT_S)
    assert told == ["it is off: Full. It is tried again, first in 0.0 s.", "it is on."]


def test_a_record_that_no_try_would_mend_is_left_out() -> None:
    sink = Moody(iter([TypeError("no JSON")]))
    queued = through(sink, [frame(0), frame(1)])
    assert sink.records == [frame(1)]
    assert queued.dropped == {"refused": 1}


def test_closing_waits_for_a_hanging_sink_only_so_long_and_counts_what_is_lost() -> None:
    told: list[str] = []
    gate = Gate()
    queued = QueuedSink("it", lambda: gate, limits=Limits(close_s=0.05), tell=told.append)
    queued.write(frame(0))
    assert gate.entered.wait(PATIENT_S)
    queued.write(frame(1))
    queued.write(event(1))
    queued.close()
    assert queued.dropped == {"closing": 3}
    assert told[-1] == "it lost 3 records (3 closing)."
    gate.let.set()


def test_queues_that_finish_together_have_one_time_together() -> None:
    now = [0.0]
    gates = [Gate(), Gate()]
    limits = Limits(close_s=1000.0)
    hanging = [QueuedSink("it", iter([gate]).__next__, limits=limits, clock_s=lambda: now[0]) for gate in gates]
    for gate, queued in zip(gates, hanging, strict=True):
        queued.write(frame(0))
        assert gate.entered.wait(PATIENT_S)
    finish([*hanging, ListSink()])
    now[0] = 1000.0
    for gate, queued in zip(gates, hanging, strict=True):
        queued.close()
        assert queued.dropped == {"closing": 1}
        gate.let.set()


def test_closing_tries_a_sink_that_is_off_once_more() -> None:
    sink, told = Moody(iter([SinkError("Full. Wait.")])), list[str]()
    off = threading.Event()

    def tell(words: str) -> None:
        told.append(words)
        if "off" in words:
            off.set()

    queued = QueuedSink("it", lambda: sink, limits=Limits(first_s=1000.0), tell=tell)
    queued.write(frame(0))
    assert off.wait(PATIENT_S)
    queued.close()
    assert sink.records == [frame(0)]
    assert not queued.dropped.total()


def test_a_sink_that_nothing_is_written_to_is_looked_at() -> None:
    looked = threading.Semaphore(0)

    class Looked(ListSink):
        def check(self) -> None:
            looked.release()
            raise SinkError("Gone. Wait.")

    with QueuedSink("it", Looked, limits=SOON):
        for _ in range(3):
            assert looked.acquire(timeout=PATIENT_S)


def test_it_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    through(ListSink(), [frame(0)])
    assert set(threading.enumerate()) <= before


def test_a_file_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    off = threading.Event()

    def tell(words: str) -> None:
        if "is off" in words:
            off.set()

    with open_queued(f"jsonl:{folder}/out.jsonl", limits=SOON, tell=tell) as sink:
        sink.write(frame(0))
        assert off.wait(PATIENT_S)
        folder.mkdir()
    assert (folder / "out.jsonl").read_text() == '{"index": 0}\n'


def test_what_is_no_sink_is_refused_at_once() -> None:
    with pytest.raises(SinkError, match="is not one that framestep writes"):
        open_queued("jsonnl:x")


def test_a_sink_that_does_not_close_says_so() -> None:
    told: list[str] = []

    class Broken(ListSink):
        def close(self) -> None:
            raise SinkError("It does not close. Pull it out.")

    through(Broken(), [frame(0)], tell=told.append)
    assert told[-1] == "it was not closed in good order: It does not close. Pull it out."
