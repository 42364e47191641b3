"""The position of a named reader of a run, kept in a file, so that it continues there.

`save` replaces the file after the records before it were handed out: a reader that is killed in between gets the last
ones again and misses none. One process at a time holds a name. The file survives the process, but not a loss of power.
It knows offsets only: a topic that was created again and has grown past them is not noticed.
"""

import fcntl
import re
from collections.abc import Mapping

import msgspec

from infra.local_broker.broker_home import replace
from infra.log.closing import Closing
from infra.log.record import Partition
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class _Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`positions` are the next offsets to read, by topic, then by partition."""

    run: str
    positions: dict[str, dict[int, int]]


class Bookmark(Closing):
    """The position of the reader `name` in a run. Raises ConfigurationError for an invalid name or one in use."""

    def __init__(self, settings: Settings, run: str, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"A reader cannot be named {name!r}. Use 1 to 63 letters, digits, '.', '-' and '_', starting with a "
                "letter or digit."
            )
        self.file = settings.state_dir / run / "tail" / f"{name}.json"
        self._run = run
        self._name = name
        self._others: dict[Partition, int] = {}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.file.with_suffix(".lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ConfigurationError(
                f"Another process is reading run {run!r} as {name!r}. End it, or give another name."
            ) from error

    def load(self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> dict[Partition, int]:
        """The next offset of each partition in `ends` that this reader has read from.

        Raises RunError when the log does not hold such an offset, or the file cannot be read.
        """
        try:
            saved = msgspec.json.decode(self.file.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise RunError(f"{self.file} is damaged ({error}). {self._remedy()}") from error
        positions = {
            (topic, partition): offset
            for topic, partitions in saved.positions.items()
            for partition, offset in partitions.items()
        }
        for place in sorted(positions.keys() & ends.keys()):
            if not starts[place] <= positions[place] <= ends[place]:
                raise RunError(
                    f"Reader {self._name!r} has read {place[0]}/{place[1]} up to {positions[place]}, but the log holds "
                    f"{starts[place]} to {ends[place]} there: the topic was restored or trimmed since. {self._remedy()}"
                )
        self._others = {place: offset for place, offset in positions.items() if place not in ends}
        return {place: offset for place, offset in positions.items() if place in ends}

    def save(self, positions: Mapping[Partition, int]) -> None:
        """Continue from these next offsets; positions in other topics stay as they are."""
        by_topic: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in sorted({**self._others, **positions}.items()):
            by_topic.setdefault(topic, {})[partition] = offset
        replace(self.file, msgspec.json.encode(_Saved(run=self._run, positions=by_topic)).decode())

    def close(self) -> None:
        self._lock.close()

    def _remedy(self) -> str:
        return f"Delete {self.file} to start over, or give another name."
