"""Snapshots of the fold of a run's log, one file a lane in `<state_dir>/<run>/`, with the offsets they cover.

A snapshot is used only if it was made for the same run, configuration, lane, window and format; if it is complete, by
the digest in it; and with the log it was made from (the reader checks the last covered record of each topic). Otherwise
it is ignored.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from infra.log.record import Record
from producers.generate.progress import ProgressState
from schemas.events import RunConfigured

_FORMAT = 7


class Covered(msgspec.Struct, frozen=True):
    """The last record of a topic that a snapshot covers, with the digest of its bytes."""

    offset: int
    digest: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. `made_for` is a digest of all that must be the same for it to be used."""

    made_for: str
    covered: dict[str, Covered]
    state: ProgressState


class _Sealed(msgspec.Struct, frozen=True):
    sha256: str
    snapshot: msgspec.Raw


def covered_by(record: Record) -> Covered:
    """Coverage of a topic up to this record."""
    digest = hashlib.sha256(record.key or b"")
    digest.update(record.value or b"")
    return Covered(record.offset, digest.hexdigest())


class SnapshotFile:
    """The snapshot of one lane on this machine."""

    def __init__(self, state_dir: Path, configured: RunConfigured, lane: str, yield_window: int) -> None:
        self.path = state_dir.expanduser() / configured.run / f"generator-{quote(lane, safe='')}.json"
        self.lane = lane
        self.configured = configured
        same = msgspec.json.encode([_FORMAT, configured, lane, yield_window])
        self._made_for = hashlib.sha256(same).hexdigest()

    def read(self) -> Snapshot | None:
        """The content, if it is complete and made for this lane of this run."""
        try:
            sealed = msgspec.json.decode(self.path.read_bytes(), type=_Sealed)
            if hashlib.sha256(sealed.snapshot).hexdigest() != sealed.sha256:
                return None
            found = msgspec.json.decode(sealed.snapshot, type=Snapshot)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return found if found.made_for == self._made_for else None

    def write(self, state: ProgressState, covered: Mapping[str, Covered]) -> None:
        """Replace the snapshot atomically. Raises OSError."""
        snapshot = Snapshot(made_for=self._made_for, covered=dict(covered), state=state)
        raw = msgspec.json.encode(snapshot)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + f".{os.getpid()}.new")
        try:
            new.write_bytes(msgspec.json.encode(_Sealed(hashlib.sha256(raw).hexdigest(), msgspec.Raw(raw))))
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
