"""Repeats in an audit: an event that is on the log again is harmless with the same content, and altered with another.

Which events are the same one is the rule of `consumers.folds.deduplicate`; here a digest of each one's content is kept.
"""

from consumers.folds.deduplicate import identity
from consumers.replay.digests import digest
from consumers.replay.findings import Findings
from infra.log.record import Record
from schemas.events import Event


def report_repeat(findings: Findings, record: Record, same: bool, generated_offset: int, altered: str) -> None:
    """Report an event that is on the log again: as a repeat, or, when its content is not the `same`, as `altered`."""
    if same:
        findings.repeated(record)
    else:
        findings.diverged("altered", record, generated_offset, altered)


class RepeatCheck:
    """Digests of the contents of one topic's events, by identity."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._digests: dict[int, int] = {}

    def fresh(self, record: Record, event: Event, content: bytes | None) -> bool:
        """Whether the event comes for the first time. A repeat is reported, as altered when its content differs."""
        key, found = digest(repr(identity(event, record.id)).encode()), digest(content)
        if key not in self._digests:
            self._digests[key] = found
            return True
        altered = f"The event at {record.offset} of {record.topic} is on the log before, with another content."
        at = self._findings.state().applied + 1
        report_repeat(self._findings, record, self._digests[key] == found, at, altered)
        return False
