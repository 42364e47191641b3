"""`sedi runs expire`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sedi.commands import command
from sedi.options import CommonOptions, ExitCode
from sedi.runs.delete import delete_one, summary
from sedi.runs.options import DryRun, LocalFolder, Yes, confirm
from sedi.runs.show import look


@command("expire", "sedi runs expire --older-than 30d --dry-run", "sedi runs expire --older-than 30d --yes")
def expire(
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="SPAN", help="Age of the newest record: 30d, 12h, or a date.")
    ],
    dry_run: DryRun = False,
    yes: Yes = False,
    local_state: LocalFolder = False,
    common: CommonOptions,
) -> None:
    """Delete the runs whose newest record is older than a span, as `sedi runs delete` does, after asking once.

    A run that somebody is at work on is left out, and shown; so is one without any record, whose age is not known. A
    restored run is as old as its records.
    """
    from sedi.output import notify, print_json
    from sedi.runs.found import listed_runs
    from sedi.times import timestamp_ms

    before_ms = timestamp_ms(older_than, time.time(), "--older-than")
    settings = common.cluster()
    old = [each.run for each in listed_runs(settings) if each.last_ms is not None and each.last_ms < before_ms]
    found = look(settings, old) if old else []
    expired = [each for each in found if not each.at_work]
    at_work = [each for each in found if each.at_work]
    if not common.as_json or not (yes or dry_run):
        for each in expired:
            for line in summary(each, local_state=local_state):
                notify(line)
        for each in at_work:
            notify(f"Run {each.run} is left out: {'; '.join(each.at_work)}.")
    deleted = []
    if expired and not dry_run:
        if not yes and not confirm(f"Delete these {len(expired)} runs?"):
            notify("Nothing was deleted.")
            raise typer.Exit(ExitCode.FAILED)
        deleted = [delete_one(settings, each.run, local_state=local_state) for each in expired]
    if common.as_json:
        print_json({"dry_run": dry_run, "expired": expired, "at_work": at_work, "deleted": deleted})
    elif dry_run or not expired:
        what = f"{len(expired)} runs would be deleted: --dry-run." if expired else "No run is that old."
        notify(f"Nothing was deleted. {what}")
