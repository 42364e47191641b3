"""What is checked of a generation before the filter's decision on it: its lane, what it was shown, its answers.

The numbers of a lane follow one another; the seeds are the sample that the run's rng draws from the pool as the
recorded position in `seed-commands` left it, and kept instructions shown beside them the draw from what was kept by the
recorded position in `generated`; each answer is the one that the ledger of calls holds for its request; the
instructions are those that its answers say.
"""

from bisect import bisect_right
from collections.abc import Collection
from itertools import chain, zip_longest

from consumers.replay.effects import EffectStream, content
from consumers.replay.findings import Findings, place_of
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas.events import CallAnswered, InstructionKept, InstructionsGenerated, KeptShown
from schemas.policy import Policy
from streams.core.kept_so_far import beside, drawn
from streams.core.lanes import LaneNumbers
from streams.core.parse.answers import ParsedAnswers, by_step, form_of, read
from streams.core.seeds import SeedPool, sampled


class GenerationAnswers:
    """`calls`, read as far as the answers of the generations seen need it; holds those of generations to come."""

    def __init__(self, stream: EffectStream, findings: Findings) -> None:
        self._stream = stream
        self._findings = findings
        self._said = RepeatCheck(findings)
        self._waiting: dict[tuple[str, int], CallAnswered] = {}
        self.count = 0

    def check(self, record: Record, event: InstructionsGenerated) -> None:
        for answer in event.answers:
            on_ledger = self.take(answer.request_id, answer.attempt)
            if on_ledger == answer:
                continue
            what = "another answer than the ledger of calls" if on_ledger else "an answer that is not on `calls`"
            self._findings.diverged(
                "answer",
                place_of(record),
                record.offset,
                f"Generation {event.number} of lane {event.lane!r} holds {what}, to request {answer.request_id}, "
                f"attempt {answer.attempt}.",
                id=record.id,
                recorded=answer,
                decided=on_ledger,
            )

    def take(self, request_id: str, attempt: int) -> CallAnswered | None:
        """The answer to an attempt at a request, given once; None when the ledger has none."""
        wanted = request_id, attempt
        while wanted not in self._waiting:
            record = self._stream.take()
            if record is None:
                return None
            event = self._answer(record)
            if event is not None:
                self.count += 1
                self._waiting[event.request_id, event.attempt] = event
        return self._waiting.pop(wanted)

    def drain(self) -> None:
        """Read to the end of `calls`, for repeats and what cannot be read there."""
        while (record := self._stream.take()) is not None:
            self._answer(record)

    def _answer(self, record: Record) -> CallAnswered | None:
        """The answer that a record holds for the first time."""
        event = record.event
        if event is None:
            self._findings.cannot_read(record, str(record.error))
        fresh = isinstance(event, CallAnswered) and self._said.fresh(
            record, f"{event.request_id}/{event.attempt}", content(record)
        )
        return event if fresh else None  # type: ignore[return-value]


class PoolHistory:
    """The pool as each record of `seed-commands` left it."""

    def __init__(self, pool: SeedPool) -> None:
        self._offsets = [-1]
        self._pools = [_ids(pool)]

    def add(self, pool: SeedPool) -> None:
        """Remember the pool after its last command."""
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
    """Numbers of a lane follow one another, but for those of records that could not be read."""
    last = lanes.last.get(event.lane, -1)
    if event.number > last + 1 and not findings.unreadable_by_topic["generated"]:
        findings.diverged(
            "lane",
            place_of(record),
            record.offset,
            f"Generation {event.number} of lane {event.lane!r} stands after generation {last}; those between are not "
            "on the log.",
            id=record.id,
            recorded=event.number,
            decided=last + 1,
        )


def check_read(findings: Findings, record: Record, event: InstructionsGenerated) -> None:
    """The instructions are those read from the answers, and what could not be read is told. A generation without any
    answer has nothing to be read again: its endpoint refused it, or its instructions came from elsewhere."""
    if not event.answers:
        return
    answers = by_step(event)
    said = read(form_of(event), answers) if 0 in answers else ParsedAnswers((), ())
    recorded = ParsedAnswers(event.instructions, event.unparsed, event.cut)
    if said == recorded:
        return
    one, other = next(
        (pair for pair in zip_longest(chain(*recorded), chain(*said)) if pair[0] != pair[1]),
        (len(event.instructions), len(said[0])),  # only where instructions end and the rest begins differs
    )
    findings.misdecided(
        "read",
        place_of(record),
        record.offset,
        f"What generation {event.number} of lane {event.lane!r} holds as read from its answers is not what they say.",
        id=record.id,
        recorded=one,
        decided=other,
    )


def check_shown(
    findings: Findings,
    record: Record,
    event: InstructionsGenerated,
    policy: Policy,
    pools: PoolHistory,
    known: int,
    kept: Collection[InstructionKept],
) -> None:
    """What was shown is what the lane and number give: seeds of the pool, and beside them, in a style that shows
    some, instructions of those kept by then. `known` commands have been applied; `kept` is in the order of keeping.
    """
    if event.kept_shown is not None:
        _check_kept(findings, record, event, event.kept_shown, policy, kept)
    if event.seed_commands_offset > known:
        findings.diverged(
            "seeds_shown",
            place_of(record),
            record.offset,
            f"Generation {event.number} of lane {event.lane!r} was shown seeds as of {event.seed_commands_offset} of "
            f"seed-commands, which was not there yet.",
            id=record.id,
            recorded=event.seed_commands_offset,
            decided=known,
        )
        return
    pool = pools.at(event.seed_commands_offset)
    slots = sampled(len(pool), policy.seeds_per_request, policy.rng_seed, event.lane, event.number)
    sample = tuple(
        pool[slot] for slot in beside(tuple(slots), 0 if event.kept_shown is None else len(event.kept_shown.ids))
    )
    if sample != event.seed_ids:
        findings.diverged(
            "seeds_shown",
            place_of(record),
            record.offset,
            f"Generation {event.number} of lane {event.lane!r} was shown other seeds than its lane, number and the "
            "pool give.",
            id=record.id,
            recorded=event.seed_ids,
            decided=sample,
        )


def _check_kept(
    findings: Findings,
    record: Record,
    event: InstructionsGenerated,
    shown: KeptShown,
    policy: Policy,
    kept: Collection[InstructionKept],
) -> None:
    if shown.as_of >= record.offset:
        findings.diverged(
            "seeds_shown",
            place_of(record),
            record.offset,
            f"Generation {event.number} of lane {event.lane!r} was shown instructions kept as of {shown.as_of} of "
            "generated, which was not decided yet.",
            id=record.id,
            recorded=shown.as_of,
            decided=record.offset - 1,
        )
        return
    rows = list(kept)
    size = bisect_right(rows, shown.as_of, key=lambda row: row.generated_offset)
    slots = drawn(size, policy.seeds_per_request, policy.rng_seed, event.lane, event.number)
    sample = tuple(rows[slot].id for slot in slots)
    if sample != shown.ids:
        findings.diverged(
            "seeds_shown",
            place_of(record),
            record.offset,
            f"Generation {event.number} of lane {event.lane!r} was shown other kept instructions than its lane, number "
            "and what was kept by then give.",
            id=record.id,
            recorded=shown.ids,
            decided=sample,
        )
