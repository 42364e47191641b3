"""Conditions on an event's fields or envelope, by which it is shown or not.

A field is named by a dotted path into the event; in lists on the path any item may match. A field that an event does
not have matches nothing, not even `!=`. Numbers are compared as numbers, everything else as its JSON text; `<`, `<=`,
`>` and `>=` hold for numbers only.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.events import Event
from schemas.registry import SPECS

ENVELOPE = (
    "timestamp_ms",
    "topic",
    "partition",
    "offset",
    "type",
    "version",
    "id",
    "key",
    "source",
    "time",
    "causation_id",
)

_CONDITION = re.compile(r"([^!<>=~]+)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """A condition.

    path        into an event's fields, or the name of an envelope attribute
    operation   = and !=, < <= > >= for numbers, ~ for a regular expression that is found somewhere in the text
    """

    path: tuple[str, ...]
    operation: str
    value: str
    _holds: Callable[[Any], bool] = field(repr=False, compare=False)

    def holds(self, event: Event, envelope: Mapping[str, Any]) -> bool:
        """Whether an event meets it; its own fields come before envelope attributes of the same name."""
        found = list(_at(event if self.path[0] in event.__struct_fields__ else envelope, self.path))
        if self.operation == "!=":
            return bool(found) and all(self._holds(scalar) for scalar in found)
        return any(self._holds(scalar) for scalar in found)


def condition(text: str) -> Condition:
    """Parse a condition such as `cluster=3`, `rejections.reason!=similar`, `cost_usd>0.5` or `instruction~haiku`.

    Raises ConfigurationError for anything else.
    """
    parts = _CONDITION.fullmatch(text)
    if parts is None or not all(parts[1].split(".")):
        raise ConfigurationError(
            f"Condition {text!r} is not FIELD=VALUE, nor one with !=, <, <=, >, >= or ~ instead of =. Write one such "
            "as cluster=3, topic!=calls, cost_usd>0.01 or instruction~haiku."
        )
    path, operation, value = parts.groups()
    return Condition(tuple(path.split(".")), operation, value, _test(text, operation, value))


def require_known(condition: Condition, types: frozenset[str]) -> None:
    """Raise ConfigurationError for a field that no event has, because it would never match."""
    classes = [spec.cls for name, spec in SPECS.items() if not types or name in types]
    fields = {name for cls in classes for name in cls.__struct_fields__}
    if condition.path[0] not in fields and condition.path[0] not in ENVELOPE:
        raise ConfigurationError(
            f"No event has a field {condition.path[0]!r}. Choose of {', '.join(sorted(fields | set(ENVELOPE)))}."
        )


def _test(text: str, operation: str, value: str) -> Callable[[Any], bool]:
    number = _number(value)
    if operation in _ORDER:
        if number is None:
            raise ConfigurationError(
                f"Condition {text!r} compares with {value!r}, which is no number. Use =, != or ~ for text."
            )
        compare = _ORDER[operation]
        return lambda scalar: _is_number(scalar) and compare(scalar, number)
    if operation == "~":
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise ConfigurationError(
                f"Condition {text!r}: {value!r} is no regular expression ({error}). To search for these characters, "
                f"escape them: {re.escape(value)}"
            ) from None
        return lambda scalar: pattern.search(_text(scalar)) is not None

    def equal(scalar: Any) -> bool:
        return _text(scalar) == value or (number is not None and _is_number(scalar) and bool(scalar == number))

    return equal if operation == "=" else lambda scalar: not equal(scalar)


def _at(found: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values at the end of the path; of lists, each item."""
    if isinstance(found, list | tuple):
        for item in found:
            yield from _at(item, path)
    elif not path:
        yield found
    elif isinstance(found, msgspec.Struct):
        if path[0] in found.__struct_fields__:
            yield from _at(getattr(found, path[0]), path[1:])
    elif isinstance(found, Mapping) and path[0] in found:
        yield from _at(found[path[0]], path[1:])


def _number(text: str) -> float | None:
    """A text as a number, integers exactly; None when it is none."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _is_number(scalar: Any) -> bool:
    return isinstance(scalar, int | float) and not isinstance(scalar, bool)


def _text(scalar: Any) -> str:
    return scalar if isinstance(scalar, str) else msgspec.json.encode(scalar).decode()
