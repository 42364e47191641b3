"""`sedi runs delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import RunAtWork
from sedi.commands import command
from sedi.options import CommonOptions, ExitCode
from sedi.runs.options import DryRun, LocalFolder, RunName, Yes, confirm
from sedi.runs.show import look, no_such_run

if TYPE_CHECKING:
    from infra.runs.deletion import RunDeletion
    from infra.settings import Settings
    from sedi.runs.found import RunDetails


@command(
    "delete", "sedi runs delete demo", "sedi runs delete demo --local-state --yes", "sedi runs delete demo --dry-run"
)
def delete(
    run: RunName,
    *,
    yes: Yes = False,
    dry_run: DryRun = False,
    local_state: LocalFolder = False,
    force: Annotated[bool, typer.Option("--force", help="Also a run that is being written to.")] = False,
    common: CommonOptions,
) -> None:
    """Delete a run from the cluster: its topics, dead letters, the worker's tables and its consumer groups.

    Shows first what that is and what else uses it, and asks. Archives, exports and, without --local-state, the run's
    folder on this machine stay. `sedi archive` before it keeps the run as files.

    A run that is being written to is refused: a member of its groups or a `sedi` process of this machine is at work, it
    grows, or it has a record of the last minute and was not stopped. A call that was interrupted is finished by the
    same command. Brokers free the disk about a minute later. Ends with 4, having deleted nothing, when the right to
    Delete one of its topics or groups is missing.
    """
    from sedi.output import notify, print_json

    settings = common.cluster()
    found = look(settings, [run])[0]
    if not found.exists and not (local_state and found.local.kept):
        raise no_such_run(settings, run)
    if not common.as_json or not (yes or dry_run):
        for line in summary(found, local_state=local_state):
            notify(line)
    if found.at_work and not force:
        raise at_work_error(run, found.at_work)
    deleted: RunDeletion | None = None
    if not dry_run:
        if not yes and not confirm(f"Delete run {run}?"):
            notify("Nothing was deleted.")
            raise typer.Exit(ExitCode.FAILED)
        deleted = delete_one(settings, run, local_state=local_state, force=force)
    if common.as_json:
        print_json({"run": run, "dry_run": dry_run, "details": found, "deleted": deleted, "local_state": local_state})
    elif dry_run:
        notify("Nothing was deleted: --dry-run.")
    if deleted is not None and deleted.groups_left:
        notify(f"Left, with members at work: {', '.join(deleted.groups_left)}. Stop them, then give the command again.")
        raise typer.Exit(ExitCode.FAILED)


def at_work_error(run: str, signs: tuple[str, ...]) -> RunAtWork:
    return RunAtWork(
        f"Run {run!r} is being written to: {'; '.join(signs)}. Nothing of it was deleted. Stop it first, or delete it "
        "anyway with `sedi runs delete --force`."
    )


def delete_one(settings: Settings, run: str, *, local_state: bool, force: bool = False) -> RunDeletion:
    """Delete a run, and what this machine keeps of it if asked, and say so on standard error.

    Looks first whether it is being written to by now, as it may since somebody was asked. Raises RunAtWork then, unless
    `force`.
    """
    from infra.runs.deletion import delete_run
    from infra.runs.local_state import check_folder, remove_local_state
    from sedi.output import notify
    from sedi.reading_progress import counting_progress
    from sedi.runs.found import run_details

    if local_state:
        check_folder(settings, run)
    if not force:
        [now] = run_details(settings, [run], references=False)
        if now.at_work:
            raise at_work_error(run, now.at_work)
    try:
        with counting_progress(f"Deleting run {run}", "topics") as progress:
            deleted = delete_run(settings, run, progress)
        if local_state:
            remove_local_state(settings, run)
    except KeyboardInterrupt:
        notify(f"Deleting run {run} may be incomplete. `sedi runs delete {run}` finishes it.")
        raise
    also = " and what this machine kept of it" if local_state else ""
    notify(f"Deleted of run {run}: {len(deleted.topics)} topics, {len(deleted.groups)} consumer groups{also}.")
    return deleted


def summary(found: RunDetails, *, local_state: bool) -> list[str]:
    """What is deleted with a run, what uses it, and what stays, as lines for people."""
    from sedi.output import clock
    from sedi.runs.found import members
    from sedi.runs.tables import local_line, size

    extent = found.extent
    own = [group.name for group in found.groups if group.own]
    lines = [f"Run {found.run}:"]
    if extent is not None:
        lines.append(
            f"  {extent.records:,} records in {len(extent.topics)} topics, {size(extent.bytes)} on the brokers, "
            f"from {clock(extent.first_ms)} to {clock(extent.last_ms)}"
        )
        lines += [f"  stays, not of this program: topic {name}" for name in extent.unknown]
    lines += [f"  consumer group {name}" for name in own]
    lines += [
        f"  reads it: group {group.name}, {members(group) if group.live else 'nobody of it is at work'}"
        for group in found.groups
        if not group.own
    ]
    lines += [
        f"  reads it: `sedi {process.command}` here (pid {process.pid})"
        for process in found.processes
        if not process.writes
    ]
    lines += [f"  run {other} has evaluations of a model that it trained; they stay" for other in found.evaluated_in]
    if found.local.kept:
        lines.append(f"  {'on this machine' if local_state else 'stays on this machine'}: {local_line(found)}")
    return lines
