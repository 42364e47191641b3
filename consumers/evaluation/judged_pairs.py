"""Judges' readings of pairs of answers, joined with the answers: what comparisons and strengths are computed of.

Of equal events, by id, the first on the log counts. A contender is a model under one set of conditions (system prompt,
examples, sampling), so a model with and without a system prompt is two. Contenders are in the order of their first
answers on the log. A prompt belongs to a set, which is a name together with the digest of its prompts.

A judgement of answers that are not on the log cannot be joined and does not count here; `sedi replay` reports it.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import msgspec

from consumers.folds.deduplicate import ReadProgress, first_events, no_progress, records
from infra.log.source import Source
from schemas.evaluation import AnswerGiven, AnswerOutcome, AnswersJudged, Asked
from streams.core.evaluation.outcomes import BothOrders, Scores

ALL = "all"
"""The name of all sets together."""

_NO_SHA256 = "0" * 64


@dataclass(frozen=True)
class Contender:
    """A model under one set of conditions, which are the same for all sets of prompts.

    model       its key
    conditions  key of the conditions without the set
    system      the system prompt
    others      the other conditions in words, where the same model and system prompt are there under several; or empty
    """

    model: str
    conditions: str
    system: str = field(compare=False)
    others: str = field(default="", compare=False)


@dataclass(frozen=True, order=True)
class SetOfPrompts:
    """A set of prompts, by name and digest."""

    name: str
    sha256: str


@dataclass(frozen=True)
class GivenAnswer:
    """An answer without its text: id, outcome and length in characters."""

    id: str
    outcome: AnswerOutcome
    characters: int

    @property
    def there(self) -> bool:
        """Whether there is a text to judge."""
        return self.outcome in ("answered", "cut")


@dataclass(frozen=True)
class PairedPrompt:
    """A prompt that two contenders were asked, with a judge's readings.

    judged     the scores in both orders, as far as there are some
    missing    judgements that are not on the log
    """

    set: SetOfPrompts
    id: str
    answers: tuple[GivenAnswer, GivenAnswer]
    judged: BothOrders
    missing: int


@dataclass
class JudgedPairs:
    """All answers and judgements of pairs on a log.

    answers   by contender, set and prompt
    scores    by judge and by ids of the two answers in the order they were shown; None: not readable
    """

    answers: dict[Contender, dict[tuple[SetOfPrompts, str], GivenAnswer]] = field(default_factory=dict)
    scores: dict[str, dict[tuple[str, str], Scores | None]] = field(default_factory=dict)

    def pairs(self, judge: str) -> list[tuple[Contender, Contender]]:
        """Pairs that a judge has read something of, in the order of the contenders."""
        by_answer = {answer.id: contender for contender, answers in self.answers.items() for answer in answers.values()}
        place = {contender: number for number, contender in enumerate(self.answers)}
        found = set()
        for shown in self.scores[judge]:
            sides = [by_answer[id] for id in shown if id in by_answer]
            if len(set(sides)) == 2:
                first, second = sorted(sides, key=place.__getitem__)
                found.add((first, second))
        return sorted(found, key=lambda pair: (place[pair[0]], place[pair[1]]))

    def prompts(self, judge: str, first: Contender, second: Contender) -> list[PairedPrompt]:
        """All prompts that both were asked, in the order of the sets' names and of the prompts' ids."""
        scores, ours, theirs = self.scores[judge], self.answers[first], self.answers[second]
        found = []
        for of, id in sorted(ours.keys() & theirs.keys()):
            answers = ours[of, id], theirs[of, id]
            forward, backward = (answers[0].id, answers[1].id), (answers[1].id, answers[0].id)
            orders = BothOrders(scores.get(forward), scores.get(backward))
            missing = sum(order not in scores for order in (forward, backward))
            found.append(PairedPrompt(of, id, answers, orders, missing))
        return found


def judged_pairs(source: Source, progress: ReadProgress = no_progress) -> JudgedPairs:
    """Read the answers and the judgements of a log. `progress`: called with how many more records were read."""
    found = JudgedPairs()
    asked: dict[Contender, Asked] = {}
    with source.open(["answers", "judgements"]) as reading:
        for record, event in first_events(records(reading, "answers", progress), AnswerGiven):
            without_set = msgspec.structs.replace(event.asked, prompts="", sha256=_NO_SHA256)
            contender = Contender(event.model.key, without_set.key, event.asked.system)
            asked.setdefault(contender, event.asked)
            place = SetOfPrompts(event.asked.prompts, event.asked.sha256), event.prompt_id
            given = GivenAnswer(record.id, event.outcome, len(event.text))
            found.answers.setdefault(contender, {})[place] = given
        for _, judged in first_events(records(reading, "judgements", progress), AnswersJudged):
            if len(judged.answer_ids) == 2:
                first, second = judged.answer_ids
                readable = judged.scores is not None and len(judged.scores) == 2
                scores = (judged.scores[0], judged.scores[1]) if judged.scores and readable else None
                found.scores.setdefault(judged.judge.name, {})[first, second] = scores
    # contenders of one model and system prompt say in what else they differ
    alike = Counter((contender.model, contender.system) for contender in found.answers)
    found.answers = {
        replace(contender, others=conditions(asked[contender]))
        if alike[contender.model, contender.system] > 1
        else contender: answers
        for contender, answers in found.answers.items()
    }
    return found


def conditions(asked: Asked) -> str:
    """The conditions but set and system prompt, in words."""
    parameters = (f"{name} {value}" for name, value in sorted(asked.parameters.items()))
    return ", ".join((f"{asked.shots} shots", f"template {asked.template or 'unknown'}", *parameters))


def names_of(sets: set[SetOfPrompts]) -> dict[SetOfPrompts, str]:
    """A name for each set; the beginning of the digest tells sets of one name apart, and a set `all` from all sets."""
    by_name = defaultdict(list)
    for of in sets:
        by_name[of.name].append(of)
    return {
        of: name if len(same) == 1 and name != ALL else f"{name}@{of.sha256[:8]}"
        for name, same in by_name.items()
        for of in same
    }
