"""The JSON Schema of an event type, generated from its class.

Types and limits come from the annotations, descriptions from the docstrings: a docstring's table of fields (a name, two
or more blanks, a text that may continue in further indented lines) becomes the descriptions of those fields.

Checks of a class beyond its annotations (clusters are a power of two, a classifier's arrays have matching lengths) are
at most mentioned in its description: a value may be valid by the schema and still be refused when it is read.
"""

import inspect
import json
import re
from typing import Any

import msgspec

from schemas.registry import EventSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_FIELD = re.compile(r"(?P<names>[a-z_]+(?:, [a-z_]+)*) {2,}(?P<text>\S.*)")


def json_schema(spec: EventSpec) -> dict[str, Any]:
    """The schema of the event's current version, with its referenced types under `$defs`."""
    _, parts = msgspec.json.schema_components([spec.cls], ref_template="#/$defs/{name}")
    for part in parts.values():
        _describe(part)
    event = parts.pop(spec.name)
    return {
        "$schema": DIALECT,
        "$id": f"urn:sedi:{spec.name}:v{spec.version}",
        **event,
        "title": f"{spec.name} v{spec.version}",
        **({"$defs": {name: parts[name] for name in sorted(parts)}} if parts else {}),
    }


def text(document: dict[str, Any]) -> str:
    """A JSON document as it is stored."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summary(cls: type) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def documented_fields(cls: type) -> dict[str, str]:
    """What a class's docstring says of each of its fields, each on one line."""
    return _split(inspect.getdoc(cls) or "")[1]


def _describe(part: dict[str, Any]) -> None:
    """Move the docstring's table of fields to the fields."""
    prose, texts = _split(part.get("description", ""))
    part["description"] = prose
    fields = part.get("properties", {})
    for name, description in texts.items():
        fields[name]["description"] = description


def _split(docstring: str) -> tuple[str, dict[str, str]]:
    prose: list[str] = []
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        found = _FIELD.fullmatch(line)
        if found is not None:
            names = found["names"].split(", ")
            texts.update(dict.fromkeys(names, found["text"]))
        elif names and line.startswith("  "):
            texts.update(dict.fromkeys(names, f"{texts[names[0]]} {line.strip()}"))
        else:
            names = []
            prose.append(line)
    return "\n".join(prose).strip(), texts
