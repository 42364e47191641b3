"""What a run's calls were for, with what they took (`streams.core.spent`): a fold of the events that hold them.

    lists              instructions alone, or whole tasks (`alpaca`), or candidates for a segment
    scoring            of candidates for segments
    answers            to instructions that are kept, and used
    answers_rejected   to instructions that the filter rejected: what answering kept ones alone saves
    answers_unused     to kept instructions, whose answer is not used
    judging            of kept rows
    preview            of generations asked for before one pays; they are on `calls` only
    evaluation         answers to evaluation prompts, and judgements of them
    undecided          answers to instructions that have no verdict yet
    unwritten          answers that no event uses: of work that is not written yet or never was, and paid for twice
    failed             attempts without a usable answer
    lost               attempts without an outcome: nobody knows what they took

Together they are the ended calls of the ledger.
Repeats are left out before. Answers of a generation wait for its verdict.
"""

from copy import copy
from dataclasses import dataclass, field
from typing import Literal, get_args

import msgspec

from schemas import evaluation, events
from schemas.events import CallAnswered
from schemas.policy import Policy
from streams.core.answering import answers_later
from streams.core.parse.answers import by_step
from streams.core.preview import is_preview
from streams.core.spent import Spent
from streams.core.steps import DOCUMENTS, place_of, scoring_step

Purpose = Literal[
    "lists",
    "scoring",
    "answers",
    "answers_rejected",
    "answers_unused",
    "judging",
    "preview",
    "evaluation",
    "undecided",
    "unwritten",
    "failed",
    "lost",
]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

_DIGITS = 9  # of a dollar


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What answering kept instructions alone saves, or would have saved; an estimate where the answers were not made.

    instructions   rejected without an answer, or with one
    estimated      whether calls, tokens and money are those of as many mean answers of this run
    tokens, usd    None where those of an answer are not known
    share_of_calls, share_of_tokens   of what answering all instructions takes; None where there is nothing
    """

    instructions: int
    estimated: bool
    calls: float
    tokens: float | None
    usd: float | None
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
    _on_calls: Spent = field(default_factory=Spent)  # every answer on `calls`
    _answered: int = 0  # kept instructions with an answer of their own, used or not
    _rejected_answered: int = 0
    _previewed: set[str] = field(default_factory=set)  # requests of previews
    _generations: set[str] = field(default_factory=set)
    _undecided: dict[str, _Undecided] = field(default_factory=dict)
    _early: dict[str, frozenset[int]] = field(default_factory=dict)  # verdicts before their generation

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
                    self._early.setdefault(event.generation_id, rejected)
            case events.InstructionAnswered():
                self.spent["answers" if event.reason is None else "answers_unused"].add_answers(event.answers)
                self._answered += bool(event.answers)
            case events.InstructionJudged():
                self.spent["judging"].add_answers(event.answers)
            case evaluation.AnswerGiven() | evaluation.AnswersJudged():
                self.spent["evaluation"].add_answers(event.answers)
            case events.CallStarted() if is_preview(event.lane):
                self._previewed.add(event.request_id)
            case events.CallAnswered():
                self._on_calls.add_answers([event])
                if event.request_id in self._previewed:
                    self.spent["preview"].add_answers([event])
            case events.CallFailed():
                self.spent["failed"].add_failure(event)
            case _:
                pass

    def by_purpose(self, lost: int) -> dict[Purpose, Spent]:
        """What was spent for each purpose until now. `lost`: the ledger's lost calls."""
        found = {purpose: copy(spent) for purpose, spent in self.spent.items()}
        for generation in self._undecided.values():
            for answers in generation.by_place.values():
                found["undecided"].add_answers(answers)
        found = {purpose: _rounded(spent) for purpose, spent in found.items()}
        used = Spent()
        for purpose, spent in found.items():
            if purpose != "failed":
                used.merge(spent)
        found["lost"].add_unknown(lost)
        found["unwritten"] = _rounded(_beyond(self._on_calls, used))
        return found

    def saving(self) -> Saving | None:
        """What answering kept instructions alone saves; None for a run without answers apart from lists."""
        if not (self._answered or self._rejected_answered):
            return None
        rejected, others = _rounded(self.spent["answers_rejected"]), _rounded(self.spent["answers"])
        others.merge(_rounded(self.spent["answers_unused"]))
        estimated = self.rejected_unanswered > 0
        each = self.rejected_unanswered / self._answered if estimated and self._answered else 0.0
        calls = rejected.calls + each * others.calls
        tokens = _plus(rejected.tokens, each, others.tokens)
        usd = _plus(rejected.cost_usd, each, others.cost_usd)
        made, taken = copy(others), None
        made.merge(self.spent["lists"])
        if tokens is not None and made.tokens is not None:
            taken = tokens + made.tokens
        return Saving(
            instructions=self.rejected_unanswered + self._rejected_answered,
            estimated=estimated,
            calls=calls,
            tokens=tokens,
            usd=usd,
            share_of_calls=calls / (calls + made.calls) if calls + made.calls else None,
            share_of_tokens=tokens / taken if tokens is not None and taken else None,
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
                self.spent["scoring"].add_answers([answer])
            elif place is None:
                self.spent["lists"].add_answers([answer])
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
            self.spent["answers_rejected" if place in rejected else "answers"].add_answers(answers)
            if place in rejected:
                self._rejected_answered += 1
            else:
                self._answered += 1
        self.rejected_unanswered += len(found.unanswered & rejected)


def _rounded(spent: Spent) -> Spent:
    """A copy without the last digits of the money, which depend on the order in which it was summed up: so a fold that
    goes on from a snapshot gives what one from the start gives."""
    found = copy(spent)
    found.known_cost_usd = round(spent.known_cost_usd, _DIGITS)
    return found


def _plus(known: float | None, times: float, each: float | None) -> float | None:
    """A sum with so many times another part; None when a part of it is not known."""
    if not times:
        return known
    return None if known is None or each is None else known + times * each


def _beyond(whole: Spent, part: Spent) -> Spent:
    """What a sum has beyond a part of it; nothing where the log holds only the part."""
    rest = {name: max(0, getattr(whole, name) - getattr(part, name)) for name in Spent.__struct_fields__}
    return Spent(**{**rest, "known_cost_usd": rest["known_cost_usd"] if rest["calls"] else 0.0})
