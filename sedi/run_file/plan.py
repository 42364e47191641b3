"""Reads what describes a run, a TOML file with `--set` and flags over it, and checks all of it before anything starts.

The file holds fields of the run at its top and the sections [policy], [generate], [documents], [train], [judge] and
[settings]; `sedi.run_file.fields` knows every field. Every mistake is collected with its place, and all are reported at
once.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from infra.masking import masked
from infra.settings import Settings, load
from schemas.errors import ConfigurationError
from sedi.run_file.checks import combinations
from sedi.run_file.fields import BUDGET, COMMANDS, NOT_HERE, TOP, RunFileField, command_of, fields
from sedi.run_file.given import Given, Mistake
from sedi.run_file.text import shipped_presets
from sedi.run_file.values import FileValues, arguments_of, as_text, as_toml, converted, from_text, parsed, read_pair
from sedi.run_options import RunOptions

_SECRET_IN_URL = (
    "base_url holds a secret, and a run file is kept and shared. Take it out, and export SEDI_BASE_URL=... in the "
    "environment; a key of its own is SEDI_API_KEY."
)


@dataclass(frozen=True)
class RunPlan:
    """A run that was checked whole.

    variables   the file's [settings] as SEDI_... variables, for parts that are started elsewhere
    hints       lines about a form of the command line or the file for which there is a better one
    """

    options: RunOptions
    settings: Settings
    variables: Mapping[str, str]
    hints: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        return self.options.run


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Where a run is described.

    file, preset       a run file; or the name of one of ours, or a file again
    pairs              `--set`: `section.field=value`, or a field of the policy or of the file's top by its name alone
    flags              values of single flags by flag and field, such as `("--windows", "windows")`; None: not given
    arguments          `--generate`, `--train`: the older form, arguments of a part one by one
    bootstrap_servers, state_dir   as flags; they win over everything
    here               whether the parts start on this machine, so that its files and settings are theirs
    """

    file: str | None = None
    preset: str | None = None
    pairs: Sequence[str] = ()
    flags: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    bootstrap_servers: str | None = None
    state_dir: Path | None = None
    here: bool = True


@dataclass
class _Found:
    """What was read, before it is checked together."""

    source: FileValues
    given: dict[tuple[str, str], Given]
    arguments: dict[str, list[str]]
    mistakes: list[Mistake]


def plan_run(request: RunRequest) -> RunPlan:
    """The run that is described. Nothing is started and nothing connected to.

    Raises ConfigurationError that lists every mistake with its place.
    """
    flags: dict[str, Any] = {"bootstrap_servers": request.bootstrap_servers, "state_dir": request.state_dir}
    load(**flags)  # what is wrong in the environment or in sedi.toml is not the file's
    found = _read(request)
    hints, wrong = _lists(found, request)
    chosen = _settings(found)
    given_flags = {name: value for name, value in flags.items() if value is not None}
    settings = load(**{**chosen, **given_flags})
    options = _options(found)
    mistakes = [*found.mistakes, *wrong]
    if not wrong:
        mistakes += combinations(options, settings, found.given, found.source.sections, here=request.here)
    if mistakes:
        raise ConfigurationError(_listed(mistakes))
    variables = {f"SEDI_{name.upper()}": str(value) for name, value in chosen.items()}
    return RunPlan(options, settings, variables, tuple(hints))


def values_of(request: RunRequest) -> dict[tuple[str, str], Any]:
    """The values that a file or a preset sets. Raises ConfigurationError that lists every mistake in them."""
    found = _read(request)
    if found.mistakes:
        raise ConfigurationError(_listed(found.mistakes))
    values = {key: each.value for key, each in found.given.items()}
    for section, words in found.arguments.items():
        values |= {(one.section, one.name): value for one, value in _fields_of(section, words)}
    return values


def _read(request: RunRequest) -> _Found:
    source = _source(request)
    given, mistakes = dict(source.given), list(source.mistakes)
    for at, pair in enumerate(request.pairs):
        read = read_pair(pair, (1, at, 0))
        if isinstance(read, Mistake):
            mistakes.append(read)
        else:
            given[read[0].section, read[0].name] = read[1]
    for at, ((flag, path), value) in enumerate(request.flags.items()):
        section, _, name = path.rpartition(".")
        if value is None:
            continue
        try:
            given[section, name] = Given(converted(fields()[section, name], value), flag, (2, at, 0))
        except ConfigurationError as error:
            mistakes.append(Mistake(flag, str(error), (2, at, 0)))
    given = {key: each for key, each in given.items() if each.value is not None}
    url = ("settings", "base_url")
    for each in (values[url] for values in (source.given, given) if url in values):
        if masked(each.value) != each.value:
            mistakes.append(Mistake(each.place, _SECRET_IN_URL, each.order))
            given.pop(url, None)
    return _Found(source, given, {section: list(words) for section, words in source.arguments.items()}, mistakes)


def _source(request: RunRequest) -> FileValues:
    """What the file or the preset holds."""
    if request.file is not None and request.preset is not None:
        raise ConfigurationError(
            f"Both {request.file} and --preset {request.preset} describe the run. Give one of them; "
            f"`sedi init --preset {request.preset} FILE` writes a file that begins with the preset."
        )
    name = request.preset if request.file is None else request.file
    if name is None:
        return FileValues("the command line")
    shipped = shipped_presets()
    if request.preset in shipped:
        return FileValues.of(shipped[request.preset].read_text(encoding="utf-8"), f"preset {name}")
    if not Path(name).is_file():
        what = f"There is no file {name}" if request.preset is None else f"There is no preset {name!r}: no such file"
        raise ConfigurationError(f"{what}. `sedi init FILE` writes one; our presets are {', '.join(shipped)}.")
    try:
        return FileValues.of(Path(name).read_text(encoding="utf-8-sig"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name} cannot be read as text in UTF-8: {error}. Correct it.") from error


def _options(found: _Found) -> RunOptions:
    top = {name: each.value for (section, name), each in found.given.items() if section == TOP}
    policy = {name: each.value for (section, name), each in found.given.items() if section == "policy"}
    parts = {section: (*_words(section, found), *found.arguments.get(section, ())) for section in COMMANDS}
    return msgspec.convert({**top, "policy": policy, **parts}, RunOptions)


def _words(section: str, found: _Found) -> list[str]:
    named = [one for key, one in fields().items() if key in found.given and one.section == section]
    return [word for one in named for word in arguments_of(one, found.given[section, one.name].value)]


def _lists(found: _Found, request: RunRequest) -> tuple[list[str], list[Mistake]]:
    """Hints and mistakes of the arguments that are given one by one; those of flags come after those of the file."""
    hints: list[str] = []
    wrong = []
    of_file = [(section, words, found.source.sections[section]) for section, words in found.arguments.items()]
    of_flags = [
        (section, words, Given(words, f"--{section}", (3, 0, 0))) for section, words in request.arguments.items()
    ]
    for section, words, at in (*of_file, *of_flags):
        try:
            named = _fields_of(section, words)
        except ConfigurationError as error:
            wrong.append(Mistake(at.place, str(error), at.order))
            continue
        if named:
            hints.append(_hint(section, named, found.source.label if at.is_of_file else ""))
    for section, words, _ in of_flags:
        found.arguments[section] = [*found.arguments.get(section, ()), *words]
    return hints, wrong


def _settings(found: _Found) -> dict[str, Any]:
    """The good settings of the file that no variable of the environment wins over, and those of `--set`."""
    chosen = {}
    for (section, name), each in found.given.items():
        if section != "settings":
            continue
        if each.is_of_file and f"SEDI_{name.upper()}" in os.environ:
            continue
        try:
            Settings(**{name: each.value})
            chosen[name] = each.value
        except ValidationError as error:
            why = "; ".join(str(one["msg"]).removeprefix("Value error, ").removesuffix(".") for one in error.errors())
            found.mistakes.append(Mistake(each.place, f"settings.{name}: {why}.", each.order))
    return chosen


def _hint(section: str, named: Sequence[tuple[RunFileField, Any]], label: str) -> str:
    """The better form of arguments that were given one by one."""
    pairs = shlex.join(part for one, value in named for part in ("--set", f"{one.path}={as_text(value)}"))
    lines = ", ".join(f"{one.path} = {as_toml(value)}" for one, value in named)
    old = f"{label}: {section} = [...]" if label else f"--{section}"
    return f"{old} goes on working. The same: {pairs}; in a run file (`sedi init FILE`): {lines}"


def _fields_of(section: str, words: Sequence[str]) -> list[tuple[RunFileField, Any]]:
    """The fields of a run file that arguments of a part come to, and their values."""
    _, named = parsed(section, words)
    flags = {parameter.name: parameter.opts[0] for parameter in command_of(section).params}
    found = []
    for parameter, value in named.items():
        name = flags[parameter].removeprefix("--").replace("-", "_")
        if NOT_HERE.get((section, name), BUDGET) != BUDGET:
            raise ConfigurationError(f"--{name.replace('_', '-')} does not belong here: {NOT_HERE[section, name]}.")
        place = TOP if (section, name) in NOT_HERE else section
        if (place, name) in fields():
            one = fields()[place, name]
            found.append((one, value if isinstance(value, list | tuple) else from_text(one, as_text(value))))
    return found


def _listed(mistakes: Sequence[Mistake]) -> str:
    lines = [f"{each.place}: {each.text}" for each in sorted(set(mistakes), key=lambda each: each.order)]
    if len(lines) == 1:
        return f"{lines[0]} Nothing was started."
    return f"{len(lines)} mistakes, and nothing was started:\n" + "\n".join(f"  {line}" for line in lines)
