"""The values of a run file, of `--set` and of a part's arguments: each checked by itself, with its place."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import msgspec
from typer.exceptions import TyperException

from infra.masking import masked
from schemas.errors import ConfigurationError
from sedi.run_file.fields import (
    COMMANDS,
    NOT_HERE,
    SECTIONS,
    TOP,
    RunFileField,
    command_name,
    command_of,
    fields,
    secrets,
)
from sedi.run_file.given import Given, Mistake
from sedi.run_file.places import TextPlace, key_places, syntax_place
from sedi.toml_text import toml

_NAMED = frozenset(SECTIONS) - {TOP}
_ALL = "`sedi init -` prints every field"


@dataclass(frozen=True)
class FileValues:
    """What a run file holds.

    given       its good values
    sections    the place of each section, and of each list of arguments
    arguments   of a part, where the file still lists them: `generate = ["--style", "alpaca"]`
    """

    label: str
    given: Mapping[tuple[str, str], Given] = field(default_factory=dict)
    mistakes: Sequence[Mistake] = ()
    sections: Mapping[str, Given] = field(default_factory=dict)
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @staticmethod
    def of(text: str, label: str) -> FileValues:
        """Read a text. Raises ConfigurationError, with the place, when it is not TOML."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place, why = syntax_place(error, text)
            raise ConfigurationError(
                f"{label}:{place.line}:{place.column}: this is not TOML: {why}. Write one field a line, and texts "
                "in quotes. Nothing was started."
            ) from error
        return _FileReader(label, key_places(text)).read(data)


class _FileReader:
    def __init__(self, label: str, places: Mapping[tuple[str, ...], TextPlace]) -> None:
        self._label = label
        self._places = places
        self._given: dict[tuple[str, str], Given] = {}
        self._mistakes: list[Mistake] = []
        self._sections: dict[str, Given] = {}
        self._arguments: dict[str, list[str]] = {}

    def read(self, data: Mapping[str, Any]) -> FileValues:
        for name, value in data.items():
            if name in _NAMED and isinstance(value, dict):
                self._sections[name] = self._at(None, name)
                for inner, one in value.items():
                    self._take(name, inner, one, self._at(one, name, inner))
            elif name in COMMANDS and isinstance(value, list) and all(isinstance(word, str) for word in value):
                self._sections[name] = self._at(None, name)
                self._arguments[name] = value
            elif name in _NAMED:
                self._wrong(self._at(None, name), f"{name} is a section: write [{name}], and its fields below it.")
            elif isinstance(value, dict):
                self._wrong(self._at(None, name), _unknown_section(name))
            else:
                self._take(TOP, name, value, self._at(value, name))
        return FileValues(self._label, self._given, self._mistakes, self._sections, self._arguments)

    def _take(self, section: str, name: str, value: Any, at: Given) -> None:
        if (section, name) not in fields():
            self._wrong(at, unknown_field(section, name))
            return
        one = fields()[section, name]
        try:
            self._given[section, name] = Given(converted(one, value), at.place, at.order)
        except ConfigurationError as error:
            self._wrong(at, str(error))

    def _wrong(self, at: Given, text: str) -> None:
        self._mistakes.append(Mistake(at.place, text, at.order))

    def _at(self, value: Any, *path: str) -> Given:
        place = self._places[path]
        return Given(value, f"{self._label}:{place.line}:{place.column}", (0, place.line, place.column))


def read_pair(pair: str, order: tuple[int, int, int]) -> tuple[RunFileField, Given] | Mistake:
    """The field and value that `--set` names, or what is wrong with it."""
    path, equals, text = pair.partition("=")
    path, text = path.strip(), text.strip()
    place = f"--set {path}"
    if not equals:
        return Mistake(place, "it takes KEY=VALUE, such as --set policy.threshold=0.8 or --set train.lr=1e-5.", order)
    section, _, name = path.rpartition(".")
    if not section:
        if name in _NAMED:
            first = next(one.path for one in fields().values() if one.section == name)
            return Mistake(place, f"{name} is a section: name one of its fields, such as --set {first}=...", order)
        section = "policy" if ("policy", name) in fields() else TOP
    if section not in SECTIONS:
        return Mistake(place, _unknown_section(section), order)
    if (section, name) not in fields():
        return Mistake(place, unknown_field(section, name), order)
    one = fields()[section, name]
    try:
        return one, Given(from_text(one, text), place, order)
    except ConfigurationError as error:
        return Mistake(place, str(error), order)


def converted(one: RunFileField, value: Any) -> Any:
    """The value as its field's type. Raises ConfigurationError that says what the field takes."""
    try:
        made = msgspec.convert(value, one.kind)
    except msgspec.ValidationError:
        raise ConfigurationError(_refusal(one, value)) from None
    if isinstance(made, float) and not math.isfinite(made):
        raise ConfigurationError(_refusal(one, value))
    return made


def from_text(one: RunFileField, text: str) -> Any:
    """A value of the command line: TOML, or a text without quotes, or a list with commas."""
    if text == "null" and one.default is None:
        return None
    try:
        return converted(one, tomllib.loads(f"value = {text}")["value"])
    except (tomllib.TOMLDecodeError, ConfigurationError):
        plain = [part.strip() for part in text.split(",") if part.strip()] if one.is_list else text
    try:
        return msgspec.convert(plain, one.kind, strict=False)
    except msgspec.ValidationError:
        return converted(one, plain)


def arguments_of(one: RunFileField, value: Any) -> list[str]:
    """The value as arguments of the command that the field belongs to."""
    if isinstance(value, bool):
        return [one.flags[0]] if value else list(one.flags[1:])
    if isinstance(value, list | tuple):
        return [word for each in value for word in (one.flags[0], str(each))]
    return [one.flags[0], as_text(value)]


def parsed(section: str, words: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A part's parameters by name: all of them, and those that the arguments give.

    Raises ConfigurationError for arguments that the command would refuse.
    """
    try:
        context = command_of(section).make_context(section, list(words), help_option_names=[])
    except TyperException as error:
        name = (getattr(error, "option_name", None) or "").removeprefix("--").replace("-", "_")
        why = unknown_field(section, name) if name in secrets() else _sentence(error)
        raise ConfigurationError(f"`sedi {command_name(section)}` does not take these arguments: {why}") from None
    named = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name).name == "COMMANDLINE"
    }
    return dict(context.params), named


def as_text(value: Any) -> str:
    """A value as `--set` takes it: a text without quotes, a list with commas."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return as_toml(value) if isinstance(value, bool | int | float) else str(value)


def as_toml(value: Any) -> str:
    """A value as people write it in TOML: a whole number without a fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(part) for part in value)}]"
    return toml(value if isinstance(value, bool | int | float) else str(value))


def unknown_field(section: str, name: str) -> str:
    """What to do about a field that a section does not have."""
    where = f"[{section}]" if section else "the top of the file"
    if name in secrets():
        return (
            f"{name} is a secret, and a run file is kept and shared. Take it out, and export SEDI_{name.upper()}=... "
            "in the environment."
        )
    if (section, name) in NOT_HERE:
        return f"{name} is no field of {where}: {NOT_HERE[section, name]}."
    elsewhere = [part for part, key in fields() if key == name]
    if elsewhere:
        places = [f"[{part}]" if part else "the top of the file, before the first [section]" for part in elsewhere]
        there = " or ".join(places)
        return f"{where} has no field {name}; it belongs to {there}."
    own = [key for part, key in fields() if part == section]
    close = get_close_matches(name, own, 1, 0.7)
    phrase = name.replace("_", " ")
    if not close and len(phrase) > 3:
        close = [key for key in own if re.search(rf"\b{re.escape(phrase)}\b", fields()[section, key].about.lower())][:1]
    if close:
        return f"{where} has no field {name}. The nearest is {close[0]}; {_ALL}."
    far = get_close_matches(name, [key for _, key in fields()], 1, 0.7)
    nearest = next((f" The nearest is {one.path}." for one in fields().values() if one.name in far), "")
    return f"{where} has no field {name}.{nearest} Correct it or take it out; {_ALL}."


def _unknown_section(name: str) -> str:
    names = [section for section in SECTIONS if section]
    close = get_close_matches(name, names, 1)
    nearest = f" The nearest is [{close[0]}]." if close else ""
    return f"[{name}] is no section.{nearest} There are {', '.join(f'[{section}]' for section in names)}."


def _refusal(one: RunFileField, value: Any) -> str:
    shown = as_toml(value) if isinstance(value, str | int | float | list) else str(value)
    members = value if isinstance(value, list) else [value]
    wrong = next((part for part in members if isinstance(part, str) and part not in one.choices), None)
    names = [choice for choice in one.choices if isinstance(choice, str)]
    close = [] if wrong is None else get_close_matches(wrong, names, 1)
    nearest = f" The nearest is {as_toml(close[0])}." if close else ""
    return f"{one.path} is {shown}; it takes {one.takes()}.{nearest}"


def _sentence(error: TyperException) -> str:
    """What is wrong, without the words that belong to no option: one of them may be a secret."""
    text = error.format_message() if hasattr(error, "format_message") else error.message
    text = masked(re.sub(r"(unexpected extra argument)\S* \(.*\)", r"\1", text, flags=re.DOTALL))
    return text if text.endswith((".", "?")) else f"{text}."
