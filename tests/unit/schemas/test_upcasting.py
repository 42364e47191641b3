"""An old version of an event is lifted to the current one when it is read; both read as the same event."""

import json

import msgspec
import pytest

from schemas.envelope import Meta, decode, encode
from schemas.errors import MalformedEvent, UnknownEvent
from schemas.events import Event
from schemas.registry import _BY_CLASS, SPECS, _spec
from schemas.upcasting import UPCASTERS, Json, upcast

META = Meta("id", "/sedi/demo/test", "2026-11-21T09:00:00.000000Z")


class DoorOpened(Event, frozen=True, kw_only=True):
    """A door was opened; version 1 told its width in centimetres, as `width`."""

    width_mm: int
    by: str


def in_millimetres(data: Json) -> Json:
    return {"width_mm": data["width"] * 10, "by": data["by"]}


@pytest.fixture
def doors(monkeypatch):
    """DoorOpened in version 2, with an upcaster from version 1."""
    spec = _spec(DoorOpened, "run", version=2)
    monkeypatch.setitem(SPECS, "DoorOpened", spec)
    monkeypatch.setitem(_BY_CLASS, DoorOpened, spec)
    monkeypatch.setitem(UPCASTERS, ("DoorOpened", 1), in_millimetres)


def old(value):
    _, _, headers = encode(DoorOpened(width_mm=1, by="x"), "demo", META)
    return b"demo", value, [(name, text.replace(b".v2", b".v1")) for name, text in headers]


def test_both_versions_read_as_the_same_event_and_tell_which_they_were(doors):
    wanted = DoorOpened(width_mm=900, by="Ada")
    new = decode(*encode(wanted, "demo", META))
    lifted = decode(*old(json.dumps({"width": 90, "by": "Ada"}).encode()))
    assert (new.event, new.version) == (wanted, 2)
    assert (lifted.event, lifted.version) == (wanted, 1)
    assert lifted.meta == new.meta


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b"[]",
        b"7",
        b"{",
        b'{"width": null, "by": "Ada"}',
        b'{"width": {}, "by": "Ada"}',
        b'{"width": "9", "by": "Ada"}',
        b'{"width": 9, "by": 3}',
        b'{"by": ' + b"[" * 100_000,
    ],
)
def test_an_old_record_that_is_not_what_it_says_is_malformed(doors, value):
    with pytest.raises(MalformedEvent, match="DoorOpened v1"):
        decode(*old(value))


@pytest.mark.parametrize("raised", [AttributeError, IndexError, KeyError, OverflowError, TypeError, ZeroDivisionError])
def test_whatever_an_upcaster_runs_into_is_a_malformed_event(doors, monkeypatch, raised):
    def fail(data: Json) -> Json:
        raise raised("no")

    monkeypatch.setitem(UPCASTERS, ("DoorOpened", 1), fail)
    with pytest.raises(MalformedEvent, match="DoorOpened v1"):
        decode(*old(b"{}"))


@pytest.mark.parametrize("value", [b"[]", b"7", b"null", b'"text"'])
def test_an_upcaster_is_given_objects_only(doors, monkeypatch, value):
    monkeypatch.setitem(UPCASTERS, ("DoorOpened", 1), lambda data: {"width_mm": 1, "by": "x"})
    assert decode(*old(b"{}")).event == DoorOpened(width_mm=1, by="x")
    with pytest.raises(MalformedEvent, match="DoorOpened v1"):
        decode(*old(value))


def test_an_old_version_without_an_upcaster_is_an_unknown_event(doors, monkeypatch):
    monkeypatch.delitem(UPCASTERS, ("DoorOpened", 1))
    with pytest.raises(UnknownEvent, match="from v1 to v2"):
        decode(*old(b'{"width": 90, "by": "Ada"}'))


def test_versions_are_lifted_one_at_a_time(monkeypatch):
    for version in (1, 2, 3):
        monkeypatch.setitem(
            UPCASTERS, ("Walked", version), lambda data, version=version: {"steps": [*data["steps"], version]}
        )
    assert upcast("Walked", 1, 4, {"steps": []}) == {"steps": [1, 2, 3]}
    assert upcast("Walked", 3, 4, {"steps": []}) == {"steps": [3]}
    assert upcast("Walked", 4, 4, {"steps": []}) == {"steps": []}


def test_every_older_version_of_every_event_has_an_upcaster():
    wanted = {(spec.name, version) for spec in SPECS.values() for version in range(1, spec.version)}
    assert set(UPCASTERS) == wanted


def test_a_window_of_before_tells_nothing_of_what_was_fed_and_all_else_as_it_was(examples):
    before, now = (examples[f"TrainingLogged.v{version}"].decoded().event.steps[0] for version in (1, 2))
    assert (before.all_tokens, before.padding, before.memory_bytes) == (None, None, None)
    assert (now.all_tokens, now.padding, now.memory_bytes) != (None, None, None)
    assert msgspec.structs.replace(now, all_tokens=None, padding=None, memory_bytes=None) == before
