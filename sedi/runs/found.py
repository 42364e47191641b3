"""What is known of the runs of a cluster: their extent, who works on them, and what depends on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from infra.cluster.admin import administrator
from infra.log.source import KafkaSource
from infra.runs.extent import RunExtent, end_offsets, run_extent, run_extents
from infra.runs.groups import RunGroup, groups_of, is_of, own_groups
from infra.runs.local_state import LocalState, local_state
from infra.runs.references import evaluations
from infra.settings import Settings
from schemas.errors import ClusterRefused
from schemas.events import RunStarted, RunStopped
from schemas.topics import check_run_name
from sedi.runs.processes import LocalProcess, local_processes

RECENT_S = 60.0
"""A run that was not stopped and has a record younger than this counts as being written to."""

_MOVE_S = 1.0


class ListedRun(RunExtent, frozen=True, kw_only=True):
    """A run in a list, with its consumer groups and the processes of this machine that work on it."""

    groups: tuple[RunGroup, ...]
    processes: tuple[LocalProcess, ...]


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and what uses it.

    extent        None: the cluster has no topic of it (any more)
    groups        its own consumer groups, and others that read its topics
    evaluated_in  other runs on the cluster that evaluated a model it trained
    at_work       why it counts as being written to, in words; empty when it does not
    """

    run: str
    extent: RunExtent | None
    groups: tuple[RunGroup, ...]
    processes: tuple[LocalProcess, ...]
    evaluated_in: tuple[str, ...]
    local: LocalState
    at_work: tuple[str, ...]

    @property
    def exists(self) -> bool:
        """Whether the cluster has anything of it."""
        return self.extent is not None or any(group.own for group in self.groups)


def listed_runs(settings: Settings) -> list[ListedRun]:
    """All runs on the cluster that the user may see, by name."""
    with administrator(settings) as admin:
        extents, groups = run_extents(admin), own_groups(admin)
    processes = local_processes(settings.bootstrap_servers)
    return [
        ListedRun(
            **{name: getattr(extent, name) for name in RunExtent.__struct_fields__},
            groups=tuple(group for group in groups if is_of(extent.run, group)),
            processes=tuple(process for process in processes if process.run == extent.run),
        )
        for extent in extents
    ]


def run_details(
    settings: Settings,
    runs: Sequence[str],
    progress: Callable[[int], None] = lambda _: None,
    *,
    references: bool = True,
) -> list[RunDetails]:
    """Runs with what uses them, in their order. Takes a second and a little, in which it watches whether they grow.

    Without `references`, `evaluated_in` is empty: the evaluations of the other runs are not read.
    Raises ConfigurationError for an invalid name, ClusterRefused for a run that the user may not see.
    """
    for run in runs:
        check_run_name(run)
    with administrator(settings) as admin:
        extents = {run: run_extent(settings, admin, run) for run in runs}
        groups = {run: tuple(groups_of(admin, run)) for run in runs}
        known = [(run, extent) for run, extent in extents.items() if extent is not None]
        before = {run: end_offsets(admin, run, extent) for run, extent in known}
        begun = time.monotonic()
        evaluated = evaluations(settings, run_extents(admin) if known and references else (), progress)
        time.sleep(max(0.0, begun + _MOVE_S - time.monotonic()))
        moved = {run for run, extent in known if end_offsets(admin, run, extent) != before[run]}
    processes = local_processes(settings.bootstrap_servers)
    found = []
    for run in runs:
        extent, own = extents[run], tuple(process for process in processes if process.run == run)
        found.append(
            RunDetails(
                run=run,
                extent=extent,
                groups=groups[run],
                processes=own,
                evaluated_in=evaluated.get(run, ()),
                local=local_state(settings, run),
                at_work=signs_of_work(
                    groups[run], own, moved=run in moved, quiet_s=_quiet_s(settings, extent, time.time())
                ),
            )
        )
    return found


def signs_of_work(
    groups: Sequence[RunGroup], processes: Sequence[LocalProcess], *, moved: bool, quiet_s: float | None
) -> tuple[str, ...]:
    """Why a run counts as being written to, in words.

    `quiet_s`: seconds since its newest record; None when that says nothing: there is none, or it was stopped.
    """
    signs = [f"{members(group)} in its group {group.name}" for group in groups if group.own and group.live]
    signs += [
        f"`sedi {process.command}` works on it here (pid {process.pid})" for process in processes if process.writes
    ]
    if moved:
        signs.append("records were written to it just now")
    elif quiet_s is not None and quiet_s < RECENT_S:
        signs.append(f"its newest record is {max(0.0, quiet_s):.0f} s old, and it was not stopped")
    return tuple(signs)


def members(group: RunGroup) -> str:
    """The members of a group, with their hosts, for people."""
    if not group.members:
        return "a member is at work"
    hosts = ", ".join(sorted({member.host for member in group.members}))
    return f"{len(group.members)} at work from {hosts}"


def users(groups: Sequence[RunGroup], processes: Sequence[LocalProcess]) -> Mapping[str, str]:
    """Who is at work on a run, by name: live groups and processes of this machine, with where they are."""
    live = {f"group {group.name}": members(group) for group in groups if group.live}
    return live | {f"sedi {process.command}": f"pid {process.pid} of this machine" for process in processes}


def _quiet_s(settings: Settings, extent: RunExtent | None, now_s: float) -> float | None:
    if extent is None or extent.last_ms is None:
        return None
    quiet_s = now_s - extent.last_ms / 1000
    return None if quiet_s >= RECENT_S or _was_stopped(settings, extent) else quiet_s


def _was_stopped(settings: Settings, extent: RunExtent) -> bool:
    """Whether the run was stopped after its last start; no when the user may not read that."""
    if "run" not in {topic.name for topic in extent.topics}:
        return False
    stopped = False
    try:
        with KafkaSource(settings, extent.run).open(["run"]) as reading:
            for record in reading.rest():
                if isinstance(record.event, RunStarted | RunStopped):
                    stopped = isinstance(record.event, RunStopped)
    except ClusterRefused:
        return False
    return stopped
