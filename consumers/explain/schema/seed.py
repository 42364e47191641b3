"""A seed's story: how it came into the pool, what was generated from it, how it left."""

from typing import Literal

import msgspec

from consumers.explain.schema.place import RecordPlace
from schemas.policy import Metric


class SeedReplacement(msgspec.Struct, frozen=True, kw_only=True):
    """One seed replaced by another, because of a training window and step.

    value                          of the metric at the step
    victim_generated, victim_kept  SeedGen and SeedKept of the replaced one, as the command used them
    victim_score                   victim_kept / victim_generated
    """

    at: RecordPlace
    epoch: int
    window: int
    step: int | None
    metric: Metric
    value: float | None
    victim_id: str
    victim_instruction: str | None
    victim_generated: int
    victim_kept: int
    victim_score: float | None
    new_id: str
    new_instruction: str


class SeedGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that a seed was shown in. Numbers are None while the filter has not decided it.

    uncounted   generated instructions that do not count in the score: a rule rejected them
    score       of the seed after it: kept / counted of all its generations so far; None before anything counts
    """

    generation_id: str
    offset: int
    generated: int | None = None
    kept: int | None = None
    uncounted: int | None = None
    score: float | None = None


class SeedStory(msgspec.Struct, frozen=True, kw_only=True):
    """A seed's story.

    since         the replacement that put it into the pool; None for one of the run's start
    until         the replacement that removed it; None while it is there
    generated, kept, score   SeedGen (counted instructions), SeedKept and their quotient now
    generations   all it was shown in, in log order
    """

    id: str
    instruction: str
    input: str
    output: str
    origin: Literal["initial", "promoted"]
    since: SeedReplacement | None
    until: SeedReplacement | None
    generated: int
    kept: int
    score: float | None
    generations: tuple[SeedGeneration, ...]
