"""The kept rows and the generations of a run, by the producer that they come from.

A generation with a segment is the second producer's (`goliath`), any other the first one's (`sedi`). Records may come
in any order of topics, so what one topic says is joined at the end, with what the run's fold counts: repeats and
undecided generations are left out there. Memory: some 300 bytes for each generation, and the texts of kept
instructions; no outputs and no documents.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from consumers.folds.run_fold import RunFold
from schemas.events import Event, InstructionAnswered, InstructionKept, InstructionsGenerated, InstructionsRejected
from schemas.segments import Scorer, Strategy
from streams.core.documents.choice import (
    COPIES_SEGMENT,
    HIGHER_PERPLEXITY,
    LOW_GAIN,
    NOT_SCORED,
    OVER_CANDIDATES,
    STRATEGY_OFF,
)
from streams.core.similarity.tokenize import Tokenizer, tokenizer

Producer = Literal["sedi", "goliath"]

NO_CANDIDATE = "no_candidate"
"""Why a segment gave no row when no instruction was read from the answers."""

_STAGES = (STRATEGY_OFF, OVER_CANDIDATES, "cut_output")
_LATE_STAGES = (COPIES_SEGMENT, NOT_SCORED, HIGHER_PERPLEXITY, LOW_GAIN, "similar")
_RULES = len(_STAGES)


@dataclass(frozen=True, slots=True)
class CountedSegment:
    """What a comparison needs of a segment and its scores; perplexities and gains by place."""

    document_id: str
    strategy: Strategy
    scorer: Scorer | None
    perplexities: tuple[float | None, ...]
    gains: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ProducerGeneration:
    """A decided generation. `rejected` has a reason for each rejected candidate, by place."""

    style: str
    candidates: int
    rejected: tuple[str, ...]
    segment: CountedSegment | None

    @property
    def producer(self) -> Producer:
        return "sedi" if self.segment is None else "goliath"

    @property
    def kept(self) -> int:
        return self.candidates - len(self.rejected)

    @property
    def without_row(self) -> str | None:
        """Why a segment gave no row: the reason of the candidate that came furthest in the filter; None if it did."""
        if self.segment is None or self.kept:
            return None
        return max(self.rejected, key=_stage, default=NO_CANDIDATE)


@dataclass(frozen=True, slots=True)
class ProducerRow:
    """A kept row.

    instruction_tokens, output_tokens   lengths in tokens of the run's similarity; of the output None without one
    strategy, document_id               of its segment; None of the first producer
    scorer                              of its segment; None: not scored, or no segment
    perplexity, gain                    of its segment after its instruction; None: not scored, or no segment. The
                                        perplexity may be infinite
    scores                              by judge; rows without a score are left out
    """

    id: str
    generated_offset: int
    place: int
    style: str
    instruction: str
    cluster: int
    instruction_tokens: int
    output_tokens: int | None
    strategy: Strategy | None
    document_id: str | None
    scorer: Scorer | None
    perplexity: float | None
    gain: float | None
    scores: dict[str, float]

    @property
    def producer(self) -> Producer:
        return "sedi" if self.document_id is None else "goliath"

    @property
    def unit(self) -> str:
        """What was sampled for it: its document, or its generation. Rows of one unit are not independent."""
        return self.document_id or str(self.generated_offset)


@dataclass(frozen=True)
class ProducerRun:
    """A run's rows in the order they were decided, and its generations.

    in_document   share of a row's output tokens that stand in its document, by row id; a row is absent if its document
                  is not on the log, or its output has no token
    """

    run: str
    tokenizer: Tokenizer
    rows: tuple[ProducerRow, ...]
    generations: tuple[ProducerGeneration, ...]
    in_document: dict[str, float] = field(default_factory=dict)

    @property
    def has_segments(self) -> bool:
        return any(generation.segment is not None for generation in self.generations)


@dataclass(frozen=True, slots=True)
class _Kept:
    id: str
    instruction: str
    cluster: int
    instruction_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class _Generated:
    style: str
    candidates: int
    segment: CountedSegment | None


@dataclass
class ProducerFold:
    """The state of one pass over a run. Give it every event once, with the offset of its record."""

    tokenizer: Tokenizer
    _generated: dict[int, _Generated] = field(default_factory=dict)
    _scorers: dict[Scorer, Scorer] = field(default_factory=dict)
    _kept: dict[tuple[int, int], _Kept] = field(default_factory=dict)
    _rejected: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _outputs: dict[str, int] = field(default_factory=dict)  # tokens of answers that are used, by id of their row

    def apply(self, event: Event | None, offset: int) -> None:
        """Take an event into account; the first of equal ones counts."""
        match event:
            case InstructionsGenerated():
                self._generated[offset] = _Generated(event.style, len(event.instructions), self._counted(event))
            case InstructionKept():
                self._kept.setdefault((event.generated_offset, event.place), self._row(event))
            case InstructionAnswered(row=row, reason=None):
                self._outputs.setdefault(row.id, len(self.tokenizer(row.output)))
            case InstructionsRejected():
                reasons = tuple(rejection.reason for rejection in event.rejections)
                self._rejected.setdefault(event.generated_offset, reasons)
            case _:
                pass

    def finish(self, fold: RunFold) -> ProducerRun:
        """What was read, as far as the run's fold of the same records counts it."""
        verdicts = fold.verdicts
        counted = {
            offset: self._generated[offset]
            for offset in sorted(verdicts.generations)
            if offset <= verdicts.decided_offset and offset in self._rejected
        }
        return ProducerRun(
            run=fold.configured.run,
            tokenizer=self.tokenizer,
            rows=tuple(
                _joined(kept, offset, place, counted[offset], fold, self._output_tokens(kept, fold))
                for (offset, place), kept in sorted(self._kept.items())
                if offset in counted
            ),
            generations=tuple(
                ProducerGeneration(found.style, found.candidates, self._rejected[offset], found.segment)
                for offset, found in counted.items()
            ),
        )

    def _output_tokens(self, kept: _Kept, fold: RunFold) -> int | None:
        answered_apart = fold.configured.policy.answer == "kept"
        return self._outputs.get(kept.id) if answered_apart else kept.output_tokens

    def _row(self, event: InstructionKept) -> _Kept:
        lengths = len(self.tokenizer(event.instruction)), len(self.tokenizer(event.output))
        return _Kept(event.id, event.instruction, event.cluster, *lengths)

    def _counted(self, event: InstructionsGenerated) -> CountedSegment | None:
        segment, scores, places = event.segment, event.scores, range(len(event.instructions))
        if segment is None:
            return None
        return CountedSegment(
            segment.document_id,
            segment.strategy,
            None if scores is None else self._scorers.setdefault(scores.scorer, scores.scorer),
            tuple(None if scores is None else scores.perplexity(place) for place in places),
            tuple(None if scores is None else scores.gain(place) for place in places),
        )


def fold_for(tokenizer_name: str) -> ProducerFold:
    """The state before the first record of a run whose policy names this tokenizer."""
    return ProducerFold(tokenizer(tokenizer_name))


def reasons_of(generations: Sequence[ProducerGeneration]) -> dict[str, int]:
    """The rejected candidates by reason, the most frequent first."""
    return ranked(Counter(reason for generation in generations for reason in generation.rejected))


def without_row(generations: Sequence[ProducerGeneration]) -> dict[str, int]:
    """The segments that gave no row by reason, the most frequent first."""
    return ranked(Counter(reason for generation in generations if (reason := generation.without_row) is not None))


def ranked(counts: Counter[str]) -> dict[str, int]:
    """Counts, the highest first; equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _stage(reason: str) -> int:
    """How far a candidate came in the filter before it was rejected for this reason; a rule is in the middle."""
    if reason in _STAGES:
        return _STAGES.index(reason)
    return _RULES + 1 + _LATE_STAGES.index(reason) if reason in _LATE_STAGES else _RULES


def _joined(
    kept: _Kept, offset: int, place: int, generated: _Generated, fold: RunFold, output: int | None
) -> ProducerRow:
    segment = generated.segment
    scored = segment is not None and place < len(segment.perplexities)
    return ProducerRow(
        id=kept.id,
        generated_offset=offset,
        place=place,
        style=generated.style,
        instruction=kept.instruction,
        cluster=kept.cluster,
        instruction_tokens=kept.instruction_tokens,
        output_tokens=output,
        strategy=None if segment is None else segment.strategy,
        document_id=None if segment is None else segment.document_id,
        scorer=None if segment is None else segment.scorer,
        perplexity=segment.perplexities[place] if segment is not None and scored else None,
        gain=segment.gains[place] if segment is not None and scored else None,
        scores={
            judge: score for judge, found in fold.judged.items() if (score := found.scores.get(kept.id)) is not None
        },
    )
