"""The fold of a run's log in a file, with what of the log it covers: one for each lane, `<state_dir>/<run>/`.

A file is only used by whom it was made for (the same run, configuration, lane, window and format), whole (a digest of
it stands in it), and on the log it was made from (the last record covered of each topic is checked by the reader).
Anything else is as if there were none.
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

_FORMAT = 3


class Covered(msgspec.Struct, frozen=True):
    """The last record of a topic that a snapshot covers, and the digest of its bytes."""

    offset: int
    digest: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the file. `made_for` is a digest of all that must be the same for it to be used."""

    made_for: str
    covered: dict[str, Covered]
    state: ProgressState


class _Sealed(msgspec.Struct, frozen=True):
    sha256: str
    snapshot: msgspec.Raw


def covered_by(record: Record) -> Covered:
    """Everything up to this record of its topic."""
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
        """What is in the file, if it is whole and made for this lane of this run."""
        try:
            sealed = msgspec.json.decode(self.path.read_bytes(), type=_Sealed)
            if hashlib.sha256(sealed.snapshot).hexdigest() != sealed.sha256:
                return None
            found = msgspec.json.decode(sealed.snapshot, type=Snapshot)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return found if found.made_for == self._made_for else None

    def write(self, state: ProgressState, covered: Mapping[str, Covered]) -> None:
        """Put a snapshot in the place of the one before, at once. Raises OSError."""
        snapshot = Snapshot(made_for=self._made_for, covered=dict(covered), state=state)
        raw = msgspec.json.encode(snapshot)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + f".{os.getpid()}.new")
        try:
            new.write_bytes(msgspec.json.encode(_Sealed(hashlib.sha256(raw).hexdigest(), msgspec.Raw(raw))))
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
