"""What a training window changes in the seed pool (paper, Iterative Feedback Task Generation).

Of each window the batch with the highest metric is looked at; its instructions that are like no seed become candidates;
each takes the place of one of the seeds with the lowest score. Every window gets one command, which also says when
and why nothing is replaced, so that which windows were answered is itself on the log.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from schemas.events import Candidate, InstructionKept, Replacement, ReplaceSeeds, StepLogged, TrainingLogged
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core.rouge import rouge_l_fmeasure
from streams.core.scores import SeedScore
from streams.core.seeds import PooledSeed, SeedPool
from streams.core.tokenize import tokenizer


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
) -> ReplaceSeeds:
    """The command that answers `window`, which lies at `training_offset`.

    `scores` and `kept` are the filter's at `as_of_offset` of `generated`.
    """

    def command(outcome: str, **found: object) -> ReplaceSeeds:
        return ReplaceSeeds(
            window=window.window,
            epoch=window.epoch,
            training_offset=training_offset,
            as_of_offset=as_of_offset,
            outcome=outcome,  # type: ignore[arg-type]
            metric=policy.metric,
            **found,  # type: ignore[arg-type]
        )

    if window.epoch > 1:
        return command("later_epoch")
    if all(step.step <= policy.warm_up_steps for step in window.steps):
        return command("warm_up")
    chosen = choose_step(policy, window)
    if chosen is None:
        return command("no_metric")
    step, value = chosen
    found = candidates(policy, pool, kept, step)
    taken = [kept[candidate.id] for candidate in found if candidate.verdict == "taken"]
    losers = victims(pool, scores, len(taken))
    if len(losers) < len(taken):
        short = {row.id for row in taken[len(losers) :]}
        found = tuple(msgspec.structs.replace(c, verdict="no_victim") if c.id in short else c for c in found)
    outcome = "no_candidates" if not taken else "no_victims" if not losers else "replaced"
    return command(
        outcome,
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
            for loser, row in zip(losers, taken, strict=False)
        ),
    )


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
    """The step after the warm-up with the highest metric, the earlier one on ties; None when none has a number."""
    best: tuple[StepLogged, float] | None = None
    for step in window.steps:
        value = metric_of(policy, step)
        if step.step > policy.warm_up_steps and value is not None and (best is None or value > best[1]):
            best = step, value
    return best


def candidates(
    policy: Policy, pool: SeedPool, kept: Mapping[str, InstructionKept], step: StepLogged
) -> tuple[Candidate, ...]:
    """A verdict on each row of the batch, in its order: taken when its highest similarity to every seed in the pool
    and to every candidate taken before it is at most `candidate_threshold`."""
    split = tokenizer(policy.tokenizer)
    seed_ids = {seed.task.id for seed in pool.active} | set(pool.evicted)
    seeds = [(seed.task.id, seed.task.instruction) for seed in pool.active]
    taken: list[tuple[str, str]] = []
    found = []
    for batch_row in step.rows:
        row = kept.get(batch_row.id)
        if row is None:
            found.append(Candidate(id=batch_row.id, verdict="unknown_row"))
        elif row.id in seed_ids:
            found.append(Candidate(id=row.id, verdict="already_seed"))
        else:
            similarity, nearest_id = max(
                ((rouge_l_fmeasure(text, row.instruction, tokenizer=split), id) for id, text in seeds + taken),
                key=lambda pair: pair[0],
                default=(0.0, None),
            )
            if similarity <= policy.candidate_threshold:
                taken.append((row.id, row.instruction))
                verdict = "taken"
            else:
                verdict = "similar_to_candidate" if nearest_id in {id for id, _ in taken} else "similar_to_seed"
            found.append(
                Candidate(id=row.id, verdict=verdict, similarity=similarity, nearest_id=nearest_id)  # type: ignore[arg-type]
            )
    return tuple(found)


def victims(pool: SeedPool, scores: Mapping[str, SeedScore], count: int) -> list[PooledSeed]:
    """Up to `count` seeds of the pool with the lowest scores, ties to the older. A seed without a score is safe."""
    scored = [(score.value, seed.age, seed) for seed in pool.active if (score := scores.get(seed.task.id))]
    ranked = sorted((value, age, seed) for value, age, seed in scored if value is not None)
    return [seed for _, _, seed in ranked[:count]]
