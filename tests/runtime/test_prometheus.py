"""Metrics, scraped from a real port."""

from __future__ import annotations

import queue
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.errors import MissingDependencyError, SinkError
from runtime.frame import Frame
from runtime.pipeline import Pipeline
from runtime.sinks import open_queued, open_sink
from runtime.sinks.prometheus import PrometheusSink
from runtime.sinks.queued import Limits, QueuedSink
from runtime.testing import FakeSource, FakeStepper, ListSink, make_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.frame import Pixels
    from runtime.sinks import Sink

BRIGHT = np.full((4, 6), 255, np.uint8)
Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(sink: PrometheusSink) -> Metrics:
    with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def of(metrics: Metrics, name: str, labels: Mapping[str, str] | None = None) -> float:
    return metrics[name, frozenset((labels or {}).items())]


def camera(times_s: list[float], picture: Pixels | bytes = BRIGHT) -> FakeSource:
    frames = [Frame(picture=picture, time_s=time_s, index=index) for index, time_s in enumerate(times_s)]
    return FakeSource(frames, live=True)


def test_it_tells_what_the_loop_has_counted() -> None:
    with PrometheusSink(0, clock_s=lambda: 62.5) as sink, QueuedSink("jsonl:x", ListSink) as queued:
        queued.dropped["full"] = 3
        source = camera([0.0, 0.2, 60.0])
        Pipeline(stepper=FakeStepper(make_spec()), source=source, sinks=[sink, queued]).run()
        metrics = scrape(sink)
    assert of(metrics, "framestep_frames_total", {"result": "stepped"}) == 3
    assert of(metrics, "framestep_frames_total", {"result": "repeated"}) == 2
    assert of(metrics, "framestep_state_resets_total", {"reason": "gap"}) == 1
    assert of(metrics, "framestep_gaps_total") == 1
    assert of(metrics, "framestep_source_up") == 1
    assert of(metrics, "framestep_frame_age_seconds") == 2.5
    assert of(metrics, "framestep_step_duration_seconds_count") == 5
    assert of(metrics, "framestep_step_duration_seconds_bucket", {"le": "+Inf"}) == 5
    assert of(metrics, "framestep_step_duration_seconds_sum") > 0
    assert of(metrics, "framestep_stage_duration_seconds_count", {"stage": "wait"}) == 3
    assert of(metrics, "framestep_sink_dropped_total", {"sink": "jsonl:x", "reason": "full"}) == 3
    assert of(metrics, "process_open_fds") > 0
    build = [dict(labels) for name, labels in metrics if name == "framestep_build_info"]
    assert build == [{"version": "0.1.0", "model": "fake", "precision": "float32"}]


def test_buckets_only_grow() -> None:
    with PrometheusSink(0) as sink:
        Pipeline(stepper=FakeStepper(make_spec()), source=camera([0.0, 0.1]), sinks=[sink]).run()
        metrics = scrape(sink)
    name = "framestep_step_duration_seconds_bucket"
    buckets = [(float(dict(labels)["le"]), value) for (each, labels), value in metrics.items() if each == name]
    assert len(buckets) > 10
    assert [value for _, value in sorted(buckets)] == sorted(value for _, value in buckets)


def test_it_can_be_scraped_while_the_loop_runs() -> None:
    seen: list[float] = []
    with PrometheusSink(0) as sink:

        class Scraping(ListSink):
            def write(self, record: dict[str, object]) -> None:
                super().write(record)
                seen.append(of(scrape(sink), "framestep_frames_total", {"result": "stepped"}))

        sinks: list[Sink] = [sink, Scraping()]
        Pipeline(stepper=FakeStepper(make_spec()), source=camera([0.0, 0.07, 0.14]), sinks=sinks).run()
    assert seen == [0, 1, 2]


def test_labels_of_a_model_are_data() -> None:
    name = 'x"} 1 framestep_evil 1 \\'
    with PrometheusSink(0) as sink:
        Pipeline(stepper=FakeStepper(make_spec(name=name)), source=camera([0.0]), sinks=[sink]).run()
        metrics = scrape(sink)
    assert ("framestep_evil", frozenset[tuple[str, str]]()) not in metrics
    assert [dict(labels)["model"] for each, labels in metrics if each == "framestep_build_info"] == [name]


def test_before_there_is_a_loop_it_tells_of_the_process_alone() -> None:
    with PrometheusSink(0) as sink:
        metrics = scrape(sink)
    assert metrics
    assert not any(name.startswith("framestep") for name, _ in metrics)


def test_it_listens_to_this_machine_alone_where_nothing_else_is_asked() -> None:
    with PrometheusSink(0) as sink:
        assert sink._server.server_address[0] == "127.0.0.1"


def test_closed_it_listens_no_more() -> None:
    with PrometheusSink(0) as sink:
        pass
    with pytest.raises(urllib.error.URLError):
        scrape(sink)


def test_a_port_that_is_taken_is_told_so() -> None:
    with PrometheusSink(0) as sink, pytest.raises(SinkError) as caught:
        open_sink(f"prometheus:{sink.port}")
    words = f"Metrics cannot be served at 127.0.0.1:{sink.port} (Address already in use). Give another port."
    assert str(caught.value) == words


def test_behind_a_queue_it_is_told_whom_to_ask_at_each_opening() -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    with PrometheusSink(0) as other:
        text = f"prometheus:{other.port}"
        queued = open_queued(text, limits=Limits(first_s=0.01, longest_s=0.01), tell=told.put)
        Pipeline(stepper=FakeStepper(make_spec()), source=camera([0.0]), sinks=[queued]).run()
        assert "Address already in use" in told.get(timeout=30)
    while told.get(timeout=30) != f"{text} is on.":
        pass
    metrics = scrape(other)  # the other is closed; its port is served
    queued.close()
    assert of(metrics, "framestep_frames_total", {"result": "stepped"}) == 1
    assert of(metrics, "framestep_sink_up", {"sink": text}) == 1


@pytest.mark.parametrize(
    "text", ["prometheus:", "prometheus:x", "prometheus:70000", "prometheus:::9100", "prometheus::1"]
)
def test_without_a_port_it_is_refused(text: str) -> None:
    with pytest.raises(SinkError):
        open_sink(text)


def test_without_the_library_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'framestep\[metrics\]'"):
        open_sink("prometheus:9100")
