"""What this machine keeps of a run: the folder `state_dir/<run>`, with checkpoints, models, logs and bookmarks, and the
indexes of its page in `state_dir/web`.

Archives, exports and pages are where their commands were asked to write them; those elsewhere are never touched.
"""

import re
import shutil
from pathlib import Path

import msgspec

from infra.local_broker.broker_home import home
from infra.machine.disk import bytes_on_disk
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunError
from schemas.topics import check_run_name

WEB_FOLDER = "web"
"""Folder of `state_dir` with the indexes of pages: `<run>-<12 hexadecimal digits>.sqlite`, and files beside it."""


METRICS_FOLDER = "metrics"
"""Folder of `state_dir` with the addresses at which processes serve their metrics."""


class LocalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder of a run on this machine; `bytes` are those it takes on the disk."""

    name: str
    bytes: int


class LocalState(msgspec.Struct, frozen=True, kw_only=True):
    """A run's folder on this machine, with its entries by name; without a folder there are none.

    indexes  files of its page, by their names in `state_dir`
    bytes    of entries and indexes
    """

    folder: str
    bytes: int
    entries: tuple[LocalEntry, ...]
    indexes: tuple[LocalEntry, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether there is anything."""
        return bool(self.entries or self.indexes)


def local_state(settings: Settings, run: str) -> LocalState:
    """What this machine keeps of a run. Nothing for a name that is that of another folder of `state_dir`."""
    folder = _folder(settings, run)
    try:
        names = sorted(folder.iterdir()) if folder.is_dir() and run not in _others(settings) else []
        indexes = _indexes(settings, run)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read: {error}. Make it readable for this user.") from error
    entries = tuple(LocalEntry(name=path.name, bytes=bytes_on_disk(path)) for path in names)
    of_page = tuple(LocalEntry(name=f"{WEB_FOLDER}/{path.name}", bytes=bytes_on_disk(path)) for path in indexes)
    count = sum(entry.bytes for entry in (*entries, *of_page))
    return LocalState(folder=str(folder), bytes=count, entries=entries, indexes=of_page)


def check_folder(settings: Settings, run: str) -> None:
    """Raise ConfigurationError for a run whose folder is not its own: it is named as another folder of `state_dir`."""
    if run in _others(settings):
        raise ConfigurationError(
            f"{_folder(settings, run)} is not only the folder of run {run!r}: it also holds what is of no run, such as "
            "the broker's data or seeds. Delete the run without --local-state, and remove its files there by hand."
        )


def remove_local_state(settings: Settings, run: str) -> None:
    """Remove the run's folder and the indexes of its page, if there are any; a link is removed and not followed.

    Raises ConfigurationError as `check_folder`, RunError when a file cannot be removed: another call continues.
    """
    check_folder(settings, run)
    folder = _folder(settings, run)
    try:
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
        for file in _indexes(settings, run):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"What is kept of run {run!r} here cannot be removed: {error}. Make it writable for "
            "this user, then give the same command again."
        ) from error


def _folder(settings: Settings, run: str) -> Path:
    return settings.state_dir.expanduser().resolve() / check_run_name(run)


def _indexes(settings: Settings, run: str) -> list[Path]:
    """The files of the run's page; none of a run whose name only begins alike."""
    folder = settings.state_dir.expanduser().resolve() / WEB_FOLDER
    named = re.compile(rf"{re.escape(run)}-[0-9a-f]{{12}}\.sqlite.*")
    return sorted(path for path in folder.iterdir() if named.fullmatch(path.name)) if folder.is_dir() else []


def _others(settings: Settings) -> tuple[str, ...]:
    """Folders of `state_dir` that are no run's."""
    return "seeds", home(settings).root.name, "temporary", WEB_FOLDER, METRICS_FOLDER
