"""What an estimate is made from: generations with their yield, calls and time, of a preview or of a run's log."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from consumers.folds.deduplicate import Deduplicator
from consumers.folds.verdicts import VerdictFold
from consumers.folds.yield_curve import PointSums, YieldPoint
from infra.log.run import configuration
from infra.log.source import Source
from schemas.events import (
    CallAnswered,
    CallFailed,
    CallStarted,
    InstructionAnswered,
    InstructionsGenerated,
    InstructionsRejected,
)
from streams.core.call_sums import CallSums, Price
from streams.core.ledger import Ledger

_TOPICS = ("calls", "generated", "rejected", "answered")
_BREAK_S = 300.0  # between two generations: the run was not at work


class GenerationSample(msgspec.Struct, frozen=True, kw_only=True):
    """One generation, or several in a row.

    requests   its own calls; in a run that answers all, those for the answers are among them
    answered   kept instructions whose answer was asked for afterwards; `answers`: the calls for it
    wall_s     seconds since the generation before; None: not known
    """

    generated: int
    kept: int
    requests: CallSums
    answered: int = 0
    answers: CallSums = CallSums()
    wall_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class CostHistory:
    """What a run has measured so far.

    samples              one for each decided generation, in order
    attempts             started attempts for each answer
    calls, tokens, usd   spent so far, for whatever purpose, as far as it is known
    unanswered           kept rows that wait for their answer, in a run that asks for them afterwards
    """

    samples: Sequence[GenerationSample]
    attempts: float
    calls: int
    tokens: int
    usd: float
    unanswered: int = 0

    @property
    def kept(self) -> int:
        return sum(sample.kept for sample in self.samples)


def points_from(samples: Sequence[GenerationSample]) -> list[YieldPoint]:
    """The yield as points, from the start of the run on."""
    sums = PointSums()
    for sample in samples:
        sums.add_counts(sample.generated, sample.kept, sample.requests.calls, sample.requests.tokens)
    return sums.points


def history_of(source: Source, price: Price) -> CostHistory:
    """The history of a run. `price`: of answers whose cost is not recorded. Raises RunError when there is no such run.

    An answer asked for after its instruction was kept is counted with that instruction's generation.
    """
    configured, _ = configuration(source)
    verdicts, ledger = VerdictFold(configured.policy), Ledger()
    requests: dict[int, tuple[CallSums, int]] = {}
    answers: dict[int, CallSums] = {}
    answered: Counter[int] = Counter()
    seen, rows = Deduplicator(), 0
    with source.open(_TOPICS) as reading:
        for record in reading.rest():
            match record.event:
                case CallStarted() | CallAnswered() | CallFailed() as event:
                    ledger.apply(event, record.id)
                case InstructionsGenerated() as event:
                    requests[record.offset] = CallSums.of(event.answers, price), record.timestamp_ms
                    verdicts.generated(event, record.id, record.offset)
                case InstructionsRejected() as event:
                    verdicts.reject(event)
                case InstructionAnswered() as event if seen.first(event, record.id):
                    rows += 1
                    if not event.answers:
                        continue
                    offset = event.row.generated_offset
                    answers[offset] = answers.get(offset, CallSums()) + CallSums.of(event.answers, price)
                    answered[offset] += 1
                case _ if record.topic == "generated":
                    verdicts.unreadable(record.offset)
    samples = []
    before_ms: int | None = None
    for offset in sorted(verdicts.generations.keys() & verdicts.totals.keys()):
        sums, at_ms = requests[offset]
        samples.append(
            GenerationSample(
                generated=verdicts.totals[offset].generated,
                kept=verdicts.totals[offset].kept,
                requests=sums,
                answered=answered[offset],
                answers=answers.get(offset, CallSums()),
                wall_s=None if before_ms is None else _worked_s(at_ms - before_ms),
            )
        )
        before_ms = at_ms
    return CostHistory(
        samples=samples,
        attempts=ledger.started / ledger.answered if ledger.answered else 1.0,
        calls=ledger.started,
        tokens=ledger.known_tokens,
        usd=ledger.known_cost_usd,
        unanswered=max(0, sum(sample.kept for sample in samples) - rows) if configured.policy.answer == "kept" else 0,
    )


def _worked_s(gap_ms: int) -> float | None:
    """The time between two generations; None where the run was not at work."""
    return max(0.0, gap_ms / 1000) if gap_ms <= 1000 * _BREAK_S else None
