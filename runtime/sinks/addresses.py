"""What a sink's text may be, and what is made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from runtime.errors import SinkError
from runtime.sources.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.sinks import Sink
    from runtime.spec import Spec

SUPPORTED = (
    "jsonl:- for standard output, jsonl:FILE, mqtt://HOST/TOPIC, mqtts://HOST/TOPIC, or prometheus:PORT; docs/sinks.md "
    "tells their options"
)

_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
"""What no level of a topic holds: + and # are wild cards, and $ belongs to brokers."""

_OPTIONS = re.compile(r"(?P<rest>.*)\?(?P<options>[a-z_]+=[^?/]*)", re.DOTALL)


def parse(text: str, spec: Spec | None = None) -> Callable[[], Sink]:
    """Give what opens a sink, again and again.

    Raises:
        SinkError: where there is no such thing.
        MissingDependencyError: where it needs a library that is not installed.
    """
    kind, _, target = text.partition(":")
    if kind == "jsonl" and target:
        return _json_lines(text, target)
    if kind in ("mqtt", "mqtts") and target.startswith("//"):
        return _mqtt(text, spec)
    if kind == "prometheus" and target:
        return _prometheus(text, target)
    raise SinkError(f"The sink {shown(text)} is not one that framestep writes. Give {SUPPORTED}.")


def shown(text: str) -> str:
    """Give a sink's text without what might be a secret."""
    kind, _, _ = text.partition(":")
    if kind == "jsonl":
        return text
    # A password may hold any sign, so where there is an @ nothing after the kind is safe.
    return redacted(text) if "@" not in text else f"{kind}:…" if "@" not in kind else "…"


def _json_lines(text: str, target: str) -> Callable[[], Sink]:
    from runtime.sinks.jsonl import SMALLEST_BYTES, Budget, JsonLinesSink

    found = _OPTIONS.fullmatch(target)
    if found is None or target == "-":
        return lambda: JsonLinesSink(target)
    options = _options(text, found["options"], ("max_bytes", "keep"))
    max_bytes, keep = (_number(text, options, *each) for each in (("max_bytes", SMALLEST_BYTES), ("keep", 1)))
    if max_bytes is None:
        raise SinkError(f"The sink {text} has keep, but no max_bytes. Say how many bytes all its files may have.")
    budget = Budget(max_bytes=max_bytes, keep=keep or 1)
    if budget.part_bytes < SMALLEST_BYTES // 2:
        raise SinkError(
            f"The sink {text} leaves {budget.part_bytes} bytes for each file; it must be {SMALLEST_BYTES // 2}. "
            "Give a larger max_bytes or a smaller keep."
        )
    return lambda: JsonLinesSink(found["rest"], budget)


def _mqtt(text: str, spec: Spec | None) -> Callable[[], Sink]:
    from runtime.sinks.mqtt import PASSWORD, USER, MqttAddress, MqttSink, load_paho

    if "@" in text:
        raise SinkError(
            f"The sink {shown(text)} holds a login, which everybody on this machine could read. Put it into a file and "
            f"add ?login=FILE, or into {USER} and {PASSWORD} of the environment."
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    levels = [_UNFIT.sub("_", level) for level in parts.path.split("/") if level] if host else []
    if not host or not levels or parts.fragment:
        raise SinkError(f"The sink {shown(text)} has no broker or no topic. Give it as mqtt://HOST:PORT/TOPIC.")
    options = _options(text, parts.query, ("login", "ca", "discovery"))
    tls = parts.scheme == "mqtts"
    address = MqttAddress(
        host=host,
        port=port or (8883 if tls else 1883),
        topic="/".join(levels),
        tls=tls,
        ca=Path(options["ca"]) if "ca" in options else None,
        login=Path(options["login"]) if "login" in options else None,
        discovery=_UNFIT.sub("_", options.get("discovery", "homeassistant")) or None,
    )
    load_paho()  # where it is missing, no try would ever do
    return lambda: MqttSink(address, spec)


def _prometheus(text: str, target: str) -> Callable[[], Sink]:
    from runtime.sinks.prometheus import PrometheusSink, load_client

    host, _, port = target.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or (":" in target and not host):
        raise SinkError(f"The sink {shown(text)} has no port. Give it as prometheus:PORT or prometheus:ADDRESS:PORT.")
    load_client()
    return lambda: PrometheusSink(int(port), host=host.strip("[]") or "127.0.0.1")


def _options(text: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name not in known:
            raise SinkError(f"The sink {shown(text)} has the option {name}. It may have {', '.join(known)}.")
    if len(dict(pairs)) < len(pairs):
        raise SinkError(f"The sink {shown(text)} has an option twice. Give each once.")
    return dict(pairs)


def _number(text: str, options: Mapping[str, str], name: str, least: int) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) < least:
        raise SinkError(f"The sink {text} has {name}={value}. Give a whole number of {least} or more.")
    return int(value)
