"""Values as TOML, which the standard library reads and does not write."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.errors import ConfigurationError


def given(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields that say something: None stands for one that is left out."""
    return ((str(key), value) for key, value in config.items() if value is not None)


def toml(value: object) -> str:
    """A value as TOML; a mapping as an inline table. Raises ConfigurationError for what TOML does not have."""
    match value:
        case bool() | int():
            return str(value).lower()
        case float():
            return float.__repr__(value)
        case str() | os.PathLike():
            return json.dumps(os.fspath(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in given(value)) + "}"
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            raise ConfigurationError(f"A run's configuration cannot hold {value!r}. Give texts, numbers and lists.")
