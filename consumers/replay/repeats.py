"""What was said already: tells an event that stands on the log again from another one in its place."""

from consumers.replay.digests import digest
from consumers.replay.findings import Findings, place_of
from infra.log.record import Record


def report_repeat(findings: Findings, record: Record, same: bool, generated_offset: int, what: str) -> None:
    """Tell of an event that stands on the log again: a repeat, or, when it is not the `same`, `what` is wrong."""
    if same:
        findings.repeated(record, record.id)
    else:
        findings.diverged("altered", place_of(record), generated_offset, what, id=record.id)


class RepeatCheck:
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
        what = f"What stands at {record.offset} of {record.topic} was there before, and said something else."
        at = self._findings.state().applied + 1
        report_repeat(self._findings, record, self._digests[key] == said, at, what)
        return False
