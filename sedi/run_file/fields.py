"""Every field that a run file may hold, taken from the places that define it, so that the file cannot drift from them.

    at the top     `sedi.run_options.RunOptions`
    [policy]       `schemas.policy.Policy`
    [generate]     the flags of `sedi generate` for the producer from seeds, [documents] those for that from documents
    [train]        the flags of `sedi train`, [judge] those of `sedi judge`, [answerer] those of `sedi answer`
    [settings]     `infra.settings.Settings`, without secrets

Sentences come from there too: a class's docstring, a flag's help, a setting's description.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import typer
from pydantic import SecretStr

from schemas.json_schema import documented_fields
from sedi.document_options import OF_DOCUMENTS, OF_SEEDS

TOP = ""
COMMANDS = ("generate", "documents", "answerer", "train", "judge")
SECTIONS = {
    TOP: "What the run is, and when it ends.",
    "policy": "What decides: fixed for the run with its first start, and written to its log.",
    "generate": "How the LLM is asked: the flags of `sedi generate`.",
    "documents": "How instructions are made from documents, when `producer` is goliath or both: the flags of "
    "`sedi generate --producer goliath`.",
    "answerer": "How the LLM answers kept instructions, when `answer` is kept: the flags of `sedi answer`; where they "
    "are not set, those of [generate].",
    "train": "How the model is trained: the flags of `sedi train`.",
    "judge": "How an LLM scores the kept rows, when `judging` is true: the flags of `sedi judge`.",
    "settings": "Where and with what this run runs, prices too. SEDI_... variables win over it, and it wins over "
    "sedi.toml. Secrets do not belong here: export SEDI_API_KEY=...",
}

BUDGET = "it is a budget of the run: write it at the top of the file, before the first [section]"
_LIVE = "a run trains its own rows while they are made; for others there is `sedi train --offline`"
_FILE_IS = "it is the run's: write `run` at the top of the file"
NOT_HERE: dict[tuple[str, str], str] = {
    **{
        (section, name): BUDGET
        for section in ("generate", "documents")
        for name in ("max_kept", "max_candidates", "max_calls", "max_tokens", "max_usd")
    },
    **{("generate", name): "it is about documents: write it in [documents]" for name in OF_DOCUMENTS},
    **{("documents", name): "it is about seeds: write it in [generate]" for name in OF_SEEDS},
    **{
        (section, "producer"): "write `producer` at the top of the file, before the first [section]"
        for section in ("generate", "documents")
    },
    **{("train", name): _LIVE for name in ("offline", "from_files", "data")},
    ("train", "task"): "an instruction generator is trained on rows that exist: `sedi train --task instruct --offline`",
    ("train", "batch_size"): "write it in [policy]: a live training has the run's own batch_size",
    ("answerer", "share"): "a run's answerer works on all clusters: start others by hand, with `sedi answer --share`",
    ("answerer", "until_end"): "the run ends its answerer itself, once every kept row is answered",
    ("judge", "until_end"): "the run ends its judge itself, once every kept row is judged",
    **{(section, "run"): _FILE_IS for section in COMMANDS},
    **{
        (section, name): f"write it in [settings], or give --{name.replace('_', '-')}"
        for section in COMMANDS
        for name in ("bootstrap_servers", "state_dir")
    },
    **{
        (section, "metrics_port"): "write it in [settings]: each part of the run takes a port that is free"
        for section in COMMANDS
    },
    **{
        (section, "json"): "what the parts of a run print goes into files; `sedi run` has --json"
        for section in COMMANDS
    },
}
"""Flags that exist and do not belong into their section, and why."""

_NUMBER_OR_NONE = {("generate", "max_ahead"): int, ("documents", "max_ahead"): int, ("train", "borrow_after"): float}
_BOUNDS = ("ge", "gt", "le", "lt")
_BOUND_WORDS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
_TYPE_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class RunFileField:
    """One field of a run file.

    kind      the type of its value, as msgspec converts it; None is not among it
    default   None: it is not set by default
    about     a sentence
    flags     of the command it belongs to: what turns it on or takes its value, and what turns it off
    """

    section: str
    name: str
    kind: Any
    default: Any
    about: str
    flags: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values that it may have, if they are few; of a list those of its members."""
        kind = _bare(self.kind)
        if get_origin(kind) in (list, tuple):
            kind = get_args(kind)[0]
        return get_args(kind) if get_origin(kind) is Literal else ()

    @property
    def is_list(self) -> bool:
        return get_origin(_bare(self.kind)) in (list, tuple)

    def takes(self) -> str:
        """What it takes, for people: `a whole number, at least 1`."""
        return _words(self.kind)


@cache
def fields() -> Mapping[tuple[str, str], RunFileField]:
    """Every field by section and name, in the order in which a file is written."""
    from schemas.policy import Policy
    from sedi.run_options import RunOptions

    made = [
        *_of_struct(TOP, RunOptions),
        *_of_struct("policy", Policy),
        *(field for name in COMMANDS for field in _flags(name)),
        *_settings(),
    ]
    return {(field.section, field.name): field for field in made}


@cache
def secrets() -> frozenset[str]:
    """Names of the settings that never belong into a file."""
    from infra.settings import Settings

    return frozenset(name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation))


@cache
def command_of(section: str) -> Any:
    """The command whose flags a section holds, as Typer parses it."""
    return typer.main.get_command(_app(section))


def _of_struct(section: str, kind: type[msgspec.Struct]) -> list[RunFileField]:
    """The fields of a struct that are no sections themselves."""
    about = documented_fields(kind)
    return [
        RunFileField(section, field.name, _without_none(field.type), field.default, about[field.name])
        for field in msgspec.structs.fields(kind)
        if field.name not in SECTIONS
    ]


def _flags(section: str) -> list[RunFileField]:
    command = command_of(section)
    function = _app(section).registered_commands[0].callback
    assert function is not None
    hints = get_type_hints(function, include_extras=True)
    literals = _literals(section)
    made = []
    for parameter in command.params:
        name = parameter.opts[0].removeprefix("--").replace("-", "_")
        if (section, name) in NOT_HERE or parameter.name not in hints:
            continue
        plain, info = get_args(hints[parameter.name])[:2]
        kind = _without_none(literals.get(parameter.name, plain))
        bounds = {key: getattr(info, bound) for key, bound in (("ge", "min"), ("le", "max"))}
        given = {key: value for key, value in bounds.items() if value is not None}
        if given and get_origin(kind) is not Literal:
            kind = Annotated[kind, msgspec.Meta(**given)]
        if (section, name) in _NUMBER_OR_NONE:
            kind = _NUMBER_OR_NONE[section, name] | Literal["none"]
        default = inspect.signature(function).parameters[parameter.name].default
        flags = (parameter.opts[0], *parameter.secondary_opts)
        made.append(RunFileField(section, name, kind, default, parameter.help or "", flags))
    return made


def _settings() -> list[RunFileField]:
    from infra.settings import Settings

    made = []
    for name, field in Settings.model_fields.items():
        if name in secrets():
            continue
        kind = _without_none(field.annotation)
        bounds = {key: getattr(rule, key) for rule in field.metadata for key in _BOUNDS if hasattr(rule, key)}
        if bounds:
            kind = Annotated[kind, msgspec.Meta(**bounds)]
        default = str(field.default) if isinstance(field.default, Path) else field.default
        made.append(RunFileField("settings", name, kind, default, field.description or ""))
    return made


def _app(section: str) -> typer.Typer:
    from sedi.answer import answer_command
    from sedi.generate import generate_command
    from sedi.judge import judge_command
    from sedi.train import train_command

    app = typer.Typer(add_completion=False)
    commands = {each.name: each for each in (generate_command, answer_command, train_command, judge_command)}
    commands[command_name(section)].register(app)
    return app


def command_name(section: str) -> str:
    """The name of the command whose flags a section holds."""
    return {"documents": "generate", "answerer": "answer"}.get(section, section)


def _literals(section: str) -> dict[str, Any]:
    """The values that text flags of a command may have, from the options that they become."""
    from consumers.trainer.options import TrainOptions
    from infra.settings import Settings
    from producers.documents.scoring.options import ScorerOptions
    from producers.generate.style_factory import StyleInUse, StyleName
    from producers.prompts.judge import RubricName

    backend = {"backend": Settings.model_fields["backend"].annotation}
    found = {
        "generate": {**get_type_hints(StyleInUse), **backend},
        "documents": {**{f"scorer_{name}": kind for name, kind in get_type_hints(ScorerOptions).items()}, **backend},
        "answerer": {"style": StyleName, **backend},
        "train": get_type_hints(TrainOptions),
        "judge": {"rubric": RubricName, **backend},
    }[section]
    return {name: kind for name, kind in found.items() if get_origin(_without_none(kind)) is Literal}


def _without_none(kind: Any) -> Any:
    """The type without None, and with texts for paths."""
    if get_origin(kind) is Annotated:
        return kind
    if get_origin(kind) in (Union, UnionType):
        kind = reduce(or_, (part for part in get_args(kind) if part is not NoneType))
    return str if kind is Path else kind


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _words(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        bounds = [
            f"{_BOUND_WORDS[key]} {getattr(meta, key)}"
            for meta in parts[1:]
            for key in _BOUNDS
            if getattr(meta, key, None) is not None
        ]
        return ", ".join([_words(parts[0]), *bounds])
    if origin in (Union, UnionType):
        return " or ".join(_words(part) for part in parts)
    if origin is Literal:
        values = [f'"{part}"' if isinstance(part, str) else str(part) for part in parts]
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if origin in (list, tuple):
        members = _words(parts[0])
        return "a list of texts" if members == "a text" else f"a list of any of {members.removeprefix('one of ')}"
    return _TYPE_WORDS[kind]
