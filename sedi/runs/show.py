"""`sedi runs show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.errors import RunError
from sedi.commands import command
from sedi.options import CommonOptions
from sedi.runs.options import RunName

if TYPE_CHECKING:
    from infra.settings import Settings
    from sedi.runs.found import RunDetails


@command("show", "sedi runs show demo", "sedi runs show demo --json")
def show(run: RunName, *, common: CommonOptions) -> None:
    """One run: its topics with records, bytes and times, who uses it, and what this machine keeps of it."""
    from sedi.output import print_result
    from sedi.runs.tables import show_run

    settings = common.cluster()
    found = look(settings, [run])[0]
    if not found.exists:
        raise no_such_run(settings, run)
    print_result(found, show_run, as_json=common.as_json)


def look(settings: Settings, runs: list[str]) -> list[RunDetails]:
    """The details of runs, with progress while evaluations are read."""
    from sedi.reading_progress import log_progress
    from sedi.runs.found import run_details

    with log_progress("Looking for evaluations of their models"):
        return run_details(settings, runs)


def no_such_run(settings: Settings, run: str) -> RunError:
    return RunError(
        f"Run {run!r} is not on {settings.bootstrap_servers}: it has neither topics nor consumer groups there. "
        "`sedi runs list` lists the runs."
    )
