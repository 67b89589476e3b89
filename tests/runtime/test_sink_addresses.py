"""What a sink's text may be, and that no login is shown."""

from __future__ import annotations

import pytest

from runtime.errors import SinkError
from runtime.sinks import open_queued, open_sink


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://me:secret@host/topic",
        "mqtts://me:sec/ret@host/topic",
        "mqtt://me@secret:x@host/topic?login=x",
        "mqtt://host/topic?login=me:secret@x",
        "mqtt:me:secret@host/topic",
        "mqqt://me:secret@host/topic",
        "mqtt://me:secret#@host/topic",
        "MQTT://me:secret@host/topic",
        "me:secret@mqtt://host",
        "mqtt://host?password=secret",
        "prometheus:me:secret@9100",
    ],
)
def test_a_login_in_the_address_is_refused_and_never_shown(text: str) -> None:
    for opened in (open_sink, open_queued):
        with pytest.raises(SinkError) as caught:
            opened(text)
        assert "secret" not in str(caught.value)


def test_a_refused_login_says_where_it_belongs() -> None:
    with pytest.raises(SinkError) as caught:
        open_sink("mqtt://me:secret@host/topic")
    assert str(caught.value) == (
        "The sink mqtt:… holds a login, which everybody on this machine could read. Put it into a file and add "
        "?login=FILE, or into FRAMESTEP_MQTT_USER and FRAMESTEP_MQTT_PASSWORD of the environment."
    )


@pytest.mark.parametrize("text", ["mqtt://host", "mqtt:///topic", "mqtt://host:port/x", "mqtt://host:99999/x"])
def test_an_address_without_a_broker_or_a_topic_is_refused(text: str) -> None:
    with pytest.raises(SinkError, match="has no broker or no topic"):
        open_sink(text)
