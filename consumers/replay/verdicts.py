"""The filter's recorded verdict on a generation, compared with what the core decides."""

from collections.abc import Mapping, Sequence

import msgspec

from consumers.replay.effect_stream import holds
from consumers.replay.effects import RecordedGeneration
from consumers.replay.findings import Findings, Kind, differences, place_of
from infra.record import Record
from schemas import ids
from schemas.events import InstructionKept, InstructionsRejected, Rejection
from schemas.policy import Policy
from streams.core.decider import Decision, Verdict
from streams.core.scores import uncounted

_encode = msgspec.json.Encoder().encode


def check(policy: Policy, verdict: Verdict, found: RecordedGeneration, findings: Findings) -> Decision:
    """Compare a verdict with the recorded one, and report what differs.

    Returns the decision to go on from: the verdict's when both agree, else the recorded one as far as it can be read,
    so that one fault is not reported again in all its consequences.
    """
    decision = verdict.decision
    if (
        found.verdict is not None
        and len(found.rows) == len(decision.kept)
        and _same(verdict, found.verdict, found.rows)
    ):
        return decision
    recorded = found.rejected
    if found.verdict is not None and recorded is None:
        findings.cannot_read(found.verdict, str(found.verdict.error))
    kept = _rows(found.rows, findings)
    before = findings.count
    if found.verdict is not None and recorded is not None:
        _compare_rejections(verdict, found.verdict, recorded, kept, findings)
    _compare_rows(verdict, kept, recorded, findings)
    if found.verdict is not None and recorded is not None and findings.count == before:
        _compare_rest(verdict.rejected, found.verdict, recorded, findings)
    by_place = tuple(sorted((row for _, row in kept.values()), key=lambda row: row.place))
    if recorded is None:
        return msgspec.structs.replace(decision, kept=by_place)
    not_counted = uncounted(policy, recorded.rejections)
    return msgspec.structs.replace(decision, generated=recorded.generated, kept=by_place, uncounted=not_counted)


def _same(verdict: Verdict, record: Record, rows: Sequence[Record]) -> bool:
    for row, kept in zip(verdict.decision.kept, rows, strict=True):
        if kept.partition != row.cluster or not holds(kept, row, _encode(row), row.id, row.id):
            return False
    decision = verdict.decision
    key = decision.generation_id or f"offset-{decision.offset}"
    return holds(record, verdict.rejected, _encode(verdict.rejected), ids.verdict_id(decision.offset), key)


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
    record: Record,
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
                place_of(record),
                offset,
                f"The rejection of instruction {id} ({rejection.reason}), place {rejection.place} of offset {offset}, "
                f"is not in the InstructionsRejected at {record.offset}.",
                id=id,
                decided=rejection,
            )
        elif found is not None and found != rejection:
            _compare_reasons(found, rejection, record, offset, findings)
    for id, rejection in on_log.items():
        if id not in decided:
            findings.misdecided(
                "flipped",
                place_of(record),
                offset,
                f"Instruction {id}, place {rejection.place} of offset {offset}, was rejected ({rejection.reason}) at "
                f"{record.offset} of rejected, but is to be kept.",
                id=id,
                recorded=rejection,
                decided="kept",
            )


def _compare_reasons(found: Rejection, decided: Rejection, record: Record, offset: int, findings: Findings) -> None:
    kind: Kind = "reason" if found.reason != decided.reason else "similarity"
    recorded_fields, decided_fields = differences(found, decided)
    findings.misdecided(
        kind,
        place_of(record),
        offset,
        f"The rejection of instruction {found.id}, place {found.place} of offset {offset}, at {record.offset} of "
        f"rejected, has {_listed(recorded_fields)}, but it is {_listed(decided_fields)}.",
        id=found.id,
        recorded=found,
        decided=decided,
    )


def _compare_rows(
    verdict: Verdict,
    kept: dict[str, tuple[Record, InstructionKept]],
    recorded: InstructionsRejected | None,
    findings: Findings,
) -> None:
    offset = verdict.decision.offset
    decided = {row.id: row for row in verdict.decision.kept}
    rejections = {rejection.id: rejection for rejection in verdict.rejected.rejections}
    on_log = set() if recorded is None else {rejection.id for rejection in recorded.rejections}
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
        elif not holds(record, expected, b"", id, id):
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
    decided: InstructionsRejected, record: Record, recorded: InstructionsRejected, findings: Findings
) -> None:
    if decided == recorded:
        fields: tuple[dict[str, object], ...] = {"id": record.id}, {"id": ids.verdict_id(decided.generated_offset)}
    else:
        fields = differences(recorded, decided)
    counts = {"generated", "kept", "generated_total", "kept_total"}
    findings.misdecided(
        "counts" if set(fields[0]) <= counts else "altered",
        place_of(record),
        decided.generated_offset,
        f"The InstructionsRejected at {record.offset} of rejected, on offset {decided.generated_offset}, has "
        f"{_listed(fields[0])}, but it is {_listed(fields[1])}.",
        id=record.id,
        recorded=fields[0],
        decided=fields[1],
    )


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items())
