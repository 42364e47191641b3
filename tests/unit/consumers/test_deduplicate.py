"""Each topic has one rule for which of several equal events counts: the first."""

from types import SimpleNamespace
from typing import cast

import pytest

from consumers.folds.deduplicate import Deduplicator, identity
from consumers.replay.findings import AuditState, Findings
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas.events import Event, InstructionKept, InstructionsGenerated, InstructionsRejected
from tests.unit.consumers.story import Story, short_run


def generation(number: int) -> InstructionsGenerated:
    story = Story()
    for place in range(number + 1):
        story.generate(place)
    return story.generations[number]


def unread(offset: int) -> InstructionsRejected:
    return InstructionsRejected(
        generated_offset=offset, generation_id="", generated=0, kept=0, generated_total=0, kept_total=0, rejections=()
    )


def test_an_event_shares_its_identity_with_its_repeats_and_with_nothing_else() -> None:
    events = [(entry.event, entry.id) for entry in short_run().written]
    assert len({identity(*event) for event in events}) == len(events)
    assert [identity(*event) for event in events] == [identity(*event) for event in events]


def test_a_number_counts_once_whatever_its_offset() -> None:
    deduplicator = Deduplicator()
    assert deduplicator.generated(generation(1), 5)
    assert not deduplicator.generated(generation(1), 6)
    assert deduplicator.generated(generation(0), 7)


def test_what_the_filter_could_not_read_never_counts_and_its_copy_does() -> None:
    known, unknown = Deduplicator(), Deduplicator()
    assert known.rejected(unread(0))
    assert not known.generated(generation(0), 0)
    assert known.generated(generation(0), 1)

    assert unknown.generated(generation(0), 0)
    unknown.release("main", 0)
    assert unknown.generated(generation(0), 1)
    assert not unknown.generated(generation(0), 2)


def test_causes_of_rows_and_verdicts_ascend_within_a_partition() -> None:
    deduplicator = Deduplicator()
    causes = [(1, 0), (1, 2), (1, 1), (2, 0)]
    assert [deduplicator.kept(*cause, partition=0) for cause in causes] == [True, True, False, True]
    assert deduplicator.kept(*causes[0], partition=1)
    assert [deduplicator.rejected(unread(offset)) for offset in (0, 2, 1, 2, 3)] == [True, True, False, False, True]


@pytest.mark.parametrize(("content", "repeats", "altered"), [(b"same", 1, 0), (b"other", 0, 1)])
def test_an_audit_tells_a_repeat_from_an_altered_event(content: bytes, repeats: int, altered: int) -> None:
    state = AuditState(
        applied=0, kept_total=0, generated_total=0, classifier_offset=0, commands_offset=None, seeds=None
    )
    findings = Findings(lambda: state)
    check = RepeatCheck(findings)
    row: Event = next(entry.event for entry in short_run().written if isinstance(entry.event, InstructionKept))
    record = cast(Record, SimpleNamespace(topic="kept", partition=0, offset=9, id="x"))
    assert check.fresh(record, row, b"same")
    assert not check.fresh(record, row, content)
    assert (len(findings.repeats), findings.by_kind["altered"]) == (repeats, altered)
