"""The feedback from training to the seed pool (paper, Iterative Feedback Task Generation).

Of each training window, the batch with the highest metric is chosen. Its instructions that are similar to no seed
become candidates, and each replaces one of the seeds with the lowest scores. Every window gets exactly one command,
also when nothing is replaced, with the reason.

The policy may limit this (`docs/decisions/feedback-brakes.md`): fewer batches, candidates, victims or replacements.
"""

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from schemas.events import (
    Candidate,
    CandidateVerdict,
    FeedbackOutcome,
    InstructionKept,
    Replacement,
    ReplaceSeeds,
    StepLogged,
    TrainingLogged,
)
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core.judging import FirstJudge
from streams.core.scores import SeedScore
from streams.core.seeds import PooledSeed, SeedPool
from streams.core.similarity.rouge import rouge_l_fmeasure
from streams.core.similarity.tokenize import tokenizer


def needed_offset(window: TrainingLogged) -> int:
    """The highest `generated` offset of the window's rows, which the filter must have applied."""
    return max((row.generated_offset for step in window.steps for row in step.rows), default=-1)


def answer(
    policy: Policy,
    pool: SeedPool,
    scores: Mapping[str, SeedScore],
    kept: Mapping[str, InstructionKept],
    window: TrainingLogged,
    training_offset: int,
    as_of_offset: int,
    judge: FirstJudge | None = None,
    judged_offset: int = -1,
) -> ReplaceSeeds:
    """The command that answers `window`, the record at `training_offset`.

    `scores` and `kept` are the filter's at `as_of_offset` of `generated`. If the policy has a `candidate_min_score`,
    the judgements of `judge` up to `judged_offset` of `judged` count.
    """
    judged = judged_offset if policy.candidate_min_score is not None else -1

    def command(outcome: FeedbackOutcome, **found: object) -> ReplaceSeeds:
        return ReplaceSeeds(
            window=window.window,
            epoch=window.epoch,
            training_offset=training_offset,
            as_of_offset=as_of_offset,
            judged_offset=judged,
            outcome=outcome,
            metric=policy.metric,
            **found,  # type: ignore[arg-type]
        )

    if window.epoch > 1:
        return command("later_epoch")
    if all(step.step <= policy.warm_up_steps for step in window.steps):
        return command("warm_up")
    if next(_measured(policy, window), None) is None:
        return command("no_metric")
    chosen = choose_step(policy, window)
    if chosen is None:
        return command("borrowed")
    step, value = chosen
    found = candidates(policy, pool, kept, step, judge or FirstJudge(), judged)
    taken = [kept[candidate.id] for candidate in found if candidate.verdict == "taken"]
    admitted = taken[: policy.max_replacements]
    losers = victims(policy, pool, scores, len(admitted))
    over = {row.id for row in taken[len(admitted) :]}
    found = tuple(_with_verdict(c, "over_limit") if c.id in over and c.verdict == "taken" else c for c in found)
    short = {row.id for row in admitted[len(losers) :]}
    found = tuple(_with_verdict(c, "no_victim") if c.id in short else c for c in found)
    return command(
        "no_candidates" if not taken else "no_victims" if not losers else "replaced",
        step=step.step,
        value=value,
        candidates=found,
        replacements=tuple(
            Replacement(
                victim_id=loser.task.id,
                victim_generated=scores[loser.task.id].generated,
                victim_kept=scores[loser.task.id].kept,
                seed=SeedTask(id=row.id, instruction=row.instruction, input=row.input, output=row.output),
            )
            for loser, row in zip(losers, admitted, strict=False)
        ),
    )


def _with_verdict(candidate: Candidate, verdict: CandidateVerdict) -> Candidate:
    return msgspec.structs.replace(candidate, verdict=verdict)


def metric_of(policy: Policy, step: StepLogged) -> float | None:
    """The metric of a step; None when it was not finite."""
    match policy.metric:
        case "grad_norm":
            return step.grad_norm
        case "loss_variance":
            return step.loss_variance
        case "sum":
            if step.grad_norm is None or step.loss_variance is None:
                return None
            return step.grad_norm + step.loss_variance
        case "random":
            digest = hashlib.sha256(f"{policy.rng_seed}/step/{step.step}".encode()).digest()
            return int.from_bytes(digest[:6]) / 2**48


def choose_step(policy: Policy, window: TrainingLogged) -> tuple[StepLogged, float] | None:
    """The step after the warm-up with the highest metric, the earliest on ties; None when no metric is finite.

    Without `feedback_borrowed`, a step whose batch has a borrowed row is skipped.
    """
    best: tuple[StepLogged, float] | None = None
    for step, value in _measured(policy, window):
        if not policy.feedback_borrowed and any(row.is_borrowed(policy.clusters) for row in step.rows):
            continue
        if best is None or value > best[1]:
            best = step, value
    return best


def _measured(policy: Policy, window: TrainingLogged) -> Iterator[tuple[StepLogged, float]]:
    """The steps after the warm-up whose metric is finite."""
    for step in window.steps:
        value = metric_of(policy, step)
        if step.step > policy.warm_up_steps and value is not None:
            yield step, value


def candidates(
    policy: Policy,
    pool: SeedPool,
    kept: Mapping[str, InstructionKept],
    step: StepLogged,
    judge: FirstJudge,
    judged_offset: int,
) -> tuple[Candidate, ...]:
    """A verdict on each row of the batch, in order.

    `taken` if the judge gave it at least `candidate_min_score`, where the policy has one, and its similarity to every
    seed in the pool and every candidate taken before is at most `candidate_threshold`.
    """
    split = tokenizer(policy.tokenizer)
    seed_ids = {seed.task.id for seed in pool.active} | set(pool.evicted)
    seeds = [(seed.task.id, seed.task.instruction) for seed in pool.active]
    taken: list[tuple[str, str]] = []
    found = []
    for batch_row in step.rows:
        row = kept.get(batch_row.id)
        ineligible = _ineligible(policy, seed_ids, row, judge, judged_offset)
        if row is None or ineligible is not None:
            found.append(Candidate(id=batch_row.id, verdict=ineligible or "unknown_row"))
            continue
        similarity, nearest_id = max(
            ((rouge_l_fmeasure(text, row.instruction, tokenizer=split), id) for id, text in seeds + taken),
            key=lambda pair: pair[0],
            default=(0.0, None),
        )
        verdict: CandidateVerdict = "taken"
        if similarity > policy.candidate_threshold:
            verdict = "similar_to_candidate" if nearest_id in {id for id, _ in taken} else "similar_to_seed"
        else:
            taken.append((row.id, row.instruction))
        found.append(Candidate(id=row.id, verdict=verdict, similarity=similarity, nearest_id=nearest_id))
    return tuple(found)


def _ineligible(
    policy: Policy, seed_ids: set[str], row: InstructionKept | None, judge: FirstJudge, judged_offset: int
) -> CandidateVerdict | None:
    """Why a row cannot be a candidate, apart from similarity; None when it can."""
    if row is None:
        return "unknown_row"
    if row.id in seed_ids:
        return "already_seed"
    if policy.candidate_min_score is None:
        return None
    match judge.admits(row.id, policy.candidate_min_score, judged_offset):
        case None:
            return "unjudged"
        case False:
            return "low_score"
        case _:
            return None


def victims(policy: Policy, pool: SeedPool, scores: Mapping[str, SeedScore], count: int) -> list[PooledSeed]:
    """Up to `count` seeds of the pool with the lowest scores, the older on ties.

    A seed without a score, above `victim_max_score`, or shown less often than `min_showings` is never a victim.
    """
    scored = [(score, seed) for seed in pool.active if (score := scores.get(seed.task.id))]
    ranked = sorted(
        (score.value, seed.age, seed)
        for score, seed in scored
        if score.value is not None and score.value <= policy.victim_max_score and score.shown >= policy.min_showings
    )
    return [seed for _, _, seed in ranked[:count]]
