"""Artifacts to test with, the golden ones and ones drawn by hand; and a real MQTT broker."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from runtime.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from typing_extensions import Self

    from runtime.spec import Spec

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden artifacts."""
    return TESTS / "golden"


@pytest.fixture(scope="session")
def drawing(golden: Path) -> ModuleType:
    """`tests/golden/drawing.py`."""
    place = importlib.util.spec_from_file_location("drawing", golden / "drawing.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


@pytest.fixture
def drawn(drawing: ModuleType, tmp_path: Path) -> Callable[..., Engine]:
    """Draw a network, write it as an artifact, and load it."""

    def load(content: bytes, spec: Spec | None = None, **engine: Any) -> Engine:
        path = tmp_path / "drawn.tflite"
        path.write_bytes(drawing.artifact(content, spec))
        return Engine.open(path, **engine)

    return load


PATIENT_S = 30.0  # for another process, on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """mosquitto on the loopback, which a test may start and stop as it likes."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._program, self._folder = program, folder
        self._child: subprocess.Popen[str] | None = None

    def start(self, *lines: str) -> Self:
        anybody = [] if any(line.startswith("password_file") for line in lines) else ["allow_anonymous true"]
        configuration = self._folder / "mosquitto.conf"
        # A broker that is started by root would become another user, who cannot read the test's files.
        configuration.write_text("\n".join([f"listener {self.port} 127.0.0.1", "user root", *anybody, *lines]) + "\n")
        self._child = subprocess.Popen(
            [self._program, "-c", str(configuration)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert self._child.stderr is not None
        said = ""
        for line in self._child.stderr:
            said += line
            if line.rstrip().endswith("running"):
                # What it says from now on must not fill the pipe.
                self._rest = threading.Thread(target=self._child.stderr.read)
                self._rest.start()
                return self
        raise AssertionError(said)

    def freeze(self) -> None:
        """Keep its connections open and answer nothing."""
        assert self._child is not None
        self._child.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._rest.join()
            self._child.__exit__(None, None, None)
            self._child = None


class Listener:
    """Keep every message."""

    def __init__(self, port: int, **login: Any) -> None:
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self.messages: list[tuple[str, str, bool]] = []
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._take
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        if login:
            self.client.username_pw_set(**login)
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("#", 1)
        self.client.loop_start()
        assert self._subscribed.wait(PATIENT_S)

    def _take(self, _: Any, __: Any, message: Any) -> None:
        with self._changed:
            self.messages.append((message.topic, message.payload.decode(), bool(message.retain)))
            self._changed.notify_all()

    def payloads(self, topic: str) -> list[str]:
        return [payload for name, payload, _ in self.messages if name == topic]

    def wait_for(self, found: Callable[[Listener], Any]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: found(self), PATIENT_S), self.messages

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client.on_message = self.client.on_subscribe = None  # or the collector finds it in somebody's test


@pytest.fixture
def broker(system_program: Callable[[str, str], str], tmp_path: Path) -> Iterator[Broker]:
    """A broker that does not run yet."""
    made = Broker(system_program("mosquitto", "mosquitto"), tmp_path)
    yield made
    made.stop()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Listen to the broker at a port."""
    made: list[Listener] = []

    def listen(port: int, **login: Any) -> Listener:
        made.append(Listener(port, **login))
        return made[-1]

    yield listen
    for each in made:
        each.close()
