"""Answers compared with their references: ROUGE-L and METEOR of a model on a set of prompts.

Of equal events, by id, the first on the log counts. A set whose prompts have no references at all is not of this kind
and has no score. An empty or a refused answer scores 0, one that was cut off is scored as far as it goes, and one whose
call failed is not scored; all are counted by outcome.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from consumers.evaluation.judged_pairs import conditions
from consumers.evaluation.meteor import MeteorScorer
from consumers.evaluation.results import GenerationScore
from consumers.evaluation.statistics import mean_interval
from consumers.folds.deduplicate import ReadProgress, first_events, no_progress, records
from infra.log.source import Source
from schemas.evaluation import AnswerGiven
from streams.core.evaluation.overlap import has_tokens, rouge_l


class PromptOverlap(NamedTuple):
    """One answer compared with its prompt's references."""

    prompt_id: str
    group: str
    rouge_l: float
    meteor: float


@dataclass
class _ComparedSet:
    """A model's answers to a set, under one set of conditions."""

    first: AnswerGiven
    outcomes: Counter[str] = field(default_factory=Counter)
    overlaps: list[PromptOverlap] = field(default_factory=list)
    without_reference: int = 0
    without_tokens: int = 0

    def add(self, event: AnswerGiven, meteor: MeteorScorer) -> None:
        self.outcomes[event.outcome] += 1
        references = tuple(reference for reference in event.references if reference.strip())
        if not references:
            self.without_reference += 1
        elif event.outcome != "failed":
            self.without_tokens += not any(map(has_tokens, references))
            scores = (rouge_l(event.text, references), meteor.score(event.text, references)) if event.text else (0, 0)
            self.overlaps.append(PromptOverlap(event.prompt_id, event.group, *scores))


def generation_scores(
    source: Source, progress: ReadProgress = no_progress, *, rng_seed: int = 0
) -> tuple[GenerationScore, ...]:
    """One for each model, set of prompts and conditions, in the order of their first answers on the log.

    rng_seed   of the intervals, which are bootstrapped over prompts
    """
    found: dict[tuple[str, str, str], _ComparedSet] = {}
    meteor: MeteorScorer | None = None
    with source.open(["answers"]) as reading:
        for _, event in first_events(records(reading, "answers", progress), AnswerGiven):
            meteor = meteor or MeteorScorer()
            key = event.model.key, event.asked.prompts, event.asked.key
            found.setdefault(key, _ComparedSet(event)).add(event, meteor)
    alike = Counter((model, prompts) for model, prompts, _ in found)
    return tuple(
        _score(compared, meteor.matching, rng_seed, several=alike[model, prompts] > 1)
        for (model, prompts, _), compared in found.items()
        if meteor is not None and compared.without_reference < compared.outcomes.total()
    )


def _score(compared: _ComparedSet, matching: str, rng_seed: int, *, several: bool) -> GenerationScore:
    overlaps = sorted(compared.overlaps)  # the same interval, whatever the order on the log
    groups: dict[str, list[float]] = defaultdict(list)
    for overlap in overlaps:
        if overlap.group:
            groups[overlap.group].append(overlap.rouge_l)
    asked = compared.first.asked
    return GenerationScore(
        model=compared.first.model.key,
        set=asked.prompts,
        asked=asked.key,
        shots=asked.shots,
        scored=len(overlaps),
        without_reference=compared.without_reference,
        without_tokens=compared.without_tokens,
        outcomes=dict(compared.outcomes),
        rouge_l=mean_interval([overlap.rouge_l for overlap in overlaps], rng_seed=rng_seed) if overlaps else None,
        meteor=mean_interval([overlap.meteor for overlap in overlaps], rng_seed=rng_seed) if overlaps else None,
        meteor_matching=matching,
        by_group={name: (len(values), _mean(values)) for name, values in sorted(groups.items())},
        conditions=conditions(asked) if several else "",
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
