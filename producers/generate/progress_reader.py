"""Keeps a `LaneProgress` up to date from the log, and starts quickly from a snapshot of the fold.

A first start reads the run's whole log, `generated` before `calls`, so that the calls of finished generations need not
be held in memory. A snapshot (`infra.snapshots`) is written when the generator ends and every `_EVERY` records; the
next start reads on from there. The log stays the source of truth: a snapshot that does not match it is discarded, and
all is read. `seed-commands` has one record a training window and is always read from its start.
"""

import hashlib
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from infra.log.source import KafkaSource
from infra.settings import Settings
from infra.snapshots.coverage import identity_of
from infra.snapshots.files import SnapshotFile
from infra.snapshots.following import LogFollower, StateForm
from infra.snapshots.own_data import program_digest
from producers.generate.progress import TOPICS, YIELD_WINDOW, LaneProgress, ProgressState
from producers.generate.yield_window import YieldWindow
from schemas.errors import SchemaError
from schemas.events import RunConfigured

_COMMANDS = "seed-commands"
_EVERY = 20_000  # records between two snapshots
_LONGEST = 150  # characters of a lane in a file name; a judge's has the name of its model

CODE = ("producers/generate/progress.py", "producers/generate/yield_window.py")
"""What makes a lane's progress, beside the schemas and the core."""


def lane_snapshot(
    settings: Settings, configured: RunConfigured, lane: str, what: str, *code: str, made_for: object = None
) -> SnapshotFile:
    """The snapshot of what a lane knows: `<state_dir>/<run>/<what>-<lane>.snapshot`.

    code       what makes it, beside the schemas and the core
    made_for   what else must be the same
    """
    identity = identity_of(KafkaSource(settings, configured.run))
    same = msgspec.json.encode([identity, configured, lane, what, made_for])
    name = quote(lane, safe="")
    if len(name) > _LONGEST:
        name = hashlib.sha256(name.encode()).hexdigest()
    path = settings.state_dir.expanduser() / configured.run / f"{what}-{name}.snapshot"
    return SnapshotFile(path, f"{program_digest(*code)} {hashlib.sha256(same).hexdigest()}")


def lane_form(configured: RunConfigured, lane: str, yield_window: int) -> StateForm[LaneProgress]:
    """How a lane's progress is made; all of it but the seed commands."""

    def read_back(raw: bytes) -> LaneProgress:
        try:
            return LaneProgress.of(lane, configured, msgspec.json.decode(raw, type=ProgressState))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SchemaError(f"no progress: {error}") from error

    return StateForm(
        begin=lambda: LaneProgress(lane, configured, rolling=YieldWindow(yield_window)),
        apply=LaneProgress.apply,
        to_bytes=lambda progress: msgspec.json.encode(progress.state()),
        from_bytes=read_back,
    )


class ProgressReader:
    """Keeps a `LaneProgress` up to date; one thread at a time.

    read_at_start   records read before the constructor returned: few after a snapshot
    """

    def __init__(
        self,
        settings: Settings,
        configured: RunConfigured,
        lane: str,
        *,
        yield_window: int = YIELD_WINDOW,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        file = lane_snapshot(settings, configured, lane, "generator", *CODE, made_for=yield_window)
        file.notify = notify
        form = lane_form(configured, lane, yield_window)
        topics = [topic for topic in TOPICS if topic != _COMMANDS]
        self._log = LogFollower(settings, configured.run, topics, f"generator-{lane}", form, file, beside=[_COMMANDS])
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise
        self.read_at_start = self._log.caught.read

    @property
    def progress(self) -> LaneProgress:
        return self._log.state

    def refresh(self) -> LaneProgress:
        """Apply everything that is on the log now."""
        progress = self._log.refresh()
        if self._log.coverage.fresh >= _EVERY:
            self.keep()
        return progress

    def keep(self) -> None:
        """Write a snapshot. A failure to write it is said and otherwise ignored."""
        self._log.keep(now=True)

    def close(self) -> None:
        self._log.close()
