"""MQTT: availability, states and events, and what Home Assistant needs to find them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.errors import MissingDependencyError, SinkError
from runtime.sinks.discovery import device

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from runtime.sinks import Record
    from runtime.spec import Spec
    from runtime.status import Ask

USER, PASSWORD = "FRAMESTEP_MQTT_USER", "FRAMESTEP_MQTT_PASSWORD"  # names of variables

KEEPALIVE_S = 30
"""After one and a half of it without a sign of life the broker publishes the last will."""

_LOGIN_BYTES = 4096
_GOODBYE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class MqttAddress:
    """Where to publish.

    Attributes:
        host: of the broker.
        port: of the broker.
        topic: what all topics begin with.
        tls: whether the connection is encrypted and the broker's certificate checked.
        ca: the authorities that may have signed it; the system's where None.
        login: a file of two lines, user and password; the environment's `USER` and `PASSWORD` where None.
        discovery: Home Assistant's prefix; None to tell it nothing.
    """

    host: str
    port: int
    topic: str
    tls: bool = False
    ca: Path | None = None
    login: Path | None = None
    discovery: str | None = "homeassistant"


def load_paho() -> Any:
    """Import paho-mqtt.

    Raises:
        MissingDependencyError: where it is not installed.
    """
    try:
        import paho.mqtt.client
    except ImportError:
        raise MissingDependencyError("paho-mqtt", extra="mqtt", purpose="Publishing by MQTT") from None
    return paho.mqtt.client


class MqttSink:
    """Publish each event, and the state whenever the decision changes; each waits for the broker's acknowledgement.

    The connection is made once: whoever uses the sink opens it anew when it is lost. Under the address's topic stand
    `available` (`online`, or `offline` by the last will), `state` and `source` (the source's state), all retained, and
    `event`, which is not.

    Args:
        address: see `MqttAddress`.
        spec: of the model; its labels are what Home Assistant is told of.
        timeout_s: for the broker's answers.

    Raises:
        SinkError: where there is no broker, or it refuses.
        MissingDependencyError: where paho-mqtt is not installed.
    """

    def __init__(self, address: MqttAddress, spec: Spec | None = None, *, timeout_s: float = 10.0) -> None:
        paho = load_paho()
        self._address, self._spec, self._timeout_s = address, spec, timeout_s
        self._broker = f"{address.host}:{address.port}"
        self._changed = threading.Condition()
        self._acknowledged: deque[int] = deque(maxlen=64)
        self._answered = self._connected = self._leaving = False
        self._reason = "no answer"
        self._state: str | None = None
        self._decision: tuple[Any] | None = None
        self._source: str | None = None
        self._ask: Ask | None = None
        client = self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.connect_timeout = timeout_s
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        client.will_set(f"{address.topic}/available", "offline", qos=1, retain=True)
        user, password = _login(address)
        if user is not None:
            client.username_pw_set(user, password)
        self._connect()

    def _connect(self) -> None:
        address = self._address
        try:
            if address.tls:
                self._client.tls_set(ca_certs=None if address.ca is None else str(address.ca))
            self._client.connect(address.host, address.port, keepalive=KEEPALIVE_S)
        except OSError as error:
            self._let_go()
            raise SinkError(
                f"The broker {self._broker} cannot be reached ({error.strerror or error}). Start it, or name another."
            ) from None
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._answered, self._timeout_s)
        if not self._connected:
            self._end()
            raise SinkError(f"The broker {self._broker} refused ({self._reason}). Look at its log, and at the login.")

    def observe(self, ask: Ask) -> None:
        """Take note of whom to ask how the source is."""
        self._ask = ask

    def check(self) -> None:
        """Publish how the source is, where that has changed.

        Raises:
            SinkError: where the connection is lost.
        """
        self._demand_connection()
        source = None if self._ask is None else self._ask().source
        if source is not None and source != self._source:
            self._publish("source", source, retain=True)
            self._source = source

    def write(self, record: Record) -> None:
        """Publish an event, or a frame's decision where it is another than before.

        Raises:
            SinkError: where the connection is lost, or the broker does not acknowledge.
        """
        self._demand_connection()
        if "event" in record:
            # Home Assistant asks for this name.
            self._publish("event", json.dumps(record | {"event_type": record["event"]}), retain=False)
        elif self._decision != (record["decision"],):
            self._state = json.dumps(record)
            self._publish("state", self._state, retain=True)
            self._decision = (record["decision"],)

    def close(self) -> None:
        """Say that nothing more comes, and leave."""
        self._leaving = True
        if self._connected:
            with contextlib.suppress(SinkError):
                self._publish("source", "stopped", retain=True, timeout_s=_GOODBYE_S)
                self._publish("available", "offline", retain=True, timeout_s=_GOODBYE_S)
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        self._client.disconnect()
        with self._changed:
            self._changed.wait_for(lambda: not self._connected, _GOODBYE_S)
        # Packets that cannot be sent would keep the client's thread; without a socket it ends.
        connection = self._client.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()
        self._let_go()

    def _let_go(self) -> None:
        # The client closes its last descriptors when it is freed, which is at once where no cycle holds it.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = client.on_message = None

    def _demand_connection(self) -> None:
        if not self._connected:
            raise SinkError(f"The connection to the broker {self._broker} is lost ({self._reason}). See that it runs.")

    def _publish(self, name: str, payload: str, *, retain: bool, timeout_s: float | None = None) -> None:
        number = self._client.publish(f"{self._address.topic}/{name}", payload, qos=1, retain=retain).mid
        with self._changed:
            self._changed.wait_for(
                lambda: number in self._acknowledged or not self._connected, timeout_s or self._timeout_s
            )
            if number in self._acknowledged:
                return
        self._demand_connection()
        raise SinkError(f"The broker {self._broker} acknowledges nothing. See that it runs.")

    # What follows runs in the client's thread, where nothing may wait for an acknowledgement.

    def _on_connect(self, client: Any, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if not reason.is_failure:
            topics = [f"{self._address.topic}/available"]
            if self._address.discovery is not None:
                topics.append(f"{self._address.discovery}/status")
            client.subscribe([(topic, 1) for topic in topics])
            self._announce()
        with self._changed:
            self._answered, self._connected, self._reason = True, not reason.is_failure, str(reason)
            self._changed.notify_all()

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        with self._changed:
            if self._connected:
                self._reason = str(reason)
            self._answered, self._connected = True, False
            self._changed.notify_all()

    def _on_publish(self, _: Any, __: Any, number: int, ___: Any, ____: Any) -> None:
        with self._changed:
            self._acknowledged.append(number)
            self._changed.notify_all()

    def _on_message(self, client: Any, _: Any, message: Any) -> None:
        if message.topic == f"{self._address.topic}/available":
            # The last will of a connection that was given up before, and comes late.
            if message.payload == b"offline" and not self._leaving:
                client.publish(message.topic, "online", qos=1, retain=True)
        elif message.payload == b"online":
            self._announce()

    def _announce(self) -> None:
        address = self._address
        if address.discovery is not None:
            node = address.topic.replace("/", "-")
            found = json.dumps(device(address.topic, node, self._spec))
            self._client.publish(f"{address.discovery}/device/{node}/config", found, qos=1, retain=True)
        self._client.publish(f"{address.topic}/available", "online", qos=1, retain=True)
        if self._state is not None:
            self._client.publish(f"{address.topic}/state", self._state, qos=1, retain=True)


def _login(address: MqttAddress) -> tuple[str | None, str | None]:
    """Read user and password, which stand in no address, argument or log."""
    if address.login is None:
        return os.environ.get(USER), os.environ.get(PASSWORD)
    try:
        with address.login.open(encoding="utf-8") as file:
            lines = file.read(_LOGIN_BYTES).splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SinkError(f"The login file {address.login} cannot be read ({reason}). Name another.") from None
    if len(lines) != 2:
        raise SinkError(f"The login file {address.login} has {len(lines)} lines. Give it two: user and password.")
    return lines[0], lines[1]
