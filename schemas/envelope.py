"""The envelope: CloudEvents 1.0 in Kafka's binary mode, one JSON value a record.

`encode` turns an event into key, value and headers; `decode` turns a record back, upcasting older versions.
The type header is `sedi.<EventName>.v<version>`. Header values are UTF-8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from schemas.errors import MalformedEvent, UnknownEvent
from schemas.events import Event
from schemas.registry import SPECS, EventSpec, spec_of
from schemas.upcasting import upcast

Headers = list[tuple[str, bytes]]

_TYPE_PREFIX = "sedi."
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Meta:
    """Who wrote an event, when, and because of what.

    id             deterministic, see `schemas.ids`
    source         `/sedi/<run>/<component>`
    time           RFC 3339, UTC; the only part that differs when an event is made again
    causation_id   the event that this one follows from
    correlation_id the run's id
    traceparent    W3C trace context
    """

    id: str
    source: str
    time: str
    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Decoded:
    """An event read from a record, with its envelope."""

    event: Event
    meta: Meta
    key: str
    version: int


def encode(event: Event, key: str, meta: Meta) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the record that carries `event`."""
    spec = spec_of(type(event))
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", meta.id.encode()),
        ("ce_type", f"{_TYPE_PREFIX}{spec.name}.v{spec.version}".encode()),
        ("ce_source", meta.source.encode()),
        ("ce_time", meta.time.encode()),
        ("ce_subject", key.encode()),
        ("content-type", b"application/json"),
    ]
    for name, value in (
        ("ce_causationid", meta.causation_id),
        ("ce_correlationid", meta.correlation_id),
        ("traceparent", meta.traceparent),
    ):
        if value is not None:
            headers.append((name, value.encode()))
    return key.encode(), _encoder.encode(event), headers


def decode(
    key: bytes | None, value: bytes | None, headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]]
) -> Decoded:
    """Read a record.

    Raises UnknownEvent for a type or version this program does not know, MalformedEvent for everything else that
    keeps the record from being what it says it is.
    """
    fields = dict(headers)
    spec, version = _type_of(fields)
    if value is None:
        raise MalformedEvent(f"A {spec.name} record has no value. Events are never deleted; look who wrote it.")
    try:
        if version == spec.version:
            event = spec.decoder.decode(value)
        else:
            event = msgspec.convert(upcast(spec.name, version, spec.version, msgspec.json.decode(value)), spec.cls)
        meta = Meta(
            id=_text(fields, "ce_id"),
            source=_text(fields, "ce_source"),
            time=_text(fields, "ce_time"),
            causation_id=_optional(fields, "ce_causationid"),
            correlation_id=_optional(fields, "ce_correlationid"),
            traceparent=_optional(fields, "traceparent"),
        )
        return Decoded(event, meta, (key or b"").decode(), version)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedEvent(f"A record says it is {spec.name} v{version} but does not read as one: {error}") from error


def _type_of(fields: Mapping[str, bytes]) -> tuple[EventSpec, int]:
    raw = fields.get("ce_type")
    if raw is None:
        raise MalformedEvent("A record has no ce_type header. It was not written by this project; see its origin.")
    name, dot, version_text = raw.decode(errors="replace").removeprefix(_TYPE_PREFIX).rpartition(".v")
    spec = SPECS.get(name)
    if spec is None or not dot or not version_text.isdecimal():
        raise UnknownEvent(f"Event type {raw!r} is not known here. Is a newer program writing to this run?")
    version = int(version_text)
    if not 1 <= version <= spec.version:
        raise UnknownEvent(
            f"{name} v{version} is not known here (this program reads 1 to {spec.version}). Update this program."
        )
    return spec, version


def _text(fields: Mapping[str, bytes], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise MalformedEvent(f"A record lacks the header {name}. It was not written by this project.")
    return value.decode()


def _optional(fields: Mapping[str, bytes], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode()
