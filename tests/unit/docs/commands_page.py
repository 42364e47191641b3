"""Writes docs/commands.md from the command line itself: `python -m tests.unit.docs.commands_page`."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from sedi.main import build
from sedi.options import EXIT_CODES
from tests.unit.docs.pages import DOCS

PAGE = DOCS / "commands.md"

OPENING = """\
# Commands

This page is made from the program's own help: `make docs` writes it again. `sedi COMMAND --help` shows the same in a
terminal. Commands read settings from flags, `SEDI_...` variables and `sedi.toml` ([configuration](configuration.md)).
"""


def page() -> str:
    """The page: each command with what it does, examples and options."""
    group: Any = get_command(build())
    listed = list(_commands(group, "sedi"))
    table = "".join(f"| [`{name}`](#{_anchor(name)}) | {_first_sentence(command)} |\n" for name, command in listed)
    parts = [OPENING, f"{EXIT_CODES}\n", f"| command | does |\n|---|---|\n{table}"]
    return "\n".join(parts + [_section(name, command) for name, command in listed])


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _first_sentence(command: Any) -> str:
    sentence, point, _ = " ".join((command.help or "").split("\n\n")[0].split()).partition(". ")
    return _cell(sentence + point.strip())


def _section(name: str, command: Any) -> str:
    rows = "".join(f"| {_names(parameter)} | {_meaning(parameter)} |\n" for parameter in command.params)
    examples = "\n".join(_examples(command))
    text = _escaped((command.help or "").strip())
    return f"## `{name}`\n\n{text}\n\n```\n{examples}\n```\n\n| option | means |\n|---|---|\n{rows}"


def _examples(command: Any) -> list[str]:
    lines = (line.strip() for line in (command.epilog or "").splitlines())
    return [line for line in lines if line and not line.startswith(("Example:", "Exit codes:"))]


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = [*parameter.opts, *parameter.secondary_opts]
    metavar = f" {parameter.metavar}" if parameter.metavar else ""
    return ", ".join(f"`{option}{metavar}`" for option in names)


def _meaning(parameter: Any) -> str:
    default = parameter.default
    shown = default is not None and default is not False and not callable(default) and default != ()
    notes = [f"default `{default}`"] if shown and not parameter.required else []
    notes += ["required"] if parameter.required else []
    notes += [f"variable `{parameter.envvar}`"] if parameter.envvar else []
    return _cell(f"{parameter.help or ''} {'(' + ', '.join(notes) + ')' if notes else ''}".strip())


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("~", "\\~")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
