"""The story of a generation: its seeds, its requests and their attempts."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from consumers.copied_fields import fields_of
from consumers.explain.evidence import Evidence, PlacedCall
from consumers.explain.history import RunHistory
from consumers.explain.schema.generation import (
    Attempt,
    GenerationStory,
    KeptRowShown,
    RequestStory,
    SeedBrought,
    SeedShown,
    SteeringStory,
)
from consumers.explain.schema.place import RecordPlace
from schemas import ids
from schemas.events import CallAnswered, CallFailed, CallStarted, InstructionsGenerated
from schemas.seeds import SeedTask
from streams.core.kept_so_far import beside
from streams.core.parse.self_instruct import parse_is_classification
from streams.core.seeds import SeedPool
from streams.core.steps import steps_of


def generation_of(found: Evidence) -> GenerationStory | None:
    """The generation that was gathered; None when it is not on the log."""
    if found.generation is None:
        return None
    at, event = found.generation
    pool = found.history.pool_at(event.seed_commands_offset)
    shown = () if event.kept_shown is None else event.kept_shown.ids
    sampled: Sequence[SeedTask] = ()
    if event.segment is None:  # else it is about a document and was shown no seed
        sampled = beside(_sample(found, pool, event), len(shown))
    return GenerationStory(
        id=ids.generation_id(event.lane, event.number),
        at=at,
        lane=event.lane,
        number=event.number,
        style=event.style,
        parser=event.parser,
        backend=event.backend,
        model=event.model,
        parameters=event.parameters,
        seeds=tuple(_shown(found.history, seed_id) for seed_id in event.seed_ids),
        seed_commands_offset=event.seed_commands_offset,
        sampled_as_told=tuple(seed.id for seed in sampled) == event.seed_ids,
        kept_shown=tuple(KeptRowShown(id=id, instruction=found.kept_shown.get(id)) for id in shown),
        classification=_classification(event),
        steering=_steering(found, pool, event),
        requests=requests_from(found.calls),
        cost_usd=event.cost_usd,
        instructions=len(event.instructions),
        unparsed=dict(Counter(part.reason for part in event.unparsed)),
    )


def _sample(found: Evidence, pool: SeedPool, event: InstructionsGenerated) -> tuple[SeedTask, ...]:
    policy = found.history.configured.policy
    if event.steering is None or found.steering is None:
        return pool.sample(policy.seeds_per_request, policy.rng_seed, event.lane, event.number)
    ids_of = [seed.task.id for seed in pool.active]
    places = found.steering.choose(ids_of, event.lane, event.number, event.steering.as_of)
    return tuple(pool.active[place].task for place in places)


def _steering(found: Evidence, pool: SeedPool, event: InstructionsGenerated) -> SteeringStory | None:
    steering, history = event.steering, found.steering
    if steering is None or history is None:
        return None
    of_pool = history.trials([seed.task.id for seed in pool.active], steering.as_of)
    of_shown = zip(event.seed_ids, history.trials(event.seed_ids, steering.as_of), strict=True)
    return SteeringStory(
        as_of=steering.as_of,
        seed_choice=found.history.configured.policy.seed_choice,
        brought=tuple(SeedBrought(id=id, **trials._asdict()) for id, trials in of_shown),
        pool_tried=sum(trials.tried for trials in of_pool),
        pool_kept=sum(trials.kept for trials in of_pool),
        level=history.level(steering.as_of),
        temperature=steering.temperature,
        list_length=steering.list_length,
        hints=tuple(KeptRowShown(id=id, instruction=found.kept_shown.get(id)) for id in steering.hint_ids),
    )


def requests_from(calls: Sequence[PlacedCall]) -> tuple[RequestStory, ...]:
    """The requests of these calls, by step, each with its attempts."""
    steps: dict[str, int] = {}
    attempts: dict[str, dict[int, Attempt]] = {}
    for at, event in calls:
        of_request = attempts.setdefault(event.request_id, {})
        if isinstance(event, CallStarted):
            steps[event.request_id] = event.step
            open_attempt = Attempt(attempt=event.attempt, outcome="none", started=at, ended=None)
            of_request.setdefault(event.attempt, open_attempt)
        else:
            of_request[event.attempt] = _ended(event, at, of_request.get(event.attempt))
    return tuple(
        RequestStory(
            request_id=request_id,
            step=step,
            attempts=tuple(attempts[request_id][number] for number in sorted(attempts[request_id])),
        )
        for request_id, step in sorted(steps.items(), key=lambda item: item[1])
    )


def _ended(event: CallAnswered | CallFailed, at: RecordPlace, open_attempt: Attempt | None) -> Attempt:
    started = None if open_attempt is None else open_attempt.started
    outcome: Literal["answered", "failed"] = "failed" if isinstance(event, CallFailed) else "answered"
    return Attempt(**fields_of(Attempt, event), outcome=outcome, started=started, ended=at)


def _classification(event: InstructionsGenerated) -> dict[int, bool]:
    if event.style != "self-instruct":
        return {}
    raws = {answer.request_id: answer.raw for answer in event.answers}
    generation_id = ids.generation_id(event.lane, event.number)
    requests = {
        place: ids.request_id(generation_id, steps_of(event.style, place)[0])
        for place in range(len(event.instructions))
    }
    return {place: parse_is_classification(raws[id]) is True for place, id in requests.items() if id in raws}


def _shown(history: RunHistory, seed_id: str) -> SeedShown:
    pool = history.pool
    since = next((seed.since_offset for seed in pool.active if seed.task.id == seed_id), -1)
    if seed_id in pool.evicted:
        since = pool.evicted[seed_id].seed.since_offset
    task = pool.get(seed_id)
    return SeedShown(
        id=seed_id,
        instruction=None if task is None else task.instruction,
        input=None if task is None else task.input,
        output=None if task is None else task.output,
        since=next((at for at, _ in history.commands if at.offset == since), None),
    )
