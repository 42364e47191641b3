"""The envelope: CloudEvents 1.0 in Kafka's binary mode, one JSON value a record.

`encode` turns an event into key, value and headers; `decode` turns a record back, upcasting older versions.
The type header is `sedi.<EventName>.v<version>`. Header values are UTF-8.

Guarantees: `decode` reads the result of `encode` as the same event and envelope, because `encode` checks that; a NaN, a
number out of range or half a surrogate pair never gets onto the log. `decode` raises only SchemaError, whatever the
bytes and headers are. Not checked here: whether key, id and time are the right ones for the event.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from schemas.errors import ConfigurationError, MalformedEvent, UnknownEvent
from schemas.events import Event
from schemas.registry import SPECS, EventSpec, spec_of
from schemas.upcasting import upcast

Headers = list[tuple[str, bytes]]

_SPEC_VERSION = b"1.0"
_TYPE = re.compile(rb"sedi\.([A-Za-z]+)\.v([1-9][0-9]{0,5})")
_SHOWN_BYTES = 120
_OPTIONAL = {"causation_id": "ce_causationid", "correlation_id": "ce_correlationid", "traceparent": "traceparent"}
_READ = frozenset(("ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", *_OPTIONAL.values()))
_encoder = msgspec.json.Encoder()

# Everything that reading arbitrary bytes as a known type can raise: the decoder's errors, a policy's own checks, JSON
# nested too deep, and errors of an upcaster whose input is not of that old version.
_UNREADABLE = (
    msgspec.MsgspecError,
    ConfigurationError,
    RecursionError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
)


class Meta(msgspec.Struct, frozen=True):
    """Who wrote an event, when, and what caused it.

    id             deterministic, see `schemas.ids`
    source         `/sedi/<run>/<component>`
    time           RFC 3339, UTC; the only part that differs when an event is written again
    causation_id   id of the event that caused this one
    correlation_id the run's id
    traceparent    W3C trace context
    """

    id: str
    source: str
    time: str
    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


class Decoded(msgspec.Struct, frozen=True):
    """An event read from a record, with its envelope."""

    event: Event
    meta: Meta
    key: str
    version: int


def encode(event: Event, key: str, meta: Meta) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the record of `event`.

    Raises MalformedEvent if the record would not decode to the same event, key and `meta`.
    """
    spec = spec_of(type(event))
    try:
        raw_key, value, headers = key.encode(), _encoder.encode(event), _headers(spec, key, meta)
        # The value alone is read back: headers and key are the UTF-8 of strings, and `_headers` refuses what `decode`
        # does, an empty one.
        back = spec.decoder.decode(value)
    except _UNREADABLE as error:
        raise MalformedEvent(f"This {spec.name} cannot be written: {error} Fix the program that made it.") from error
    if back != event:
        fields = [name for name in event.__struct_fields__ if getattr(event, name) != getattr(back, name)]
        raise MalformedEvent(
            f"This {spec.name} cannot be written: {', '.join(fields)} would read back as something else. Numbers must "
            "be finite (write None for one that is not), and arrays must be tuples."
        )
    return raw_key, value, headers


def decode(
    key: bytes | None, value: bytes | None, headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]]
) -> Decoded:
    """Read a record.

    Raises UnknownEvent for a type or version that this program does not know, MalformedEvent for any other record that
    cannot be decoded.
    """
    fields = _fields(headers)
    spec, version = _type_of(fields)
    if fields.get("ce_specversion") != _SPEC_VERSION:
        raise MalformedEvent(
            f"A {spec.name} record has the ce_specversion {fields.get('ce_specversion')!r}, not {_SPEC_VERSION!r}. "
            "It was not written by this project."
        )
    if value is None:
        raise MalformedEvent(f"A {spec.name} record has no value. Events are never deleted; check what wrote it.")
    try:
        if version == spec.version:
            event = spec.decoder.decode(value)
        else:
            data = msgspec.json.decode(value, type=dict[str, Any])
            event = msgspec.convert(upcast(spec.name, version, spec.version, data), spec.cls)
        meta = Meta(
            id=_text(fields, "ce_id"),
            source=_text(fields, "ce_source"),
            time=_text(fields, "ce_time"),
            causation_id=_optional(fields, "ce_causationid"),
            correlation_id=_optional(fields, "ce_correlationid"),
            traceparent=_optional(fields, "traceparent"),
        )
        return Decoded(event, meta, (key or b"").decode(), version)
    except _UNREADABLE as error:
        raise MalformedEvent(
            f"A record says it is {spec.name} v{version} but does not read as one: {error}. Check what wrote it."
        ) from error


def _headers(spec: EventSpec, key: str, meta: Meta) -> Headers:
    for header, value in (("ce_id", meta.id), ("ce_source", meta.source), ("ce_time", meta.time)):
        if not value:
            raise ValueError(f"the header {header} would be empty.")
    headers: Headers = [
        ("ce_specversion", _SPEC_VERSION),
        ("ce_id", meta.id.encode()),
        ("ce_type", f"sedi.{spec.name}.v{spec.version}".encode()),
        ("ce_source", meta.source.encode()),
        ("ce_time", meta.time.encode()),
        ("ce_subject", key.encode()),
        ("content-type", b"application/json"),
    ]
    given = ((header, getattr(meta, field)) for field, header in _OPTIONAL.items())
    return headers + [(header, value.encode()) for header, value in given if value is not None]


def _fields(headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """The headers that are read here, each at most once; others are ignored."""
    fields: dict[str, bytes] = dict(headers)
    if len(fields) == len(headers) and set(map(type, fields.values())) == {bytes}:
        return fields  # as nearly always: no name twice, no null
    fields = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        if name not in _READ:
            continue
        if name in fields:
            raise MalformedEvent(f"A record has the header {name} twice. It was not written by this project.")
        if not isinstance(value, bytes):
            raise MalformedEvent(
                f"A record's header {name} is {value!r}, not bytes. It was not written by this project."
            )
        fields[name] = value
    return fields


@lru_cache(maxsize=256)
def _named(raw: bytes) -> tuple[str, int] | None:
    """Name and version of an event type, as its header has them."""
    found = _TYPE.fullmatch(raw)
    return None if found is None else (found[1].decode(), int(found[2]))


def _type_of(fields: Mapping[str, bytes]) -> tuple[EventSpec, int]:
    raw = fields.get("ce_type")
    if raw is None:
        raise MalformedEvent("A record has no ce_type header. It was not written by this project; see its origin.")
    found = _named(raw) if len(raw) <= _SHOWN_BYTES else None  # a longer one is not to be remembered
    spec = None if found is None else SPECS.get(found[0])
    if found is None or spec is None:
        raise UnknownEvent(
            f"Event type {raw[:_SHOWN_BYTES]!r} is not known here. Is a newer program writing to this run?"
        )
    version = found[1]
    if version > spec.version:
        raise UnknownEvent(
            f"{spec.name} v{version} is not known here (this program reads 1 to {spec.version}). Update this program."
        )
    return spec, version


def _text(fields: Mapping[str, bytes], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise MalformedEvent(f"A record lacks the header {name}, or it is empty. It was not written by this project.")
    return value.decode()


def _optional(fields: Mapping[str, bytes], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode()
