"""Options and arguments that the sub-commands of `sedi runs` share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from schemas.errors import ConfigurationError
from schemas.topics import check_run_name

RunName = Annotated[str, typer.Argument(metavar="RUN", callback=check_run_name, help="Name of the run.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")]
LocalFolder = Annotated[
    bool,
    typer.Option("--local-state", help="Also what state_dir has of it: checkpoints, models, logs, bookmarks, page."),
]


def confirm(question: str) -> bool:
    """Ask on standard error; anything but `y` or `yes` is a no. Raises ConfigurationError where nobody can answer."""
    from infra.visible import visible

    if not sys.stdin.isatty():
        raise ConfigurationError("Nobody can be asked here: standard input is not a terminal. Give --yes to delete.")
    sys.stderr.write(f"{visible(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
