"""Read a whole run into its fold, without a consumer group and without changing anything.

A reading covers every effect together with its cause (`infra.log.source`), so a running run can be checked at any time.
With a folder for snapshots (`infra.snapshots`) it goes on from the last one, and leaves another where that pays.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from consumers.folds.run_fold import RunFold
from infra.log.archive import ArchiveSource
from infra.log.run import configuration
from infra.log.source import TOPICS, Source, dead_letter_topics
from infra.snapshots.coverage import identity_of
from infra.snapshots.files import Notify, SnapshotFile, is_due
from infra.snapshots.following import StateForm, catch_up, reading_back
from infra.snapshots.own_data import program_digest, to_bytes

FOLDED = (*TOPICS, *dead_letter_topics())
"""The topics that a fold is of."""

MODULES = tuple(
    f"consumers.folds.{name}" for name in ("deduplicate", "moment", "recent_events", "run_fold", "spending", "verdicts")
)
"""Where the classes of a fold are, beside the schemas and the core."""

CODE = ("consumers/folds",)
"""What decides on a fold, beside the schemas and the core."""


@dataclass(frozen=True)
class FoldFolder:
    """Where snapshots of folds are, one file a run and log in the folder of the run: `<state_dir>/<run>/`."""

    state_dir: Path
    notify: Notify = lambda _: None

    def file(self, source: Source) -> SnapshotFile:
        """That of a run's fold. Raises RunError when there is no such run."""
        where = str(source.folder.resolve()) if isinstance(source, ArchiveSource) else source.name
        name = f"fold-{hashlib.sha256(where.encode()).hexdigest()[:12]}.snapshot"
        made_for = f"{program_digest(*CODE)} {identity_of(source)}"
        return SnapshotFile(self.state_dir.expanduser() / source.run / name, made_for, self.notify)


def fold_form(source: Source) -> StateForm[RunFold]:
    """How the fold of a run is made."""
    return StateForm(
        begin=lambda: RunFold(configuration(source)[0]),
        apply=RunFold.apply,
        to_bytes=to_bytes,
        from_bytes=reading_back(RunFold, *MODULES),
    )


def read_fold(source: Source, snapshots: FoldFolder | None = None) -> RunFold:
    """The fold of the run as it is now.

    Raises RunError when there is no such run or it was never configured, BrokerError when the cluster does not answer.
    """
    file = None if snapshots is None else snapshots.file(source)
    form = fold_form(source)
    caught = catch_up(source, FOLDED, form, file)
    if file is not None and is_due(caught.coverage):
        file.write(caught.coverage.now(), form.to_bytes(caught.state))
    return caught.state
