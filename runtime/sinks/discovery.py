"""What Home Assistant is told of a device: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import runtime

if TYPE_CHECKING:
    from runtime.spec import Spec


def device(topic: str, node: str, spec: Spec | None) -> dict[str, Any]:
    """Describe a decision, the events and the source, as JSON types.

    Args:
        topic: what all topics begin with.
        node: the device's name, unlike that of any other.
        spec: of the model; without it there are no labels, and no events are described.
    """
    components: dict[str, Any] = {
        "decision": {
            "platform": "sensor",
            "name": "Decision",
            "unique_id": f"{node}-decision",
            "state_topic": f"{topic}/state",
            "value_template": "{{ value_json.decision or 'none' }}",
        },
        "source": {
            "platform": "binary_sensor",
            "name": "Source",
            "unique_id": f"{node}-source",
            "device_class": "connectivity",
            "state_topic": f"{topic}/source",
            "value_template": "{{ 'ON' if value == 'live' else 'OFF' }}",
        },
    }
    if spec is not None:
        components["event"] = {
            "platform": "event",
            "name": "Event",
            "unique_id": f"{node}-event",
            "state_topic": f"{topic}/event",
            "event_types": list(spec.labels),
        }
    return {
        "device": {
            "identifiers": [node],
            "name": node,
            "manufacturer": "framestep",
            "model": "camera" if spec is None else spec.name,
        },
        "origin": {"name": "framestep", "sw_version": runtime.__version__},
        "availability_topic": f"{topic}/available",
        "components": components,
    }
