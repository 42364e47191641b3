"""What a training window changes in the seed pool (paper, Iterative Feedback Task Generation).

Of each window the batch with the highest metric is looked at; its instructions that are like no seed become candidates;
each takes the place of one of the seeds with the lowest score. Every window gets one command, which also says when
and why nothing is replaced, so that which windows were answered is itself on the log.

The policy may slow that down (`docs/decisions/feedback-brakes.md`): fewer batches, candidates, victims or replacements.
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
    """The last `generated` offset that a row of the window comes from: the filter must have applied it."""
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
    """The command that answers `window`, which lies at `training_offset`.

    `scores` and `kept` are the filter's at `as_of_offset` of `generated`. Of `judge` only what it had said by
    `judged_offset` of `judged` counts, and only where the policy has a `candidate_min_score`.
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
    let_in = taken[: policy.max_replacements]
    losers = victims(policy, pool, scores, len(let_in))
    over = {row.id for row in taken[len(let_in) :]}
    found = tuple(_instead(c, "over_limit") if c.id in over and c.verdict == "taken" else c for c in found)
    short = {row.id for row in let_in[len(losers) :]}
    found = tuple(_instead(c, "no_victim") if c.id in short else c for c in found)
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
            for loser, row in zip(losers, let_in, strict=False)
        ),
    )


def _instead(candidate: Candidate, verdict: CandidateVerdict) -> Candidate:
    return msgspec.structs.replace(candidate, verdict=verdict)


def metric_of(policy: Policy, step: StepLogged) -> float | None:
    """What a step's batch is chosen by; None when it was not finite."""
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
    """The step after the warm-up with the highest metric, the earlier one on ties; None when none has a number.

    Without `feedback_borrowed` a step whose batch has a borrowed row is passed over.
    """
    best: tuple[StepLogged, float] | None = None
    for step, value in _measured(policy, window):
        if not policy.feedback_borrowed and any(row.is_borrowed(policy.clusters) for row in step.rows):
            continue
        if best is None or value > best[1]:
            best = step, value
    return best


def _measured(policy: Policy, window: TrainingLogged) -> Iterator[tuple[StepLogged, float]]:
    """The steps after the warm-up whose metric is a number."""
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
    """A verdict on each row of the batch, in its order.

    Taken when the judge gave it `candidate_min_score`, where the policy has one, and its highest similarity to every
    seed in the pool and to every candidate taken before it is at most `candidate_threshold`.
    """
    split = tokenizer(policy.tokenizer)
    seed_ids = {seed.task.id for seed in pool.active} | set(pool.evicted)
    seeds = [(seed.task.id, seed.task.instruction) for seed in pool.active]
    taken: list[tuple[str, str]] = []
    found = []
    for batch_row in step.rows:
        row = kept.get(batch_row.id)
        refused = _refused(policy, seed_ids, row, judge, judged_offset)
        if row is None or refused is not None:
            found.append(Candidate(id=batch_row.id, verdict=refused or "unknown_row"))
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


def _refused(
    policy: Policy, seed_ids: set[str], row: InstructionKept | None, judge: FirstJudge, judged_offset: int
) -> CandidateVerdict | None:
    """Why a row cannot be a candidate, whatever it is like; None when it can."""
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
    """Up to `count` seeds of the pool with the lowest scores, ties to the older.

    Safe are a seed without a score, one above `victim_max_score`, and one shown less often than `min_showings`.
    """
    scored = [(score, seed) for seed in pool.active if (score := scores.get(seed.task.id))]
    ranked = sorted(
        (score.value, seed.age, seed)
        for score, seed in scored
        if score.value is not None and score.value <= policy.victim_max_score and score.shown >= policy.min_showings
    )
    return [seed for _, _, seed in ranked[:count]]
