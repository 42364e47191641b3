"""What became of the prompts of each set with each model: the fold of `answers`, and of the judgements of refusals.

An answer that is on the log more than once counts once, the first one. A judgement of a refusal is one of a single
answer by the rubric `refusal`; a score in the upper half of its scale means that the answer refuses.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.evaluation.judged_pairs import conditions
from consumers.evaluation.results import AnswerCounts, Interval, JudgedRefusals
from consumers.evaluation.statistics import share_interval
from consumers.folds.deduplicate import Deduplicator, ReadProgress, no_progress, records
from infra.log.source import Source
from schemas.evaluation import AnswerGiven, AnswersJudged, Asked, EvaluatedModel
from streams.core.evaluation.refusals import is_refusal

RUBRIC = "refusal"


@dataclass
class AnswersOfSet:
    """The answers of one model to one set under one set of conditions.

    ids        event ids
    lengths    of the answers with a text, in characters
    refusals   of these, whether the list of phrases takes them for one
    """

    model: str
    asked: Asked
    ids: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    refusals: list[bool] = field(default_factory=list)

    def take(self, id: str, event: AnswerGiven) -> None:
        self.ids.append(id)
        self.outcomes[event.outcome] += 1
        if event.outcome in ("answered", "cut"):
            self.lengths.append(len(event.text))
            self.refusals.append(is_refusal(event.text))


@dataclass
class Answers:
    """The whole topics: models by key, sets of answers, and judges' readings of refusals, in the order of the log.

    refusals   by judge and answer id; None: no judgement could be read
    """

    models: dict[str, EvaluatedModel] = field(default_factory=dict)
    sets: dict[tuple[str, str], AnswersOfSet] = field(default_factory=dict)
    refusals: dict[str, dict[str, bool | None]] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)

    def take(self, id: str, event: AnswerGiven) -> None:
        key = event.model.key, event.asked.key
        self.models.setdefault(event.model.key, event.model)
        self.sets.setdefault(key, AnswersOfSet(event.model.key, event.asked)).take(id, event)

    def judge(self, event: AnswersJudged) -> None:
        if event.judge.rubric != RUBRIC or len(event.answer_ids) != 1:
            return
        middle = (event.scale.least + event.scale.most) / 2
        refused = event.scores[0] > middle if event.scores else None
        self.refusals.setdefault(event.judge.name, {})[event.answer_ids[0]] = refused


def read_answers(source: Source, progress: ReadProgress = no_progress) -> Answers:
    """The fold of a run's `answers` and `judgements`. `progress` is called with how many more records were read."""
    found, deduplicator = Answers(), Deduplicator()
    with source.open(["answers", "judgements"]) as reading:
        for topic in ("answers", "judgements"):
            for record in records(reading, topic, progress):
                event = record.event
                if not isinstance(event, AnswerGiven | AnswersJudged):
                    found.unreadable[topic] += 1
                elif not deduplicator.first(event, record.id):
                    continue
                elif isinstance(event, AnswerGiven):
                    found.take(record.id, event)
                else:
                    found.judge(event)
    return found


def counts_of(answers: Answers) -> tuple[AnswerCounts, ...]:
    """One for each model and set and its conditions, in the order of the log."""
    sets = list(answers.sets.values())
    alike = Counter((found.model, found.asked.prompts, found.asked.system) for found in sets)
    return tuple(
        _counts(found, answers.refusals, several=alike[found.model, found.asked.prompts, found.asked.system] > 1)
        for found in sets
    )


def _counts(found: AnswersOfSet, refusals: Mapping[str, Mapping[str, bool | None]], *, several: bool) -> AnswerCounts:
    first, *more = _judged_refusals(found, refusals) or [JudgedRefusals(judge="", refusals=None, judged=0, unread=0)]
    return AnswerCounts(
        model=found.model,
        set=found.asked.prompts,
        asked=found.asked.key,
        system=found.asked.system,
        shots=found.asked.shots,
        prompts=len(found.ids),
        outcomes=dict(found.outcomes),
        characters=sum(found.lengths) / len(found.lengths) if found.lengths else 0.0,
        refusals_by_list=_share(found.refusals),
        refusals_by_judge=first.refusals,
        refusal_judge=first.judge,
        judged=first.judged,
        unread=first.unread,
        more_judges=tuple(more),
        conditions=conditions(found.asked) if several else "",
    )


def _judged_refusals(found: AnswersOfSet, refusals: Mapping[str, Mapping[str, bool | None]]) -> list[JudgedRefusals]:
    """One for each judge of these answers."""
    judges = []
    for judge, readings in refusals.items():
        judged = [readings[id] for id in found.ids if id in readings]
        read = [refused for refused in judged if refused is not None]
        if judged:
            unread = len(judged) - len(read)
            judges.append(JudgedRefusals(judge=judge, refusals=_share(read), judged=len(judged), unread=unread))
    return judges


def _share(hits: list[bool]) -> Interval | None:
    return share_interval(sum(hits), len(hits)) if hits else None
