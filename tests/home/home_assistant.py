"""What Home Assistant makes of messages. Run by the Python of tools/homeassistant.sh, not imported.

Reads lists of [topic, payload] as JSON; prints for each {"entities": {unique_id: component},
"refused": [], "stateless": []}.
Topics, payloads and states go the way that they go there, by its own matcher, dictionaries of
abbreviations, schemas, device classes with their units, and number conversion.
"""

import json
import re
import sys

from homeassistant.components.mqtt import binary_sensor, discovery, sensor
from homeassistant.components.mqtt.const import CONF_STATE_TOPIC
from homeassistant.components.sensor.const import (
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
    NON_NUMERIC_DEVICE_CLASSES,
)

SCHEMAS = {
    "sensor": sensor.DISCOVERY_SCHEMA,
    "binary_sensor": binary_sensor.DISCOVERY_SCHEMA,
}
PREFIX = "homeassistant/"


def expand(payload):
    """Abbreviated keys, as async_discovery_message_received does."""
    tables = {"device": discovery.DEVICE_ABBREVIATIONS, "origin": discovery.ORIGIN_ABBREVIATIONS}
    out = {discovery.ABBREVIATIONS.get(key, key): value for key, value in payload.items()}
    for block, table in tables.items():
        if block in out:
            out[block] = {table.get(key, key): value for key, value in out[block].items()}
    return out


def entity(topic, payload):
    """(component, config) of a discovery message; raises for what Home Assistant refuses."""
    match = discovery.TOPIC_MATCHER.match(topic.removeprefix(PREFIX))
    if not match:
        raise ValueError("illegal discovery topic")
    component, _, object_id = match.groups()
    config = expand(json.loads(payload))
    discovery.MQTT_ORIGIN_INFO_SCHEMA(config["origin"])
    unknown = set(config) - known(component)
    if unknown:
        # Its schemas drop what they do not know without a word.
        raise ValueError(f"unknown keys {sorted(unknown)}")
    config = SCHEMAS[component](config)
    if not config["unique_id"].endswith(object_id):
        raise ValueError("unique_id is another than the topic's")
    device_class = config.get("device_class")
    unit = config.get("unit_of_measurement")
    if component == "sensor" and device_class is not None:
        units = DEVICE_CLASS_UNITS.get(device_class)
        if units is not None and unit not in units:
            raise ValueError(f"{device_class} has no unit {unit}")
        if config.get("state_class") not in DEVICE_CLASS_STATE_CLASSES[device_class]:
            raise ValueError(f"{device_class} has no {config.get('state_class')}")
    return component, config


def known(component):
    schema = SCHEMAS[component]
    keys = set()
    for part in getattr(schema, "validators", [schema]):
        keys |= {str(key) for key in getattr(part, "schema", {})}
    return keys


def state(component, config, payload):
    """A state as the entity takes it."""
    if component == "binary_sensor":
        if payload not in (config["payload_on"], config["payload_off"]):
            raise ValueError(f"no state of it: {payload}")
        return
    is_number = config.get("unit_of_measurement") or config.get("state_class")
    if is_number and config.get("device_class") not in NON_NUMERIC_DEVICE_CLASSES:
        if not re.fullmatch(r"-?\d+(\.\d+)?", payload):
            raise ValueError(f"no number: {payload}")
    elif not 0 < len(payload) <= 255:
        raise ValueError("a state too long")


def judged(messages):
    entities = {}
    by_topic = {}
    refused = []
    states = {}
    # What is retained may come in any order: it asks for states once it knows of an entity.
    for topic, payload in sorted(messages, key=lambda message: not message[0].startswith(PREFIX)):
        try:
            if topic.startswith(PREFIX):
                component, config = entity(topic, payload)
                entities[config["unique_id"]] = component
                by_topic[config[CONF_STATE_TOPIC]] = component, config
            elif topic in by_topic:
                state(*by_topic[topic], payload)
                states[topic] = payload
        except Exception as error:
            refused.append(f"{topic}: {type(error).__name__}: {error}")
    missing = sorted(set(by_topic) - set(states))
    return {"entities": entities, "refused": refused, "stateless": missing}


print(json.dumps([judged(messages) for messages in json.load(sys.stdin)]))
