"""Checks of a generation before the filter's decision on it: its lane, what it was shown, its answers.

The numbers of a lane have no gap. The seeds are the sample that the run's rng draws from the pool after the recorded
offset of `seed-commands`, and kept instructions beside them are drawn from the rows kept by the recorded offset of
`generated`; a generation from a segment is shown none of both. Where the policy steers requests, the seeds and the rest
of the request follow from the verdicts up to the recorded offset (`streams.core.steering`). Each answer is the one on
`calls`, and parses to the instructions and scores.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest

from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.findings import Findings
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas.events import CallAnswered, CallStarted, InstructionKept, InstructionsGenerated, KeptShown, Steering
from schemas.policy import Policy
from streams.core.kept_so_far import beside, drawn
from streams.core.lanes import LaneNumbers
from streams.core.parse.answers import ParsedAnswers, by_step, form_of, read, read_candidates
from streams.core.parse.segment_answers import is_withdrawn
from streams.core.seeds import SeedPool, sampled
from streams.core.steering import SteeringHistory
from streams.core.steps import DOCUMENTS


class GenerationAnswers:
    """`calls`, read as far as the answers of the generations so far need it; holds answers of later ones."""

    def __init__(self, stream: EffectStream, findings: Findings) -> None:
        self._stream = stream
        self._findings = findings
        self._repeats = RepeatCheck(findings)
        self._waiting: dict[tuple[str, int], CallAnswered] = {}
        self._none: dict[str, Callable[[CallAnswered], None]] = {}
        self._steerings: dict[str, Steering] = {}
        self.count = 0

    def check(self, record: Record, event: InstructionsGenerated) -> None:
        for answer in event.answers:
            on_ledger = self.take(answer.request_id, answer.attempt)
            if on_ledger == answer:
                continue
            what = "another answer than `calls`" if on_ledger else "an answer that is not on `calls`"
            what = f"{_name(event)} holds {what}, to request {answer.request_id}, attempt {answer.attempt}."
            self._findings.diverged("answer", record, record.offset, what, recorded=answer, decided=on_ledger)
        begun = self._steerings.pop(record.id, None)
        if begun is not None and begun != event.steering:
            what = f"{_name(event)} holds another steering than its first call on `calls`."
            self._findings.diverged("steering", record, record.offset, what, recorded=event.steering, decided=begun)

    def take(self, request_id: str, attempt: int) -> CallAnswered | None:
        """The answer to an attempt at a request, returned once; None when `calls` has none."""
        wanted = request_id, attempt
        while wanted not in self._waiting:
            record = self._stream.take()
            if record is None:
                return None
            event = self._first_answer(record)
            if event is not None:
                self.count += 1
                self._waiting[event.request_id, event.attempt] = event
        return self._waiting.pop(wanted)

    def expect_none(self, request_id: str, report: Callable[[CallAnswered], None]) -> None:
        """`drain` reports the answers to this request that were not taken."""
        self._none[request_id] = report

    def drain(self) -> None:
        """Read to the end of `calls`, for repeats, unreadable records, and answers that there should not be."""
        for answer in self._waiting.values():
            self._check_none(answer)
        while (record := self._stream.take()) is not None:
            found = self._first_answer(record)
            if found is not None:
                self._check_none(found)

    def _check_none(self, answer: CallAnswered) -> None:
        report = self._none.get(answer.request_id)
        if report is not None:
            report(answer)

    def _first_answer(self, record: Record) -> CallAnswered | None:
        """The answer that a record holds, unless it is a repeat."""
        event = record.event
        if event is None:
            self._findings.cannot_read(record, str(record.error))
        if isinstance(event, CallStarted) and event.steering is not None:
            self._steerings.setdefault(event.generation_id, event.steering)
        if isinstance(event, CallAnswered) and self._repeats.fresh(record, event, content(record)):
            return event
        return None


class PoolHistory:
    """The pool after each record of `seed-commands`.

    known   the last record before the next command, repeats too
    """

    def __init__(self, pool: SeedPool) -> None:
        self.known = -1
        self._offsets = [-1]
        self._pools = [_ids(pool)]

    def add(self, pool: SeedPool) -> None:
        """Remember the pool as it is now."""
        ids = _ids(pool)
        if ids != self._pools[-1]:
            self._offsets.append(pool.commands_offset)
            self._pools.append(ids)

    def at(self, offset: int) -> tuple[str, ...]:
        """Ids of the seeds in the pool, in its order, after the command at `offset`."""
        return self._pools[bisect_right(self._offsets, offset) - 1]


def _ids(pool: SeedPool) -> tuple[str, ...]:
    return tuple(seed.task.id for seed in pool.active)


def check_lane(findings: Findings, record: Record, event: InstructionsGenerated, lanes: LaneNumbers) -> None:
    """Check that a lane's numbers have no gap, unless records could not be read."""
    last = lanes.last.get(event.lane, -1)
    if event.number > last + 1 and not findings.unreadable_by_topic["generated"]:
        what = f"{_name(event)} is after generation {last}; those between are not on the log."
        findings.diverged("lane", record, record.offset, what, recorded=event.number, decided=last + 1)


def check_read(findings: Findings, record: Record, event: InstructionsGenerated) -> None:
    """Check that parsing the answers again gives the instructions, unparsed parts and scores. A generation from seeds
    without answers is passed over: its endpoint refused it, or its instructions are imported."""
    answers = by_step(event)
    if event.style == DOCUMENTS:
        _check_candidates(findings, record, event, answers)
    elif event.answers:
        parsed = read(form_of(event), answers) if 0 in answers else ParsedAnswers((), ())
        _compare_read(findings, record, event, parsed)


def _check_candidates(
    findings: Findings, record: Record, event: InstructionsGenerated, answers: Mapping[int, CallAnswered]
) -> None:
    if is_withdrawn(event):
        return
    found = read_candidates(form_of(event), answers)
    if event.answers or event.instructions:  # else all its requests were refused
        _compare_read(findings, record, event, ParsedAnswers(found.instructions, found.unparsed, found.cut))
    if event.scores != found.scores:
        what = f"{_name(event)} holds other scores than its answers parse to."
        findings.misdecided("read", record, record.offset, what, recorded=event.scores, decided=found.scores)


def _compare_read(findings: Findings, record: Record, event: InstructionsGenerated, parsed: ParsedAnswers) -> None:
    recorded = ParsedAnswers(event.instructions, event.unparsed, event.cut)
    if parsed == recorded:
        return
    one, other = next(
        (pair for pair in zip_longest(chain(*recorded), chain(*parsed)) if pair[0] != pair[1]),
        (len(event.instructions), len(parsed[0])),  # only where instructions end and the rest begins differs
    )
    what = f"{_name(event)} holds other instructions than its answers parse to."
    findings.misdecided("read", record, record.offset, what, recorded=one, decided=other)


def check_shown(
    findings: Findings,
    record: Record,
    event: InstructionsGenerated,
    policy: Policy,
    pools: PoolHistory,
    kept: Sequence[InstructionKept],
    history: SteeringHistory | None = None,
) -> None:
    """Check that the generation was shown what its lane and number draw: seeds of the pool, and in some styles
    instructions kept by then beside them; one from a segment, neither. `kept` is in total order.

    history   of the decisions so far, where the policy steers requests: seeds and the rest of the request follow it
    """
    if event.style == DOCUMENTS:
        if event.seed_ids or event.kept_shown is not None or event.steering is not None:
            recorded = event.seed_ids, event.kept_shown, event.steering
            _report_shown(findings, record, event, "seeds or kept instructions, though it has a segment", recorded, ())
        return
    if not _check_steering(findings, record, event, history):
        return  # its seeds follow from what is not known
    shown_kept = 0
    if event.kept_shown is not None:
        shown_kept = len(event.kept_shown.ids)
        _check_kept(findings, record, event, event.kept_shown, policy, kept)
    if event.seed_commands_offset > pools.known:
        what = f"seeds as of {event.seed_commands_offset} of seed-commands, which was not written yet"
        _report_shown(findings, record, event, what, event.seed_commands_offset, pools.known)
        return
    pool = pools.at(event.seed_commands_offset)
    if history is None or event.steering is None:
        slots = sampled(len(pool), policy.seeds_per_request, policy.rng_seed, event.lane, event.number)
    else:
        slots = history.choose(pool, event.lane, event.number, event.steering.as_of)
    sample = tuple(pool[slot] for slot in beside(tuple(slots), shown_kept))
    if sample != event.seed_ids:
        what = "other seeds than its lane, number and the pool give"
        if history is not None:
            what += ", with what each had brought by then"
        _report_shown(findings, record, event, what, event.seed_ids, sample)


def _check_kept(
    findings: Findings,
    record: Record,
    event: InstructionsGenerated,
    shown: KeptShown,
    policy: Policy,
    rows: Sequence[InstructionKept],
) -> None:
    if shown.as_of >= record.offset:
        what = f"instructions kept as of {shown.as_of} of generated, which was not decided yet"
        _report_shown(findings, record, event, what, shown.as_of, record.offset - 1)
        return
    size = bisect_right(rows, shown.as_of, key=lambda row: row.generated_offset)
    slots = drawn(size, policy.seeds_per_request, policy.rng_seed, event.lane, event.number)
    sample = tuple(rows[slot].id for slot in slots)
    if sample != shown.ids:
        what = "other kept instructions than its lane, number and the rows kept by then give"
        _report_shown(findings, record, event, what, shown.ids, sample)


def _check_steering(
    findings: Findings, record: Record, event: InstructionsGenerated, history: SteeringHistory | None
) -> bool:
    """Check that its request followed what was decided by the recorded offset; whether that offset can be used."""
    report = partial(findings.diverged, "steering", record, record.offset)
    if history is None or event.steering is None:
        if history is None and event.steering is None:
            return True
        what = "holds steering, which the policy rules out" if history is None else "lacks the steering that is due"
        report(f"{_name(event)} {what}.", recorded=event.steering, decided=None)
        return False
    as_of = event.steering.as_of
    if as_of >= record.offset:
        what = f"{_name(event)} followed the verdict on {as_of} of generated, which was not decided yet."
        report(what, recorded=as_of, decided=record.offset - 1)
        return False
    decided = history.steering(event.style, event.parameters, event.lane, event.number, as_of)
    if decided != event.steering:
        what = f"{_name(event)} asked for something else than the verdicts up to {as_of} of generated give."
        report(what, recorded=event.steering, decided=decided)
    return True


def _report_shown(
    findings: Findings, record: Record, event: InstructionsGenerated, what: str, recorded: object, decided: object
) -> None:
    what = f"{_name(event)} was shown {what}."
    findings.diverged("seeds_shown", record, record.offset, what, recorded=recorded, decided=decided)


def _name(event: InstructionsGenerated) -> str:
    return f"Generation {event.number} of lane {event.lane!r}"
