"""What was said already: tells an event that stands on the log again from another one in its place."""

from consumers.replay.digests import digest
from consumers.replay.findings import Findings, place_of
from infra.record import Record


class Said:
    """Digests of what was said, each under the name of something that is said once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._digests: dict[int, int] = {}

    def fresh(self, record: Record, name: str, content: bytes | None) -> bool:
        """Whether nothing was said under `name` before. If it was, that is told: a repeat, or something else."""
        key, said = digest(name.encode()), digest(content)
        if key not in self._digests:
            self._digests[key] = said
            return True
        if self._digests[key] == said:
            self._findings.repeated(record, record.id)
        else:
            self._findings.diverged(
                "altered", place_of(record), self._findings.state().applied + 1,
                f"What stands at {record.offset} of {record.topic} was there before, and said something else.",
                id=record.id,
            )  # fmt: skip
        return False
