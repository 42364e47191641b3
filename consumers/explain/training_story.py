"""What training made of an instruction, and the story of a seed: the feedback's side of the log."""

from collections.abc import Iterator

from consumers.explain.evidence import Evidence
from consumers.explain.schema import Candidacy, RecordPlace, SeedGeneration, SeedReplacement, SeedStory, TrainedStep
from schemas.errors import RunError
from schemas.events import Replacement, ReplaceSeeds
from streams.core.scores import SeedScore
from streams.core.seeds import EvictedSeed


def training_of(found: Evidence, id: str) -> tuple[TrainedStep, ...]:
    """The steps whose batch held the row, in order."""
    chosen = {(command.epoch, command.window, command.step) for _, command in found.commands}
    return tuple(
        TrainedStep(
            at=at,
            epoch=window.epoch,
            window=window.window,
            step=step.step,
            model=window.model,
            loss=step.loss,
            loss_variance=step.loss_variance,
            grad_norm=step.grad_norm,
            learning_rate=step.learning_rate,
            slot=row.slot,
            cluster=row.cluster,
            borrowed=row.is_borrowed(found.configured.policy.clusters),
            chosen=(window.epoch, window.window, step.step) in chosen,
        )
        for at, window, step, row in found.training.get(id, ())
    )


def candidacies_of(found: Evidence, id: str) -> tuple[Candidacy, ...]:
    """The verdicts on the row as a candidate for a seed."""
    policy = found.configured.policy
    return tuple(
        Candidacy(
            at=at,
            epoch=command.epoch,
            window=command.window,
            step=command.step,
            metric=command.metric,
            value=command.value,
            outcome=command.outcome,
            verdict=candidate.verdict,
            similarity=candidate.similarity,
            nearest_id=candidate.nearest_id,
            threshold=policy.candidate_threshold,
            min_score=policy.candidate_min_score,
            max_replacements=policy.max_replacements,
            replaced=next((change for change in _changes(found, at, command) if change.new_id == id), None),
        )
        for at, command in found.commands
        for candidate in command.candidates
        if candidate.id == id
    )


def seed_of(found: Evidence) -> SeedStory:
    """The story of the seed that was asked about."""
    id, pool = found.subject.id, found.pool
    gone = pool.evicted.get(id)
    seed = next((seed for seed in pool.active if seed.task.id == id), None if gone is None else gone.seed)
    if seed is None:
        raise RunError(f"Seed {id} is not in the pool any more, nor was it: the log changed while it was read.")
    every = [change for at, command in found.commands for change in _changes(found, at, command)]
    score = SeedScore()
    generations = []
    for generation_id, offset in found.shown:
        told = found.told.get(offset)
        if told is None:
            generations.append(SeedGeneration(generation_id=generation_id, offset=offset))
            continue
        generated, kept, uncounted = told
        score = score.credit(generated - uncounted, kept, offset)
        generations.append(
            SeedGeneration(
                generation_id=generation_id,
                offset=offset,
                generated=generated,
                kept=kept,
                uncounted=uncounted,
                score=score.value,
            )
        )
    return SeedStory(
        id=id,
        instruction=seed.task.instruction,
        input=seed.task.input,
        output=seed.task.output,
        origin="initial" if seed.since_offset < 0 else "promoted",
        since=next((c for c in every if c.new_id == id and c.at.offset == seed.since_offset), None),
        until=_end(every, id, gone),
        generated=score.generated,
        kept=score.kept,
        score=score.value,
        generations=tuple(generations),
    )


def became_seed(found: Evidence, id: str) -> bool:
    """Whether a command put the row into the pool."""
    return any(change.new_id == id for at, command in found.commands for change in _changes(found, at, command))


def _end(every: list[SeedReplacement], id: str, gone: EvictedSeed | None) -> SeedReplacement | None:
    return None if gone is None else next((c for c in every if c.victim_id == id and c.at.offset == gone.at), None)


def _changes(found: Evidence, at: RecordPlace, command: ReplaceSeeds) -> Iterator[SeedReplacement]:
    """The command's replacements, without those whose victim was not in the pool."""
    for replacement in command.replacements:
        gone = found.pool.evicted.get(replacement.victim_id)
        if gone is not None and gone.at == at.offset:
            yield _change(at, command, replacement, gone)


def _change(at: RecordPlace, command: ReplaceSeeds, replacement: Replacement, gone: EvictedSeed) -> SeedReplacement:
    return SeedReplacement(
        at=at,
        epoch=command.epoch,
        window=command.window,
        step=command.step,
        metric=command.metric,
        value=command.value,
        victim_id=replacement.victim_id,
        victim_instruction=gone.seed.task.instruction,
        victim_generated=replacement.victim_generated,
        victim_kept=replacement.victim_kept,
        victim_score=SeedScore(replacement.victim_generated, replacement.victim_kept).value,
        new_id=replacement.seed.id,
        new_instruction=replacement.seed.instruction,
    )
