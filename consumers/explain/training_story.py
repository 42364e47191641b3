"""An instruction in training and as a candidate for a seed, and the story of a seed."""

from collections.abc import Iterator

from consumers.copied_fields import fields_of
from consumers.explain.evidence import Evidence
from consumers.explain.history import RunHistory
from consumers.explain.schema.instruction import Candidacy, TrainedStep
from consumers.explain.schema.place import RecordPlace
from consumers.explain.schema.seed import SeedGeneration, SeedReplacement, SeedStory
from schemas.errors import RunError
from schemas.events import Replacement, ReplaceSeeds
from streams.core.scores import SeedScore
from streams.core.seeds import EvictedSeed


def training_of(found: Evidence, id: str) -> tuple[TrainedStep, ...]:
    """The steps whose batch held the row, in order."""
    chosen = {(command.epoch, command.window, command.step) for _, command in found.history.commands}
    return tuple(
        TrainedStep(
            **fields_of(TrainedStep, window, step, row),
            at=at,
            borrowed=row.is_borrowed(found.history.configured.policy.clusters),
            chosen=(window.epoch, window.window, step.step) in chosen,
        )
        for at, window, step, row in found.training.get(id, ())
    )


def candidacies_of(found: Evidence, id: str) -> tuple[Candidacy, ...]:
    """The verdicts on the row as a candidate for a seed."""
    policy = found.history.configured.policy
    return tuple(
        Candidacy(
            **fields_of(Candidacy, command, candidate),
            at=at,
            threshold=policy.candidate_threshold,
            min_score=policy.candidate_min_score,
            max_replacements=policy.max_replacements,
            replaced=next((change for change in _changes(found.history, at, command) if change.new_id == id), None),
        )
        for at, command in found.history.commands
        for candidate in command.candidates
        if candidate.id == id
    )


def seed_of(found: Evidence) -> SeedStory:
    """The story of the subject, a seed."""
    id, history = found.subject.id, found.history
    evicted = history.pool.evicted.get(id)
    seed = next((seed for seed in history.pool.active if seed.task.id == id), None if evicted is None else evicted.seed)
    if seed is None:
        raise RunError(f"Seed {id} is not in the pool and never was: the log changed while it was read. Try again.")
    changes = [change for at, command in history.commands for change in _changes(history, at, command)]
    score = SeedScore()
    generations = []
    for generation_id, offset in found.shown:
        decided = found.decided.get(offset)
        if decided is None:
            generations.append(SeedGeneration(generation_id=generation_id, offset=offset))
            continue
        generated, kept, uncounted = decided
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
        since=next((c for c in changes if c.new_id == id and c.at.offset == seed.since_offset), None),
        until=next((c for c in changes if evicted and c.victim_id == id and c.at.offset == evicted.at), None),
        generated=score.generated,
        kept=score.kept,
        score=score.value,
        generations=tuple(generations),
    )


def became_seed(found: Evidence, id: str) -> bool:
    """Whether a command put the row into the pool."""
    history = found.history
    return any(change.new_id == id for at, command in history.commands for change in _changes(history, at, command))


def _changes(history: RunHistory, at: RecordPlace, command: ReplaceSeeds) -> Iterator[SeedReplacement]:
    """The command's replacements, without those whose victim was not in the pool."""
    for replacement in command.replacements:
        evicted = history.pool.evicted.get(replacement.victim_id)
        if evicted is not None and evicted.at == at.offset:
            yield _change(at, command, replacement, evicted)


def _change(at: RecordPlace, command: ReplaceSeeds, replacement: Replacement, victim: EvictedSeed) -> SeedReplacement:
    return SeedReplacement(
        **fields_of(SeedReplacement, command, replacement),
        at=at,
        victim_instruction=victim.seed.task.instruction,
        victim_score=SeedScore(replacement.victim_generated, replacement.victim_kept).value,
        new_id=replacement.seed.id,
        new_instruction=replacement.seed.instruction,
    )
