"""MQTT, with a real broker."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.errors import MissingDependencyError, SinkError
from runtime.pipeline import Pipeline
from runtime.sinks import open_queued, open_sink
from runtime.sinks.mqtt import MqttAddress, MqttSink
from runtime.sinks.queued import Limits
from runtime.testing import FakeSource, FakeStepper, make_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.sinks import Record

SPEC = make_spec()
SOON = Limits(first_s=0.05, longest_s=0.1, check_s=0.05)
PATIENT_S = 30.0


def frame(index: int, decision: str | None = None) -> Record:
    return {"index": index, "label": "dark", "probabilities": [0.75, 0.25], "decision": decision}


def event(start: int) -> Record:
    return {"event": "bright", "start": start, "end": start + 1}


def address(broker: Any, query: str = "") -> str:
    return f"mqtt://127.0.0.1:{broker.port}/barn/cow{query}"


class Told(list[str]):
    """Sentences, and when they came."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, words: str) -> None:
        with self._changed:
            self.append(words)
            self._changed.notify_all()

    def wait_for(self, part: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(part in words for words in self), PATIENT_S), self


def test_events_are_told_and_not_retained_and_the_state_is_told_when_it_changes(
    broker: Any, listen: Callable[..., Any]
) -> None:
    broker.start()
    before = listen(broker.port)
    with open_sink(address(broker), SPEC) as sink:
        for record in (frame(0), frame(1), frame(2, "bright"), event(2), frame(4)):
            sink.write(record)
    before.wait_for(lambda them: "offline" in them.payloads("barn/cow/available"))
    assert [json.loads(each)["index"] for each in before.payloads("barn/cow/state")] == [0, 2, 4]
    assert [json.loads(each) for each in before.payloads("barn/cow/event")] == [event(2) | {"event_type": "bright"}]
    after = listen(broker.port)
    after.wait_for(lambda them: them.payloads("barn/cow/available") and them.payloads("barn/cow/state"))
    assert not after.payloads("barn/cow/event")
    assert all(retained for _, _, retained in after.messages)


def test_it_is_available_until_it_leaves(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    open_sink(address(broker), SPEC).close()
    listener.wait_for(lambda them: "offline" in them.payloads("barn/cow/available"))
    assert listener.payloads("barn/cow/available") == ["online", "offline"]
    assert listener.payloads("barn/cow/source") == ["stopped"]


def test_the_last_will_tells_of_a_connection_that_breaks(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    with open_sink(address(broker), SPEC) as sink:
        connection: socket.socket = sink._client.socket()  # type: ignore[attr-defined]  # pull the cable
        connection.shutdown(socket.SHUT_RDWR)
        listener.wait_for(lambda them: "offline" in them.payloads("barn/cow/available"))
        with pytest.raises(SinkError, match=r"^The connection to the broker 127\.0\.0\.1:\d+ is lost"):
            sink.write(event(0))


def test_a_broker_that_acknowledges_nothing_is_told_so_and_can_be_left(broker: Any) -> None:
    broker.start()
    target = MqttAddress(host="127.0.0.1", port=broker.port, topic="barn")
    with MqttSink(target, SPEC, timeout_s=0.3) as sink:
        broker.freeze()
        with pytest.raises(SinkError, match=r"^The broker 127\.0\.0\.1:\d+ acknowledges nothing\."):
            sink.write(event(0))


def test_a_port_that_never_answers_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = MqttAddress(host="127.0.0.1", port=silent.getsockname()[1], topic="barn")
        with pytest.raises(SinkError, match=r"refused \(no answer\)"):
            MqttSink(target, SPEC, timeout_s=0.3)


def test_a_last_will_that_comes_late_is_put_right(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    with open_sink(address(broker), SPEC):
        listener.wait_for(lambda them: them.payloads("barn/cow/available"))
        listener.client.publish("barn/cow/available", "offline", qos=1, retain=True)
        listener.wait_for(lambda them: them.payloads("barn/cow/available") == ["online", "offline", "online"])


def test_home_assistant_finds_it_and_is_told_again_when_it_starts(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    topic = "homeassistant/device/barn-cow/config"
    with open_sink(address(broker), SPEC):
        listener.wait_for(lambda them: len(them.payloads(topic)) == 1)
        listener.client.publish("homeassistant/status", "online", qos=1)
        listener.wait_for(lambda them: len(them.payloads(topic)) == 2)
        listener.wait_for(lambda them: len(them.payloads("barn/cow/available")) == 2)
    found = json.loads(listener.payloads(topic)[0])
    assert found == json.loads(listener.payloads(topic)[1])
    assert found["availability_topic"] == "barn/cow/available"
    assert found["components"]["event"]["event_types"] == ["dark", "bright"]
    assert {each["state_topic"] for each in found["components"].values()} == {
        "barn/cow/state",
        "barn/cow/source",
        "barn/cow/event",
    }
    assert all({"platform", "unique_id"} <= each.keys() for each in found["components"].values())


def test_home_assistant_need_not_be_told(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    open_sink(address(broker, "?discovery="), SPEC).close()
    listener.wait_for(lambda them: "offline" in them.payloads("barn/cow/available"))
    assert not [topic for topic, _, _ in listener.messages if topic.startswith("homeassistant")]


def test_after_a_restart_of_the_broker_everything_is_told_again_and_no_event_is_lost(
    broker: Any, listen: Callable[..., Any]
) -> None:
    told = Told()
    broker.start()
    with open_queued(address(broker), SPEC, limits=SOON, tell=told) as sink:
        told.wait_for("is on.")
        broker.stop()
        told.wait_for("is lost")
        for index in range(1000):
            sink.write(event(index))
            sink.write(frame(index))
        told.wait_for("cannot be reached (Connection refused)")
        broker.start()
        listener = listen(broker.port)
        listener.wait_for(lambda them: len(them.payloads("barn/cow/event")) == 1000)
        assert [json.loads(each)["start"] for each in listener.payloads("barn/cow/event")] == list(range(1000))
        listener.wait_for(lambda them: them.payloads("barn/cow/available") == ["online"])
        listener.wait_for(lambda them: them.payloads("barn/cow/state"))


def test_a_broker_that_is_away_does_not_end_the_loop() -> None:
    pictures = FakeSource.of_pictures([np.zeros((4, 6), np.uint8)] * 30)
    with open_queued("mqtt://127.0.0.1:1/x", SPEC, limits=SOON) as sink:
        assert Pipeline(stepper=FakeStepper(SPEC), source=pictures, sinks=[sink]).run().frames == 30


def test_how_the_source_is_is_told(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    with open_queued(address(broker), SPEC, limits=SOON) as sink:
        Pipeline(stepper=FakeStepper(SPEC), source=FakeSource([]), sinks=[sink]).run()
        listener.wait_for(lambda them: them.payloads("barn/cow/source") == ["live"])


@pytest.fixture
def guarded(broker: Any, tmp_path: Path, system_program: Callable[[str, str], str]) -> Any:
    """A broker that lets `cow` in, with the password `moo`."""
    passwords = tmp_path / "passwords"
    subprocess.run(
        [system_program("mosquitto_passwd", "mosquitto"), "-b", "-c", str(passwords), "cow", "moo"],
        check=True,
        capture_output=True,
    )
    return broker.start(f"password_file {passwords}")


def test_a_login_comes_from_a_file(guarded: Any, listen: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "login").write_text("cow\nmoo\n")
    listener = listen(guarded.port, username="cow", password="moo")  # noqa: S106  # of the test's own broker
    with open_sink(address(guarded, f"?login={tmp_path}/login"), SPEC) as sink:
        sink.write(event(0))
    assert listener.payloads("barn/cow/event")


def test_a_login_comes_from_the_environment(
    guarded: Any, listen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMESTEP_MQTT_USER", "cow")
    monkeypatch.setenv("FRAMESTEP_MQTT_PASSWORD", "moo")
    listener = listen(guarded.port, username="cow", password="moo")  # noqa: S106  # as above
    with open_sink(address(guarded), SPEC) as sink:
        sink.write(event(0))
    assert listener.payloads("barn/cow/event")


def test_a_login_that_is_refused_is_no_connection_and_says_so_without_the_password(
    guarded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMESTEP_MQTT_USER", "cow")
    monkeypatch.setenv("FRAMESTEP_MQTT_PASSWORD", "oink")
    told = Told()
    with open_queued(address(guarded), SPEC, limits=SOON, tell=told) as sink:
        sink.write(event(0))
        told.wait_for("refused (Not authorized)")
    assert not any("is on" in words or "oink" in words for words in told)
    assert told[-1].endswith("lost 1 records (1 closing).")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: what is given back, is given back at once."""
    gc.disable()
    yield
    gc.enable()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("uncollected")
def test_a_connection_that_is_refused_leaves_no_thread_and_no_descriptor(guarded: Any) -> None:
    before = descriptors(), set(threading.enumerate())
    for _ in range(3):
        try:
            open_sink(address(guarded), SPEC)
        except SinkError as error:
            assert "refused (Not authorized)" in str(error)  # noqa: PT017  # pytest.raises would keep what it caught
    assert (descriptors(), set(threading.enumerate())) == before


@pytest.mark.usefixtures("uncollected")
def test_a_broker_that_is_away_leaves_no_thread_and_no_descriptor() -> None:
    before = descriptors(), set(threading.enumerate())
    for _ in range(3):
        try:
            open_sink("mqtt://127.0.0.1:1/x", SPEC)
        except SinkError as error:
            assert "cannot be reached" in str(error)  # noqa: PT017  # as above
    assert (descriptors(), set(threading.enumerate())) == before


@pytest.mark.usefixtures("uncollected")
def test_a_connection_that_ends_leaves_no_thread_and_no_descriptor(broker: Any) -> None:
    broker.start()
    before = descriptors(), set(threading.enumerate())
    for _ in range(3):
        with open_sink(address(broker), SPEC) as sink:
            sink.write(event(0))
        del sink
    assert (descriptors(), set(threading.enumerate())) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read (No such file or directory)"), ("cow", "has 1 lines"), (b"\xff\n\xff", "it is no text")],
)
def test_a_login_file_that_is_none_is_told_so(content: str | bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "login"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SinkError) as caught:
        open_sink(f"mqtt://127.0.0.1:1/x?login={path}")
    assert words in str(caught.value)


@pytest.fixture
def certified(broker: Any, tmp_path: Path, system_program: Callable[[str, str], str]) -> Any:
    """A broker with a certificate that it signed itself."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [system_program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key), "-out", str(certificate), "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return broker.start(f"certfile {certificate}", f"keyfile {key}")


# paho leaves it to the garbage collector to close the socket whose certificate does not do.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_connection_is_encrypted_and_the_certificate_checked(certified: Any, tmp_path: Path) -> None:
    text = f"mqtts://127.0.0.1:{certified.port}/barn"
    with open_sink(f"{text}?ca={tmp_path}/certificate.pem", SPEC) as sink:
        sink.write(event(0))
        connection = sink._client.socket()  # type: ignore[attr-defined]  # only the socket knows
        assert isinstance(connection, ssl.SSLSocket)
    with pytest.raises(SinkError, match="certificate verify failed"):
        open_sink(text, SPEC)
    gc.collect()


@pytest.mark.parametrize("opened", [open_sink, open_queued])
def test_without_the_library_it_names_the_extra(opened: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'framestep\[mqtt\]'"):
        opened("mqtt://host/topic")


def test_topics_hold_no_wild_cards(broker: Any, listen: Callable[..., Any]) -> None:
    broker.start()
    listener = listen(broker.port)
    open_sink(f"mqtt://127.0.0.1:{broker.port}/$SYS/a+b//Kühe%23", SPEC).close()
    listener.wait_for(lambda them: "offline" in them.payloads("_SYS/a_b/K_he_23/available"))


def test_a_device_whose_camera_is_away_says_so_everywhere_and_stops_in_good_order(
    guarded: Any, listen: Callable[..., Any], golden: Path, tmp_path: Path
) -> None:
    listener = listen(guarded.port, username="cow", password="moo")  # noqa: S106  # of the test's own broker
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = [sys.executable, "-c", "from toolkit.cli import main; main()", "run", str(golden / "tiny.tflite")]
    sinks = [address(guarded), f"prometheus:{port}", f"jsonl:{tmp_path}/out.jsonl?max_bytes=100000"]
    words += ["--source", "rtsp://me:cud@127.0.0.1:1/x", *(part for sink in sinks for part in ("--sink", sink))]
    login = {"FRAMESTEP_MQTT_USER": "cow", "FRAMESTEP_MQTT_PASSWORD": "moo"}
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | login,
        cwd=golden.parents[1],
    ) as child:
        try:
            listener.wait_for(lambda them: "backing off" in them.payloads("barn/cow/source"))
            up, metrics = f'framestep_sink_up{{sink="{sinks[0]}"}} 1.0', ""
            for _ in range(1000):  # the listener may have heard before the sink has its acknowledgement
                if up in metrics:
                    break
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENT_S) as answer:
                    metrics = answer.read().decode()
        finally:
            child.send_signal(signal.SIGTERM)
        assert child.stdout is not None
        said = child.stdout.read()
    assert child.returncode == 0, said
    assert "\nframestep_source_up 0.0\n" in metrics
    assert up in metrics
    listener.wait_for(lambda them: them.payloads("barn/cow/available")[-1:] == ["offline"])
    assert listener.payloads("barn/cow/source")[-1] == "stopped"
    everything = said + metrics + "".join(payload for _, payload, _ in listener.messages)
    assert "moo" not in everything
    assert "cud" not in everything
