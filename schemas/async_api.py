"""The AsyncAPI 3.0 document: every topic with its dead letters, its messages, writers and readers.

It is generated from `schemas.registry` and the topic files alone. Payloads are not repeated: a message refers to the
JSON Schema of its event's version and to its example. All versions that may be on a log are messages, not only the
current one. The cluster is a setting and not declared here, so there are no servers.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from schemas.json_schema import summary
from schemas.registry import SPECS, EventSpec
from schemas.topics import TopicSpec, topic_specs

# Of this contract: the second number increases with new events, the first with changes that break old readers.
CONTRACT_VERSION = "1.0.0"
BINDING = "0.5.0"

Json = dict[str, Any]

_HEADERS = {
    "ce_specversion": "Version of CloudEvents; `1.0`.",
    "ce_id": "The event's id; the same cause at the same place always gives the same id.",
    "ce_type": "`sedi.<EventName>.v<version>`.",
    "ce_source": "`/sedi/<run>/<component>`: who wrote it.",
    "ce_time": "When it was written, RFC 3339 in UTC. Everything else is the same when an event is written again.",
    "ce_subject": "The record's key.",
    "content-type": "`application/json`.",
    "ce_causationid": "Id of the event that caused this one.",
    "ce_correlationid": "The run's id; the same for all its events.",
    "traceparent": "W3C trace context.",
}
_OPTIONAL_HEADERS = ("ce_causationid", "ce_correlationid", "traceparent")

_DEAD_LETTER_HEADERS = {
    "dlq_topic": "Short name of the topic of the record.",
    "dlq_partition": "Its partition there.",
    "dlq_offset": "Its offset there.",
    "dlq_error": "Why it could not be read.",
    "dlq_time": "When the error was found, RFC 3339 in UTC.",
}


def async_api() -> str:
    """The document as YAML."""
    topics = topic_specs()
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sedi",
            "version": CONTRACT_VERSION,
            "description": "The log of a run. Every fact about it is an event on one of these Kafka topics.",
        },
        "defaultContentType": "application/json",
        "channels": {name: channel for topic in topics for name, channel in _channels(topic)},
        "operations": {name: operation for topic in topics for name, operation in _operations(topic)},
        "components": {
            "parameters": {"run": {"description": "The run's name: lower-case letters, digits, '-' and '_'."}},
            "messages": {
                **{message_name(spec, version): _message(spec, version) for spec, version in versions()},
                "DeadLetter": _dead_letter(),
            },
            "schemas": {
                "CloudEvent": _headers(_HEADERS, required=[name for name in _HEADERS if name not in _OPTIONAL_HEADERS]),
                "DeadLetterHeaders": _headers(_DEAD_LETTER_HEADERS, required=list(_DEAD_LETTER_HEADERS)),
            },
        },
    }
    head = "# Made by `python -m schemas.generate` from the event classes and the topic files; change those.\n"
    return head + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def versions() -> Iterator[tuple[EventSpec, int]]:
    """Every event type in every version that may be on a log, oldest first."""
    for spec in SPECS.values():
        for version in range(1, spec.version + 1):
            yield spec, version


def message_name(spec: EventSpec, version: int) -> str:
    """The name of a version of an event, in file names and in this document."""
    return f"{spec.name}.v{version}"


def _channels(topic: TopicSpec) -> Iterator[tuple[str, Json]]:
    yield topic.name, _channel(topic, topic.name, topic.description, _messages_of(topic), topic.partitions)
    if topic.dead_letters:
        name, summary = f"{topic.name}.dlq", f"Unreadable records of {topic.name}: bytes, key and headers unchanged."
        yield name, _channel(topic, name, summary, ["DeadLetter"], 1)


def _channel(topic: TopicSpec, name: str, summary: str, messages: list[str], partitions: int | str) -> Json:
    counted = isinstance(partitions, int)
    return {
        "address": f"sedi.{{run}}.{name}",
        "summary": summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "parameters": {"run": {"$ref": "#/components/parameters/run"}},
        "bindings": {
            "kafka": {
                **({"partitions": partitions} if counted else {}),
                "topicConfiguration": {name: _setting(name, value) for name, value in topic.config.items()},
                "bindingVersion": BINDING,
                **({} if counted else {"x-partitions": f"the policy's {partitions}"}),
            }
        },
    }


def _setting(name: str, value: str) -> str | int | list[str]:
    """A topic's configuration value in the type that the Kafka binding requires."""
    if name == "cleanup.policy":
        return value.split(",")
    return int(value) if value.removeprefix("-").isdecimal() else value


def _operations(topic: TopicSpec) -> Iterator[tuple[str, Json]]:
    for who in topic.written_by:
        yield f"{who}.sends.{topic.name}", _operation("send", topic.name, f"Written by {who}.", _messages_of(topic))
    for who in topic.read_by:
        summary = "Read by every component." if who == "all" else f"Read by {who}."
        yield f"{who}.receives.{topic.name}", _operation("receive", topic.name, summary, _messages_of(topic))
    if topic.dead_letters:
        name = f"{topic.name}.dlq"
        yield f"reader.sends.{name}", _operation("send", name, "Written by readers of the topic.", ["DeadLetter"])
        yield f"dlq.receives.{name}", _operation("receive", name, "Read by `sedi dlq`.", ["DeadLetter"])


def _operation(action: str, channel: str, summary: str, messages: list[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _messages_of(topic: TopicSpec) -> list[str]:
    return [message_name(spec, version) for spec, version in versions() if spec.name in topic.events]


def _message(spec: EventSpec, version: int) -> Json:
    name = message_name(spec, version)
    (topic,) = (topic for topic in topic_specs() if topic.name == spec.topic)
    ce_type = {"type": "object", "properties": {"ce_type": {"const": f"sedi.{name}"}}}
    return {
        "name": f"sedi.{name}",
        "title": f"{spec.name} v{version}",
        "summary": summary(spec.cls),
        "contentType": "application/json",
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "headers": {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, ce_type]},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./jsonschema/{name}.json"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": BINDING}},
        "x-example": f"./examples/{name}.json",
    }


def _dead_letter() -> Json:
    return {
        "name": "DeadLetter",
        "title": "Dead letter",
        "summary": "An unreadable record, unchanged, with headers that have its origin and the error.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": {"description": "Any bytes, or none."},
    }


def _headers(described: dict[str, str], required: list[str]) -> Json:
    properties = {name: {"type": "string", "description": text} for name, text in described.items()}
    return {"type": "object", "properties": properties, "required": required}


class _Dumper(yaml.SafeDumper):
    """Writes repeated values in full, instead of as anchor and alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
