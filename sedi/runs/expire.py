"""`sedi runs expire`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError, RunAtWork
from sedi.commands import command
from sedi.options import CommonOptions, ExitCode
from sedi.runs.delete import delete_one, summary
from sedi.runs.options import DryRun, LocalFolder, Yes, confirm
from sedi.runs.show import look

if TYPE_CHECKING:
    from infra.runs.deletion import RunDeletion


@command("expire", "sedi runs expire --older-than 30d --dry-run", "sedi runs expire --older-than 30d --yes")
def expire(
    *,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than", metavar="SPAN", help="Age of the newest record: 30d, 12h, or a date that is past."
        ),
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

    before_ms = _before_ms(older_than, time.time())
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
    deleted: list[RunDeletion] = []
    if expired and not dry_run:
        if not yes and not confirm(f"Delete these {len(expired)} runs?"):
            notify("Nothing was deleted.")
            raise typer.Exit(ExitCode.FAILED)
        for each in list(expired):
            try:
                deleted.append(delete_one(settings, each.run, local_state=local_state))
            except RunAtWork as error:  # since the first look
                notify(str(error))
                expired.remove(each)
                at_work.append(each)
    if common.as_json:
        print_json({"dry_run": dry_run, "expired": expired, "at_work": at_work, "deleted": deleted})
    elif dry_run or not expired:
        none = "Each run that is that old is at work." if at_work else "No run is that old."
        what = f"{len(expired)} runs would be deleted: --dry-run." if expired else none
        notify(f"Nothing was deleted. {what}")


def _before_ms(text: str, now_s: float) -> int:
    """The time of --older-than, in ms. Raises ConfigurationError for one that is not past, and for a span in minutes or
    seconds: `6m` could be taken for months."""
    from sedi.times import timestamp_ms

    if text[:-1].isdecimal() and text[-1:] not in ("h", "d"):
        raise ConfigurationError(
            f"--older-than {text!r} is not in hours or days. Give a span such as 12h or 30d, or a date such as "
            "2026-01-31."
        )
    before_ms = timestamp_ms(text, now_s, "--older-than")
    if before_ms > now_s * 1000:
        raise ConfigurationError(
            f"--older-than {text!r} is in the future. Give a span such as 30d, or a date that is past."
        )
    return before_ms
