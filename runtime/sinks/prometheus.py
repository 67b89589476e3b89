"""Metrics for Prometheus, read by whoever asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import runtime
from runtime.errors import MissingDependencyError, SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Self

    from runtime.latency import Durations
    from runtime.sinks import Record
    from runtime.status import Ask, Status

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Of the histograms' buckets: from a tiny network on a desk to a large one on an old Pi."""


def load_client() -> Any:
    """Import prometheus-client.

    Raises:
        MissingDependencyError: where it is not installed.
    """
    try:
        import prometheus_client
        import prometheus_client.core
    except ImportError:
        raise MissingDependencyError("prometheus-client", extra="metrics", purpose="Serving metrics") from None
    return prometheus_client


class PrometheusSink:
    """Serve `/metrics` by HTTP; records are counted by the loop, and here is only told what it counted.

    Args:
        port: to listen at; 0 for any that is free.
        host: the address to listen at.
        clock_s: the clock of live frames' capture times.

    Attributes:
        port: that is listened at.

    Raises:
        SinkError: where the port is taken.
        MissingDependencyError: where prometheus-client is not installed.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", clock_s: Callable[[], float] = time.monotonic) -> None:
        client = load_client()
        self._families = client.core
        self._clock_s = clock_s
        self._ask: Ask | None = None
        registry = client.CollectorRegistry()
        registry.register(self)
        client.ProcessCollector(registry=registry)
        try:
            self._server, self._thread = client.start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise SinkError(
                f"Metrics cannot be served at {host}:{port} ({error.strerror}). Give another port."
            ) from None
        self.port = int(self._server.server_port)

    def observe(self, ask: Ask) -> None:
        """Take note of whom to ask how the loop is."""
        self._ask = ask

    def write(self, record: Record) -> None:
        """Do nothing: the loop has counted it."""

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def describe(self) -> Iterable[Any]:
        """Name nothing in advance; whoever registers it does not ask for values then."""
        return ()

    def collect(self) -> Iterator[Any]:
        """Give every metric's value of this moment, in base units."""
        if self._ask is None:
            return
        status = self._ask()
        build = {"version": runtime.__version__, "model": status.name, "precision": status.precision}
        yield self._gauges("framestep_build_info", "What runs.", tuple(build), {tuple(build.values()): 1})
        frames = {(result,): count for result, count in status.frames.items()}
        yield self._counters("framestep_frames", "Frames by what became of them.", ("result",), frames)
        resets = {(reason,): count for reason, count in status.resets.items()}
        yield self._counters("framestep_state_resets", "Resets of the states.", ("reason",), resets)
        yield self._counters("framestep_gaps", "Pauses longer than the spec allows.", (), {(): status.gaps})
        yield self._counters("framestep_events", "Events told.", (), {(): status.events})
        yield self._gauges("framestep_source_up", "Whether pictures come.", (), {(): status.source == "live"})
        if status.latest_s is not None:
            age_s = self._clock_s() - status.latest_s
            yield self._gauges("framestep_frame_age_seconds", "Since the newest frame was taken.", (), {(): age_s})
        yield from self._queues(status)
        yield from self._times(status.durations)

    def _queues(self, status: Status) -> Iterator[Any]:
        up = {(queue.name,): queue.up for queue in status.queues}
        yield self._gauges("framestep_sink_up", "Whether a sink works.", ("sink",), up)
        dropped = {
            (queue.name, reason): count for queue in status.queues for reason, count in sorted(queue.dropped.items())
        }
        yield self._counters("framestep_sink_dropped", "Records that a sink lost.", ("sink", "reason"), dropped)

    def _times(self, durations: Mapping[str, Durations]) -> Iterator[Any]:
        family = self._families.HistogramMetricFamily
        steps = family("framestep_step_duration_seconds", "Of one step of the network.")
        stages = family("framestep_stage_duration_seconds", "Of one stage of the loop.", labels=("stage",))
        for stage, each in durations.items():
            total_s = each.total_ns / 1e9
            below = each.at_most([bound * 1e9 for bound in BOUNDS_S])
            # Counted again: the loop may have added some since.
            whole = max(each.count, below[-1])
            buckets = [*((str(bound), count) for bound, count in zip(BOUNDS_S, below, strict=True)), ("+Inf", whole)]
            stages.add_metric((stage,), buckets, total_s)
            if stage == "step":
                steps.add_metric((), buckets, total_s)
        yield steps
        yield stages

    def _gauges(self, name: str, words: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Any:
        family = self._families.GaugeMetricFamily(name, words, labels=labels)
        for of, value in values.items():
            family.add_metric(of, float(value))
        return family

    def _counters(self, name: str, words: str, labels: tuple[str, ...], values: Mapping[Any, int]) -> Any:
        family = self._families.CounterMetricFamily(name, words, labels=labels)
        for of, value in values.items():
            family.add_metric(of, value)
        return family
