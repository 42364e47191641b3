"""`sedi init`: a run file with every field, its default and a sentence."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigurationError
from sedi.commands import command
from sedi.options import DEFAULT_RUN, AsJson

_STDOUT = "-"


@command("init", "sedi init mine.toml", "sedi init --preset demo mine.toml", "sedi init - | less")
def init_command(
    file: Annotated[str, typer.Argument(help="The file to write, or `-` for standard output.")],
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="Begin with `demo`, `self-instruct`, `goliath`, or a run file of your own."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run file: policy, budgets, prices, how the LLM is asked, the training, the judge and the settings.

    Each field has a sentence, what it takes and its default. `sedi run FILE` and `sedi configure FILE` take it.
    """
    from sedi.output import print_json
    from sedi.run_file.plan import RunRequest, values_of
    from sedi.run_file.text import run_file_text

    given = values_of(RunRequest(preset=preset))
    path = Path(file)
    run = _run_name(path)
    if file != _STDOUT and ("", "run") not in given and run != DEFAULT_RUN:
        given = {("", "run"): run, **given}
    text = run_file_text(given, "FILE" if file == _STDOUT else file)
    if file != _STDOUT:
        _write(path, text, force=force)
    run = str(given.get(("", "run"), DEFAULT_RUN))
    if as_json:
        print_json({"file": file, "run": run, "preset": preset, **({"text": text} if file == _STDOUT else {})})
    elif file == _STDOUT:
        sys.stdout.write(text)
    else:
        typer.echo(f"{file} describes run {run}. Edit it, then: sedi run {shlex.quote(file)}")


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.name == Path(os.environ.get("SEDI_CONFIG", "sedi.toml")).name:
        raise ConfigurationError(
            f"{path} is where every command looks for settings, which a run file is not. Choose another name."
        )
    try:
        with path.open("w" if force else "x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there. Choose another name, or overwrite it with --force.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}. Choose another folder.") from error


def _run_name(path: Path) -> str:
    """The file's name as a run's; the default one where it cannot be made into one."""
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:63]
    return name or DEFAULT_RUN
