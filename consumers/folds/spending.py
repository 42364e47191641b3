"""What a run's answers were for, in calls, tokens and money: a fold of the events that hold them.

    lists              instructions alone, or whole tasks (`alpaca`), or candidates for a segment
    scoring            of candidates for segments
    answers            to instructions that are kept, and used
    answers_rejected   to instructions that the filter rejected: what answering kept ones alone saves
    answers_unused     to kept instructions, whose answer is not used
    judging            of kept rows
    preview            of generations that were asked for before one pays, and are on `calls` only

Repeats are left out before. What no event names is not here: failed attempts, lost ones, and answers of generations
that were never written; the ledger has them. Answers of a generation wait for its verdict.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import msgspec

from schemas import events
from schemas.events import CallAnswered
from schemas.policy import Policy
from streams.core.answering import answers_later
from streams.core.parse.answers import by_step
from streams.core.preview import is_preview
from streams.core.steps import DOCUMENTS, place_of, scoring_step

Purpose = Literal["lists", "scoring", "answers", "answers_rejected", "answers_unused", "judging", "preview"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


class Spent(msgspec.Struct, kw_only=True):
    """Answers for one purpose.

    without_usage, without_cost   those that report none: tokens and money are at least what they are here
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    without_usage: int = 0
    without_cost: int = 0

    def add(self, answers: Iterable[CallAnswered]) -> None:
        for answer in answers:
            self.calls += 1
            self.without_usage += answer.usage is None
            self.without_cost += answer.cost_usd is None
            self.usd += answer.cost_usd or 0.0
            if answer.usage is not None:
                self.prompt_tokens += answer.usage.prompt_tokens
                self.completion_tokens += answer.usage.completion_tokens

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What answering kept instructions alone saves, or would have saved; an estimate where the answers were not made.

    instructions   rejected without an answer, or with one
    estimated      whether calls, tokens and money are those of as many mean answers of this run
    share_of_calls, share_of_tokens   of what answering all instructions takes; None where there is nothing
    """

    instructions: int
    estimated: bool
    calls: float
    tokens: float
    usd: float
    share_of_calls: float | None
    share_of_tokens: float | None


@dataclass
class _Undecided:
    """A generation's answers by the place of their instruction, until its verdict."""

    by_place: dict[int, list[CallAnswered]]
    unanswered: frozenset[int]


@dataclass
class SpendingFold:
    """The state, of a run with this policy.

    rejected_unanswered   instructions that were rejected before their answer was asked for
    """

    policy: Policy
    spent: dict[Purpose, Spent] = field(default_factory=lambda: {purpose: Spent() for purpose in PURPOSES})
    rejected_unanswered: int = 0
    _answered: int = 0  # kept instructions with an answer of their own, used or not
    _rejected_answered: int = 0
    _previewed: set[str] = field(default_factory=set)  # requests of previews
    _generations: set[str] = field(default_factory=set)
    _undecided: dict[str, _Undecided] = field(default_factory=dict)
    _early: dict[str, frozenset[int]] = field(default_factory=dict)  # verdicts that came before their generation

    def apply(self, event: events.Event, id: str) -> None:
        """Apply an event that is no repeat; `id` is its CloudEvents id."""
        match event:
            case events.InstructionsGenerated():
                self._generated(event, id)
            case events.InstructionsRejected() if event.generation_id:
                rejected = frozenset(rejection.place for rejection in event.rejections)
                if event.generation_id in self._undecided:
                    self._decide(self._undecided.pop(event.generation_id), rejected)
                else:
                    self._early[event.generation_id] = rejected
            case events.InstructionAnswered():
                self.spent["answers" if event.reason is None else "answers_unused"].add(event.answers)
                self._answered += bool(event.answers)
            case events.InstructionJudged():
                self.spent["judging"].add(event.answers)
            case events.CallStarted() if is_preview(event.lane):
                self._previewed.add(event.request_id)
            case events.CallAnswered() if event.request_id in self._previewed:
                self.spent["preview"].add([event])
            case _:
                pass

    def saving(self) -> Saving | None:
        """What answering kept instructions alone saves; None for a run without answers apart from lists."""
        kept, rejected = self.spent["answers"], self.spent["answers_rejected"]
        unused = self.spent["answers_unused"]
        if not (self._answered or self._rejected_answered):
            return None
        estimated = self.rejected_unanswered > 0
        calls, tokens, usd = float(rejected.calls), float(rejected.tokens), rejected.usd
        if estimated and self._answered:
            each = self.rejected_unanswered / self._answered
            calls += each * (kept.calls + unused.calls)
            tokens += each * (kept.tokens + unused.tokens)
            usd += each * (kept.usd + unused.usd)
        lists = self.spent["lists"]
        made = calls + kept.calls + unused.calls + lists.calls
        taken = tokens + kept.tokens + unused.tokens + lists.tokens
        return Saving(
            instructions=self.rejected_unanswered + self._rejected_answered,
            estimated=estimated,
            calls=calls,
            tokens=tokens,
            usd=usd,
            share_of_calls=calls / made if made else None,
            share_of_tokens=tokens / taken if taken else None,
        )

    def _generated(self, event: events.InstructionsGenerated, id: str) -> None:
        if id in self._generations:  # one that the filter could not read, put on the log again
            return
        self._generations.add(id)
        by_place: dict[int, list[CallAnswered]] = {}
        candidates = event.parameters.get("candidates")
        scoring = scoring_step(candidates) if event.style == DOCUMENTS and isinstance(candidates, int) else None
        for step, answer in by_step(event).items():
            place = place_of(event.style, step)
            if step == scoring:
                self.spent["scoring"].add([answer])
            elif place is None:
                self.spent["lists"].add([answer])
            else:
                by_place.setdefault(place, []).append(answer)
        listed_alone = answers_later(self.policy, event.style)
        waiting = _Undecided(by_place, frozenset(range(len(event.instructions)) if listed_alone else ()))
        if id in self._early:
            self._decide(waiting, self._early.pop(id))
        else:
            self._undecided[id] = waiting

    def _decide(self, found: _Undecided, rejected: frozenset[int]) -> None:
        for place, answers in found.by_place.items():
            self.spent["answers_rejected" if place in rejected else "answers"].add(answers)
            if place in rejected:
                self._rejected_answered += 1
            else:
                self._answered += 1
        self.rejected_unanswered += len(found.unanswered & rejected)
