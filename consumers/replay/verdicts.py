"""The filter's recorded word on a generation, compared with what the core decides."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from consumers.replay.effects import says
from consumers.replay.findings import Findings, differences, place_of
from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionKept, InstructionsRejected, Rejection
from schemas.policy import Policy
from streams.core.decider import Decision, Verdict
from streams.core.scores import uncounted

_encode = msgspec.json.Encoder().encode


def check(
    policy: Policy, verdict: Verdict, told: Record | None, rows: Sequence[Record], findings: Findings
) -> Decision:
    """Compare a verdict with what is recorded of it, and tell what differs.

    Returns the decision that the log goes on from: the verdict's when both agree, else as far as can be read the
    recorded one, so that one fault is told once and not again in all that follows from it.
    """
    decision, rejected = verdict.decision, verdict.rejected
    if told is not None and len(rows) == len(decision.kept) and _same(verdict, told, rows):
        return decision
    recorded = told.event if told is not None else None
    if told is not None and not isinstance(recorded, InstructionsRejected):
        findings.cannot_read(told, str(told.error))
        recorded = None
    kept = _rows(rows, findings)
    before = findings.count
    if told is not None and isinstance(recorded, InstructionsRejected):
        _compare_rejections(verdict, told, recorded, kept, findings)
    _compare_rows(verdict, kept, recorded, findings)
    if told is not None and isinstance(recorded, InstructionsRejected) and findings.count == before:
        _compare_rest(rejected, told, recorded, findings)
    by_place = sorted((row for _, row in kept.values()), key=lambda row: row.place)
    if not isinstance(recorded, InstructionsRejected):
        return msgspec.structs.replace(decision, kept=tuple(by_place))
    not_counted = uncounted(policy, recorded.rejections)
    return msgspec.structs.replace(decision, generated=recorded.generated, kept=tuple(by_place), uncounted=not_counted)


def _same(verdict: Verdict, told: Record, rows: Sequence[Record]) -> bool:
    for row, record in zip(verdict.decision.kept, rows, strict=True):
        if record.partition != row.cluster or not says(record, row, _encode(row), row.id, row.id):
            return False
    decision = verdict.decision
    key = decision.generation_id or f"offset-{decision.offset}"
    return says(told, verdict.rejected, _encode(verdict.rejected), ids.verdict_id(decision.offset), key)


def _rows(records: Sequence[Record], findings: Findings) -> dict[str, tuple[Record, InstructionKept]]:
    found = {}
    for record in records:
        event = record.event
        if isinstance(event, InstructionKept):
            found[event.id] = record, event
        else:
            findings.cannot_read(record, str(record.error))
    return found


def _compare_rejections(
    verdict: Verdict,
    told: Record,
    recorded: InstructionsRejected,
    kept: dict[str, tuple[Record, InstructionKept]],
    findings: Findings,
) -> None:
    offset = verdict.decision.offset
    on_log = {rejection.id: rejection for rejection in recorded.rejections}
    decided = {rejection.id: rejection for rejection in verdict.rejected.rejections}
    for id, rejection in decided.items():
        found = on_log.get(id)
        if found is None and id not in kept:
            findings.misdecided(
                "missing",
                place_of(told),
                offset,
                f"The rejection of instruction {id} ({rejection.reason}), place {rejection.place} of offset {offset}, "
                f"is not in the InstructionsRejected at {told.offset}.",
                id=id,
                decided=rejection,
            )
        elif found is not None and found != rejection:
            _differs(found, rejection, told, offset, findings)
    for id, rejection in on_log.items():
        if id not in decided:
            findings.misdecided(
                "flipped",
                place_of(told),
                offset,
                f"Instruction {id}, place {rejection.place} of offset {offset}, was rejected ({rejection.reason}) at "
                f"{told.offset} of rejected, but is to be kept.",
                id=id,
                recorded=rejection,
                decided="kept",
            )


def _differs(found: Rejection, decided: Rejection, told: Record, offset: int, findings: Findings) -> None:
    kind: Literal["reason", "similarity"] = "reason" if found.reason != decided.reason else "similarity"
    recorded_fields, decided_fields = differences(found, decided)
    findings.misdecided(
        kind,
        place_of(told),
        offset,
        f"The rejection of instruction {found.id}, place {found.place} of offset {offset}, at {told.offset} of "
        f"rejected, has {_listed(recorded_fields)}, but it is {_listed(decided_fields)}.",
        id=found.id,
        recorded=found,
        decided=decided,
    )


def _compare_rows(
    verdict: Verdict, kept: dict[str, tuple[Record, InstructionKept]], recorded: object, findings: Findings
) -> None:
    offset = verdict.decision.offset
    decided = {row.id: row for row in verdict.decision.kept}
    rejections = {rejection.id: rejection for rejection in verdict.rejected.rejections}
    on_log = {r.id for r in recorded.rejections} if isinstance(recorded, InstructionsRejected) else set()
    for id, row in decided.items():
        if id not in kept and id not in on_log:
            findings.misdecided(
                "missing",
                ("kept", row.cluster, -1),
                offset,
                f"Instruction {id}, place {row.place} of offset {offset}, is to be kept in cluster {row.cluster}, but "
                "there is no InstructionKept.",
                id=id,
                decided=row,
            )
    for id, (record, row) in kept.items():
        expected = decided.get(id)
        if expected is None and id in rejections:
            findings.misdecided(
                "flipped",
                place_of(record),
                offset,
                f"Instruction {id}, place {row.place} of offset {offset}, was kept at {record.offset} of kept/"
                f"{record.partition}, but is to be rejected ({rejections[id].reason}).",
                id=id,
                recorded="kept",
                decided=rejections[id],
            )
        elif expected is None:
            findings.misdecided(
                "unexpected",
                place_of(record),
                offset,
                f"The row {id} at {record.offset} of kept/{record.partition} is of no instruction at offset "
                f"{row.generated_offset} of generated.",
                id=id,
                recorded=row,
            )
        elif (row.cluster, record.partition) != (expected.cluster, expected.cluster):
            findings.misdecided(
                "cluster",
                place_of(record),
                offset,
                f"The row {id} at {record.offset} of kept/{record.partition} is of cluster {row.cluster}, but belongs "
                f"in {expected.cluster}.",
                id=id,
                recorded=row.cluster,
                decided=expected.cluster,
            )
        elif not says(record, expected, b"", id, id):
            recorded_fields, decided_fields = differences(row, expected)
            findings.misdecided(
                "altered",
                place_of(record),
                offset,
                f"The row {id} at {record.offset} of kept/{record.partition} is not the instruction as generated: "
                f"{', '.join(recorded_fields) or 'its id or key'} differ.",
                id=id,
                recorded=recorded_fields,
                decided=decided_fields,
            )


def _compare_rest(
    decided: InstructionsRejected, told: Record, recorded: InstructionsRejected, findings: Findings
) -> None:
    if decided == recorded:
        fields: tuple[dict[str, object], ...] = {"id": told.id}, {"id": ids.verdict_id(decided.generated_offset)}
    else:
        fields = differences(recorded, decided)
    counts = {"generated", "kept", "generated_total", "kept_total"}
    findings.misdecided(
        "counts" if set(fields[0]) <= counts else "altered",
        place_of(told),
        decided.generated_offset,
        f"The InstructionsRejected at {told.offset} of rejected, on offset {decided.generated_offset}, has "
        f"{_listed(fields[0])}, but it is {_listed(fields[1])}.",
        id=told.id,
        recorded=fields[0],
        decided=fields[1],
    )


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items())
