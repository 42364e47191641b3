"""Releases in an audit (`streams.core.releases`): which are due, and whether each row is one to be released.

When a row is released cannot be decided again, because it depends on when its answer came. That a release is on the log
before every decision that it precedes, and that each row was kept before it, has an answer that is not used and was not
released before, can be. The decisions after it are made with what is on the log.
"""

from collections.abc import Iterator

import msgspec

from consumers.replay.answered import AnsweredSoFar
from consumers.replay.digests import Digests
from consumers.replay.findings import Findings, Kind, place_of
from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionsReleased, RunConfigured
from schemas.policy import Policy
from streams.core.decider import FilterState
from streams.core.releases import RecordedReleases, release, release_due

_encode = msgspec.json.Encoder().encode


class ReleaseAudit:
    """The releases on `run`. `count`: how many were checked."""

    def __init__(self, configured: RunConfigured, findings: Findings, digests: Digests) -> None:
        self.count = 0
        self._policy: Policy = configured.policy
        self._run = configured.run
        self._findings = findings
        self._digests = digests
        self._recorded = RecordedReleases()
        self._records: dict[int, Record] = {}

    def see(self, record: Record) -> None:
        """A record of `run`, without repeats."""
        if isinstance(record.event, InstructionsReleased) and self._recorded.apply(record.event):
            self._records[record.event.from_offset] = record

    def before(self, offset: int, state: FilterState, answered: AnsweredSoFar | None) -> None:
        """Check and use the release before the decision on an offset. `answered` None: use it only."""
        event, due = self._recorded.by_offset.get(offset), release_due(self._policy, offset)
        if event is None:
            if due:
                what = f"For offset {offset} of generated there is no InstructionsReleased on the log."
                self._findings.diverged("missing", ("run", 0, -1), offset, what)
            return
        self.count += 1
        self._digests.add("run", _encode(event))
        self._check(event, state, answered)
        release(state, event)

    def finish(self, offset: int, state: FilterState, answered: AnsweredSoFar | None) -> None:
        """Check what is on the log for offsets without a verdict, from `offset` on: only the first of them can be."""
        for at in sorted(self._recorded.by_offset):
            if at >= offset:
                self._check(self._recorded.by_offset[at], state if at == offset else None, answered)

    def _check(self, event: InstructionsReleased, state: FilterState | None, answered: AnsweredSoFar | None) -> None:
        """`state` None: not decided yet, so that it is not known which rows will be kept."""
        at = event.from_offset
        record = self._records[at]
        if (record.id, record.key) != (ids.released_id(at), self._run.encode()):
            self._report("altered", event, "has an id or a key that is not its own")
        if not release_due(self._policy, at):
            self._report("unexpected", event, "is not due")
        elif state is not None and answered is not None:
            for id, what in self._wrong(event, state, answered):
                self._report("unexpected", event, f"names {id}, {what}", id)

    def _wrong(
        self, event: InstructionsReleased, state: FilterState, answered: AnsweredSoFar
    ) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for id in event.ids:
            row = state.kept.get(id)
            if row is None:
                yield id, "which is not kept by then"
            elif id in state.released or id in seen:
                yield id, "which was released before"
            elif answered.read_to(id, row.cluster):
                yield id, "whose answer is used"
            elif answered.unused(id) is None:
                yield id, "which has no answer"
            seen.add(id)

    def _report(self, kind: Kind, event: InstructionsReleased, what: str, id: str | None = None) -> None:
        record, offset = self._records[event.from_offset], event.from_offset
        what = f"The release at {record.offset} of run, from offset {offset} of generated on, {what}."
        self._findings.diverged(kind, place_of(record), offset, what, id=record.id if id is None else id)
