"""Everything that came from a seed, a request, a generation, an instruction or a model.

What comes from what is told by the log alone: a seed's generations are those it was shown in, theirs are the
instructions read from them, an instruction that took a seed's place is a seed again, and one that was shown beside the
seeds has generations too. The search goes breadth first,
so each thing is found once, by a shortest way, of equally short ones by the earliest on the log.

A row that is merely like another, or was trained in a batch with it, did not come from it. Nothing is changed.
"""

from collections import deque
from dataclasses import dataclass, field

from consumers.explain.locate import Subject, locate
from consumers.explain.withdrawal_schema import (
    Path,
    Withdrawal,
    WithdrawalLink,
    WithdrawalTotals,
    WithdrawnGeneration,
    WithdrawnRow,
    WithdrawnSeed,
    WithdrawnStep,
)
from consumers.folds.deduplicate import Deduplicator, ReadProgress, no_progress, records
from infra.log.source import Reading, Source
from schemas import ids
from schemas.errors import RunError
from schemas.events import (
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    ReplaceSeeds,
    RunConfigured,
    TrainingLogged,
)
from streams.core.seeds import SeedPool
from streams.core.steps import place_of

TOPICS = ("run", "generated", "kept", "rejected", "training-log", "seed-commands")
TEXT_SHOWN = 80


@dataclass(frozen=True, slots=True)
class _Generation:
    id: str
    offset: int
    model: str
    style: str
    instructions: int


@dataclass
class _Graph:
    """What comes from what. `shown` (of seeds), `kept_shown` and `models` name generations by offset; `promoted` are
    the seeds that commands put into the pool; `rejected` are places, by generation."""

    pool: SeedPool
    promoted: set[str]
    generations: dict[int, _Generation] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    shown: dict[str, list[int]] = field(default_factory=dict)
    kept_shown: dict[str, list[int]] = field(default_factory=dict)
    models: dict[str, list[int]] = field(default_factory=dict)
    rejected: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass
class _Search:
    """Found so far: each thing with the one it came from. `places` are the found instructions by generation."""

    came_from: dict[WithdrawalLink, WithdrawalLink | None] = field(default_factory=dict)
    queue: deque[WithdrawalLink] = field(default_factory=deque)
    places: dict[int, dict[int, str]] = field(default_factory=dict)

    def find(self, link: WithdrawalLink, cause: WithdrawalLink | None) -> None:
        if link not in self.came_from:
            self.came_from[link] = cause
            self.queue.append(link)

    def path(self, link: WithdrawalLink) -> Path:
        way: list[WithdrawalLink] = []
        cause = self.came_from[link]
        while cause is not None:
            way.append(cause)
            cause = self.came_from[cause]
        return tuple(reversed(way))


def withdraw(
    source: Source, *, id: str | None = None, model: str | None = None, progress: ReadProgress = no_progress
) -> Withdrawal:
    """What came from the thing that `id` (or its start) stands for, or from `model`; exactly one of them is given.

    Memory grows with what is found, and by some 300 bytes a generation. Raises RunError when there is no such run,
    thing or model.
    """
    subject = None if id is None else locate(source, id, progress)
    with source.open(TOPICS) as reading:
        once = Deduplicator()
        graph = _graph(source, reading, once, progress)
        search = _Search()
        if subject is not None:
            _start_at(search, graph, subject)
        else:
            _start_with_model(search, graph, source, str(model))
        _spread(search, graph)
        return _told(source, reading, once, graph, search, subject, model, progress)


def _graph(source: Source, reading: Reading, once: Deduplicator, progress: ReadProgress) -> _Graph:
    configured: RunConfigured | None = None
    for record in records(reading, "run", progress):
        if configured is None and isinstance(record.event, RunConfigured):
            configured = record.event
    if configured is None:
        raise RunError(
            f"The log of {source.name} has no RunConfigured. Start the run with `sedi run --run {source.run}`."
        )
    pool = SeedPool.of(configured.seeds)
    for record in records(reading, "seed-commands", progress):
        if isinstance(record.event, ReplaceSeeds):
            pool.apply(record.event, record.offset)
    everyone = [*pool.active, *(gone.seed for gone in pool.evicted.values())]
    graph = _Graph(pool, {seed.task.id for seed in everyone if seed.since_offset >= 0})
    for record in records(reading, "rejected", progress):
        if isinstance(record.event, InstructionsRejected) and once.rejected(record.event):
            graph.rejected[record.event.generated_offset] = tuple(item.place for item in record.event.rejections)
    for record in records(reading, "generated", progress):
        event = record.event
        if not isinstance(event, InstructionsGenerated) or not once.generated(event, record.offset):
            continue
        offset = record.offset
        graph.generations[offset] = _Generation(record.id, offset, event.model, event.style, len(event.instructions))
        graph.offsets[record.id] = offset
        for seed_id in event.seed_ids:
            graph.shown.setdefault(seed_id, []).append(offset)
        for id in () if event.kept_shown is None else event.kept_shown.ids:
            graph.kept_shown.setdefault(id, []).append(offset)
        for name in {event.model, *(answer.model for answer in event.answers)}:
            graph.models.setdefault(name, []).append(offset)
    return graph


def _start_at(search: _Search, graph: _Graph, subject: Subject) -> None:
    if "seed" in subject.kinds:
        search.find(WithdrawalLink(kind="seed", id=subject.id), None)
    if "instruction" in subject.kinds:
        _find_instruction(search, graph, subject.generation_id, subject.place, None)
    offset = graph.offsets.get(str(subject.generation_id))
    if offset is None or not {"generation", "request"} & set(subject.kinds):
        return
    generation = graph.generations[offset]
    place = place_of(generation.style, subject.step or 0)
    if place is not None:  # it gave one instruction its output, and the others nothing
        _find_instruction(search, graph, generation.id, place, None)
    else:
        search.find(WithdrawalLink(kind="generation", id=generation.id), None)


def _start_with_model(search: _Search, graph: _Graph, source: Source, model: str) -> None:
    if model not in graph.models:
        raise RunError(
            f"No generation of {source.name} was made by the model {model!r}. It has used: "
            f"{', '.join(sorted(graph.models)) or 'none'}."
        )
    for offset in graph.models[model]:
        search.find(WithdrawalLink(kind="generation", id=graph.generations[offset].id), None)


def _find_instruction(
    search: _Search, graph: _Graph, generation_id: str | None, place: int | None, cause: WithdrawalLink | None
) -> None:
    offset = graph.offsets.get(str(generation_id))
    if offset is None or place is None:
        return
    id = ids.instruction_id(graph.generations[offset].id, place)
    search.find(WithdrawalLink(kind="instruction", id=id), cause)
    search.places.setdefault(offset, {})[place] = id


def _spread(search: _Search, graph: _Graph) -> None:
    while search.queue:
        link = search.queue.popleft()
        match link.kind:
            case "seed":
                for offset in graph.shown.get(link.id, ()):
                    search.find(WithdrawalLink(kind="generation", id=graph.generations[offset].id), link)
            case "generation":
                generation = graph.generations[graph.offsets[link.id]]
                for place in range(generation.instructions):
                    _find_instruction(search, graph, generation.id, place, link)
            case "instruction":
                for offset in graph.kept_shown.get(link.id, ()):
                    search.find(WithdrawalLink(kind="generation", id=graph.generations[offset].id), link)
                if link.id in graph.promoted:
                    search.find(WithdrawalLink(kind="seed", id=link.id), link)


def _told(
    source: Source,
    reading: Reading,
    once: Deduplicator,
    graph: _Graph,
    search: _Search,
    subject: Subject | None,
    model: str | None,
    progress: ReadProgress,
) -> Withdrawal:
    rejected = sum(len(places.keys() & graph.rejected.get(offset, ())) for offset, places in search.places.items())
    kept: list[InstructionKept] = []
    for record in records(reading, "kept", progress):
        row = record.event
        if (
            isinstance(row, InstructionKept)
            and once.kept(row, record.partition)
            and row.place in search.places.get(row.generated_offset, {})
        ):
            kept.append(row)
    steps, trained = _trained(reading, once, {row.id for row in kept}, progress)
    rows = tuple(_row(row, trained, search) for row in sorted(kept, key=lambda row: (row.generated_offset, row.place)))
    clusters: dict[int, int] = {}
    for found in rows:
        clusters[found.cluster] = clusters.get(found.cluster, 0) + 1
    seeds = tuple(_seed(link, graph, search) for link in search.came_from if link.kind == "seed")
    generations = tuple(_generation(link, graph, search) for link in search.came_from if link.kind == "generation")
    instructions = sum(len(places) for places in search.places.values())
    return Withdrawal(
        run=source.run,
        id=None if subject is None else subject.id,
        model=model,
        totals=WithdrawalTotals(
            seeds=len(seeds),
            generations=len(generations),
            instructions=instructions,
            kept=len(rows),
            rejected=rejected,
            undecided=instructions - len(rows) - rejected,
            trained=len(trained),
            steps=len(steps),
            clusters=dict(sorted(clusters.items())),
        ),
        seeds=seeds,
        generations=generations,
        rows=rows,
        steps=tuple(steps),
    )


def _trained(
    reading: Reading, once: Deduplicator, kept: set[str], progress: ReadProgress
) -> tuple[list[WithdrawnStep], dict[str, list[tuple[int, int]]]]:
    steps: list[WithdrawnStep] = []
    trained: dict[str, list[tuple[int, int]]] = {}
    for record in records(reading, "training-log", progress):
        event = record.event
        if not isinstance(event, TrainingLogged) or not once.trained(event):
            continue
        for step in event.steps:
            found = [row.id for row in step.rows if row.id in kept]
            for id in found:
                trained.setdefault(id, []).append((event.epoch, step.step))
            if found:
                steps.append(
                    WithdrawnStep(
                        epoch=event.epoch, window=event.window, step=step.step, rows=len(found), of=len(step.rows)
                    )
                )
    return steps, trained


def _row(row: InstructionKept, trained: dict[str, list[tuple[int, int]]], search: _Search) -> WithdrawnRow:
    return WithdrawnRow(
        id=row.id,
        cluster=row.cluster,
        instruction=row.instruction[:TEXT_SHOWN],
        generated_offset=row.generated_offset,
        place=row.place,
        steps=tuple(trained.get(row.id, ())),
        became_seed=WithdrawalLink(kind="seed", id=row.id) in search.came_from,
        path=search.path(WithdrawalLink(kind="instruction", id=row.id)),
    )


def _seed(link: WithdrawalLink, graph: _Graph, search: _Search) -> WithdrawnSeed:
    task = graph.pool.get(link.id)
    return WithdrawnSeed(
        id=link.id,
        instruction="" if task is None else task.instruction,
        active=any(seed.task.id == link.id for seed in graph.pool.active),
        path=search.path(link),
    )


def _generation(link: WithdrawalLink, graph: _Graph, search: _Search) -> WithdrawnGeneration:
    generation = graph.generations[graph.offsets[link.id]]
    return WithdrawnGeneration(
        id=generation.id,
        offset=generation.offset,
        model=generation.model,
        instructions=len(search.places.get(generation.offset, ())),
        path=search.path(link),
    )
