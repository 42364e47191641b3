"""One snapshot in one file: what it was made for, what it covers, and the state.

    {"format": 1, "made_for": "...", "covered": [...], "bytes": 123}     one line of JSON
    SHA-256 of that line and the state, hexadecimal                      one line
    the state                                                            its bytes

A file is used only if it is whole and was made for the same; otherwise it is as if there were none. It is replaced at
once, so a reader finds the old one or the new one, also when several write, and when one is killed meanwhile.
"""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from infra.log.record import Partition
from infra.snapshots.coverage import Coverage, Covered

_FORMAT = 1
_EVERY = 5_000  # fewer records are read again sooner than a snapshot is written
_SHARE = 20  # of what is covered; a file grows with the run, so it is not written for each few records
_ABANDONED_S = 3_600.0

Notify = Callable[[str], None]


class _Head(msgspec.Struct, frozen=True):
    format: int
    made_for: str
    covered: tuple[Covered, ...]
    bytes: int


@dataclass(frozen=True)
class Snapshot:
    """What a file has: the state's bytes, and what they cover."""

    covered: Mapping[Partition, Covered]
    state: bytes

    def coverage(self) -> Coverage:
        return Coverage(dict(self.covered))


class SnapshotFile:
    """A snapshot at a path, for one purpose.

    made_for   all that must be the same for it to be used
    notify     called with a sentence, once, when it cannot be written
    """

    def __init__(self, path: Path, made_for: str, notify: Notify = lambda _: None) -> None:
        self.path = path
        self._made_for = made_for
        self.notify = notify

    def read(self) -> Snapshot | None:
        """The content, if it is whole and was made for the same."""
        try:
            with self.path.open("rb") as file:
                first, seal = file.readline(), file.readline()
                head = msgspec.json.decode(first, type=_Head)
                if (head.format, head.made_for) != (_FORMAT, self._made_for):
                    return None
                state = file.read()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if len(state) != head.bytes or _seal(first, state) != seal:
            return None
        return Snapshot({one.place: one for one in head.covered}, state)

    def write(self, covered: Mapping[Partition, Covered], state: bytes) -> bool:
        """Replace the content; False when it cannot be written, which is said once and does no other harm."""
        head = _Head(_FORMAT, self._made_for, tuple(covered[place] for place in sorted(covered)), len(state))
        first = msgspec.json.encode(head) + b"\n"
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}-{threading.get_native_id()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            with new.open("wb") as file:
                file.writelines((first, _seal(first, state), state))
            new.replace(self.path)
        except OSError as error:
            self.notify(f"No snapshot for a quick start can be written ({error}): the next start reads more.")
            self.notify = lambda _: None
            return False
        finally:  # also when a signal ends it here
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
        return True

    def _remove_abandoned(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        for left in self.path.parent.glob(f"{self.path.name}.*.new"):
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < time.time() - _ABANDONED_S:
                    left.unlink()


def is_due(coverage: Coverage, *, last: bool = False) -> bool:
    """Whether so much was read since the last snapshot that another one pays; `last`: none will be written later."""
    return coverage.fresh >= _EVERY and (last or coverage.fresh * _SHARE >= coverage.records)


def _seal(first: bytes, state: bytes) -> bytes:
    digest = hashlib.sha256(first)
    digest.update(state)
    return digest.hexdigest().encode() + b"\n"
