"""Instructions that an export leaves out by id, as after a withdrawal."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import ConfigurationError

_SHOWN = 5


@dataclass
class Exclusion:
    """Ids to leave out.

    sha256   of the file that listed them
    unseen   ids that no kept row had yet
    """

    sha256: str
    ids: frozenset[str]
    unseen: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "Exclusion":
        """Read a file of one id a line. Raises ConfigurationError."""
        try:
            raw = path.read_bytes()
            ids = frozenset(filter(None, (line.strip() for line in raw.decode().split("\n"))))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{path} cannot be read as a list of instruction ids: {error}. Give one id a line."
            ) from error
        return cls(hashlib.sha256(raw).hexdigest(), ids, set(ids))

    def has(self, id: str) -> bool:
        """Whether to leave out a kept row."""
        self.unseen.discard(id)
        return id in self.ids

    def check(self, through: int) -> None:
        """Raises ConfigurationError when there are ids that no row has."""
        if self.unseen:
            first = ", ".join(sorted(self.unseen)[:_SHOWN])
            more = f" and {len(self.unseen) - _SHOWN:,} more" if len(self.unseen) > _SHOWN else ""
            raise ConfigurationError(
                f"--exclude names ids that no row kept up to offset {through} of generated has: {first}{more}. "
                "Remove them, or export the run that has them."
            )
