"""The example records under `schemas/examples`, as they would lie on the log."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.envelope import Decoded, decode
from schemas.generate import HERE


@dataclass(frozen=True)
class Example:
    """One example file."""

    name: str
    key: str
    headers: dict[str, str]
    value: dict[str, Any]

    def record(self) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        headers = [(name, value.encode()) for name, value in self.headers.items()]
        return self.key.encode(), json.dumps(self.value).encode(), headers

    def decoded(self) -> Decoded:
        return decode(*self.record())


@pytest.fixture(scope="session")
def examples() -> dict[str, Example]:
    """All examples, by the name of their file, as in `RunConfigured.v1`."""
    found = {}
    for path in sorted((HERE / "examples").iterdir()):
        name = path.name.removesuffix(".json")
        found[name] = Example(name, **json.loads(path.read_text(encoding="utf-8")))
    return found
