"""The filter's recorded verdict on a generation, compared with what the core decides."""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from consumers.replay.effect_stream import holds
from consumers.replay.effects import RecordedGeneration
from consumers.replay.findings import Findings, Kind, differences
from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionKept, InstructionsRejected
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
        name = f"The rejection of instruction {id}, place {rejection.place} of offset {offset},"
        if found is None and id not in kept:
            what = f"{name} ({rejection.reason}) is not in the InstructionsRejected at {record.offset}."
            findings.misdecided("missing", record, offset, what, id=id, decided=rejection)
        elif found is not None and found != rejection:
            kind: Kind = "reason" if found.reason != rejection.reason else "similarity"
            fields = [_listed(side) for side in differences(found, rejection)]
            what = f"{name} at {record.offset} of rejected, has {fields[0]}, but it is {fields[1]}."
            findings.misdecided(kind, record, offset, what, id=id, recorded=found, decided=rejection)
    for id, rejection in on_log.items():
        if id not in decided:
            name = f"Instruction {id}, place {rejection.place} of offset {offset}, was rejected ({rejection.reason})"
            what = f"{name} at {record.offset} of rejected, but is to be kept."
            findings.misdecided("flipped", record, offset, what, id=id, recorded=rejection, decided="kept")


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
            name = f"Instruction {id}, place {row.place} of offset {offset},"
            what = f"{name} is to be kept in cluster {row.cluster}, but there is no InstructionKept."
            findings.misdecided("missing", ("kept", row.cluster, -1), offset, what, id=id, decided=row)
    for id, (record, row) in kept.items():
        expected = decided.get(id)
        where = f"The row {id} at {record.offset} of kept/{record.partition}"
        report = partial(findings.misdecided, at=record, generated_offset=offset, id=id)
        if expected is None and id in rejections:
            what = f"{where}, place {row.place} of offset {offset}, is to be rejected ({rejections[id].reason})."
            report("flipped", what=what, recorded="kept", decided=rejections[id])
        elif expected is None:
            what = f"{where} is of no instruction at offset {row.generated_offset} of generated."
            report("unexpected", what=what, recorded=row)
        elif (row.cluster, record.partition) != (expected.cluster, expected.cluster):
            what = f"{where} is of cluster {row.cluster}, but belongs in {expected.cluster}."
            report("cluster", what=what, recorded=row.cluster, decided=expected.cluster)
        elif not holds(record, expected, b"", id, id):
            recorded_fields, decided_fields = differences(row, expected)
            fields = ", ".join(recorded_fields) or "its id or key"
            what = f"{where} is not the instruction as generated: {fields} differ."
            report("altered", what=what, recorded=recorded_fields, decided=decided_fields)


def _compare_rest(
    decided: InstructionsRejected, record: Record, recorded: InstructionsRejected, findings: Findings
) -> None:
    if decided == recorded:
        fields: tuple[dict[str, object], ...] = {"id": record.id}, {"id": ids.verdict_id(decided.generated_offset)}
    else:
        fields = differences(recorded, decided)
    counts = {"generated", "kept", "generated_total", "kept_total"}
    kind: Kind = "counts" if set(fields[0]) <= counts else "altered"
    offset, differ = decided.generated_offset, f"has {_listed(fields[0])}, but it is {_listed(fields[1])}"
    what = f"The InstructionsRejected at {record.offset} of rejected, on offset {offset}, {differ}."
    findings.misdecided(kind, record, offset, what, recorded=fields[0], decided=fields[1])


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items())
