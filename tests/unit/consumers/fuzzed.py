"""Records that nobody ought to have written: a strategy over all topics of a run.

Bytes at random; JSON of the wrong shape; real events with fields changed or left out, nested deep; headers missing,
twice, without a value, huge, of another type; events on the topic of others, in another partition, without key or
value. Some of them are readable by chance, and in their place.
"""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from infra.log.record import Record
from infra.log.source import TOPICS
from schemas.generate import HERE
from schemas.registry import SPECS

Header = tuple[str, bytes | None]

_EXAMPLES = {
    name: json.loads((HERE / "examples" / f"{name}.v{spec.version}.json").read_text(encoding="utf-8"))
    for name, spec in SPECS.items()
    if (HERE / "examples" / f"{name}.v{spec.version}.json").is_file()
}
_ODD: list[Any] = [
    None,
    True,
    -1,
    2**63,
    2**64,
    -0.5,
    1e308,
    "",
    "x" * 300,
    "\x00\x1b[2J",
    "\u202e",
    "東京 🌊",
    [],
    {},
    [[]],
    {"a": 1},
    "Infinity",
    [None],
    0,
]
_ODD_BYTES = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"NaN",
    b"[" * 5_000,
    b'{"a":' * 3_000,
    b'{"number": 1e999}',
    b'{"lane": "\\ud800"}',
    b"\x00" * 64,
    b"{}",
    b"0" * 4_000,
]
_NAMES = ["ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "ce_causationid", "traceparent", "dlq_offset"]
_SAID: list[bytes | None] = [
    None,
    b"",
    b"\xff",
    b"1.0",
    b"2.0",
    b"sedi.InstructionKept.v1",
    b"sedi.InstructionsGenerated.v99999",
    b"sedi.Nothing.v1",
    b"sedi.RunStopped.v0",
    b"x" * 3_000,
    b"sedi.InstructionKept.v1\n",
]


@dataclass(frozen=True)
class Fuzzed:
    """A record to be written: everything but its offset."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]

    def record(self, offset: int = 0) -> Record:
        return Record(self.topic, self.partition, offset, 1, self.key, self.value, self.headers)  # type: ignore[arg-type]


@st.composite
def fuzzed(draw: st.DrawFn, partitions: int = 2) -> Fuzzed:
    """One record of a run whose `kept` has so many partitions."""
    name = draw(st.sampled_from(sorted(_EXAMPLES)))
    example = _EXAMPLES[name]
    topic = draw(st.sampled_from([SPECS[name].topic, SPECS[name].topic, *TOPICS]))
    partition = draw(st.integers(0, partitions - 1)) if topic == "kept" else 0
    key: bytes | None = example["key"].encode()
    headers: list[Header] = [(header, said.encode()) for header, said in example["headers"].items()]
    value: bytes | None = json.dumps(example["value"]).encode()
    for _ in range(draw(st.integers(0, 2)) if topic == SPECS[name].topic else 0):
        match draw(st.sampled_from(["field", "field", "bytes", "cut", "header", "header", "none", "twice", "random"])):
            case "field":
                value = json.dumps(_changed(draw, json.loads(json.dumps(example["value"])))).encode()
            case "bytes":
                value = draw(st.sampled_from(_ODD_BYTES))
            case "cut":
                value = (value or b"")[: draw(st.integers(0, 60))]
            case "header":
                header = draw(st.sampled_from(_NAMES))
                headers = [(known, said) for known, said in headers if known != header]
                if draw(st.booleans()):
                    headers.append((header, draw(st.sampled_from(_SAID))))
            case "none":
                key, value = draw(st.sampled_from([(None, None), (None, value), (key, None), (b"\xff", value)]))
            case "twice":
                headers.append(draw(st.sampled_from(headers or [("ce_id", b"")])))
            case "random":
                value = draw(st.binary(max_size=40))
                headers = [(draw(st.text(max_size=5)), draw(st.binary(max_size=5)))]
    return Fuzzed(topic, partition, key, value, tuple(headers))


def _changed(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """The event with one field, maybe deep inside, changed or left out."""
    found: Any = value
    while True:
        places = list(found) if isinstance(found, dict) else list(range(len(found)))
        place = draw(st.sampled_from(places))
        inner = found[place]
        if isinstance(inner, dict | list) and inner and draw(st.booleans()):
            found = inner
            continue
        if draw(st.integers(0, 4)) == 0 and isinstance(found, dict):
            del found[place]
        else:
            found[place] = draw(st.sampled_from(_ODD))
        return value
