"""What comes from what in a run, and the search through it.

By the log alone: a seed's generations are those it was shown in, a document's those about a segment of it; a
generation's instructions are those parsed from it; an instruction that was promoted is a seed, and one that was shown
beside the seeds has generations too. The search goes
breadth first, so each thing is found once, by a shortest path, and of equally short ones by the earliest on the log.
"""

from collections import deque
from dataclasses import dataclass, field

from consumers.explain.history import TopicRecords, read_history
from consumers.explain.locate import Subject
from consumers.explain.withdrawal_schema import DerivationPath, WithdrawalLink
from consumers.folds.deduplicate import Deduplicator
from infra.log.source import Source
from schemas import ids
from schemas.events import InstructionsGenerated, InstructionsRejected
from streams.core.seeds import SeedPool
from streams.core.steps import place_of


@dataclass(frozen=True, slots=True)
class DerivedGeneration:
    """A generation as far as the search needs it."""

    id: str
    offset: int
    model: str
    style: str
    instructions: int


@dataclass
class DerivationGraph:
    """What comes from what, with generations by offset.

    promoted                    seeds that commands put into the pool
    offsets                     of generations, by id
    shown, kept_shown   offsets of the generations that a seed or a kept row was shown in
    models, documents   offsets of the generations that a model made, or that are about a segment of a document
    rejected                    places, by generation
    """

    pool: SeedPool
    promoted: set[str]
    generations: dict[int, DerivedGeneration] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    shown: dict[str, list[int]] = field(default_factory=dict)
    kept_shown: dict[str, list[int]] = field(default_factory=dict)
    models: dict[str, list[int]] = field(default_factory=dict)
    documents: dict[str, list[int]] = field(default_factory=dict)
    rejected: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def add(self, id: str, offset: int, event: InstructionsGenerated) -> None:
        self.generations[offset] = DerivedGeneration(id, offset, event.model, event.style, len(event.instructions))
        self.offsets[id] = offset
        for seed_id in event.seed_ids:
            self.shown.setdefault(seed_id, []).append(offset)
        for kept_id in () if event.kept_shown is None else event.kept_shown.ids:
            self.kept_shown.setdefault(kept_id, []).append(offset)
        if event.segment is not None:
            self.documents.setdefault(event.segment.document_id, []).append(offset)
        for model in {event.model, *(answer.model for answer in event.answers)}:
            self.models.setdefault(model, []).append(offset)


def read_graph(source: Source, read: TopicRecords, deduplicator: Deduplicator) -> DerivationGraph:
    """Read the graph of a run. Raises RunError when the run was never configured."""
    pool = read_history(source, read).pool
    seeds = [*pool.active, *(evicted.seed for evicted in pool.evicted.values())]
    graph = DerivationGraph(pool, {seed.task.id for seed in seeds if seed.since_offset >= 0})
    for record in read("rejected"):
        if isinstance(record.event, InstructionsRejected) and deduplicator.rejected(record.event):
            graph.rejected[record.event.generated_offset] = tuple(item.place for item in record.event.rejections)
    for record in read("generated"):
        if isinstance(record.event, InstructionsGenerated) and deduplicator.generated(record.event, record.offset):
            graph.add(record.id, record.offset, record.event)
    return graph


@dataclass
class DerivationSearch:
    """The things found so far, each with the one it came from. `places` are the found instructions by generation."""

    graph: DerivationGraph
    came_from: dict[WithdrawalLink, WithdrawalLink | None] = field(default_factory=dict)
    places: dict[int, dict[int, str]] = field(default_factory=dict)
    _queue: deque[WithdrawalLink] = field(default_factory=deque)

    def start_at(self, subject: Subject) -> None:
        """Begin at the thing with an id."""
        if "seed" in subject.kinds:
            self._find(WithdrawalLink(kind="seed", id=subject.id), None)
        if "document" in subject.kinds:
            self._find(WithdrawalLink(kind="document", id=subject.id), None)
        offset = self.graph.offsets.get(str(subject.generation_id))
        if offset is None:
            return
        generation = self.graph.generations[offset]
        if "instruction" in subject.kinds and subject.place is not None:
            self._find_instruction(generation, subject.place, None)
        if not {"generation", "request"} & set(subject.kinds):
            return
        place = place_of(generation.style, subject.step or 0)
        if place is not None:  # this request gave one instruction its output, and the others nothing
            self._find_instruction(generation, place, None)
        else:
            self._find_generation(offset, None)

    def start_with_model(self, model: str) -> None:
        """Begin at the generations of a model of the graph."""
        for offset in self.graph.models[model]:
            self._find_generation(offset, None)

    def spread(self) -> None:
        """Find everything that came from what was found."""
        graph = self.graph
        made_of = {"seed": graph.shown, "document": graph.documents, "instruction": graph.kept_shown}
        while self._queue:
            link = self._queue.popleft()
            for offset in made_of.get(link.kind, {}).get(link.id, ()):
                self._find_generation(offset, link)
            if link.kind == "generation":
                generation = graph.generations[graph.offsets[link.id]]
                for place in range(generation.instructions):
                    self._find_instruction(generation, place, link)
            elif link.kind == "instruction" and link.id in graph.promoted:
                self._find(WithdrawalLink(kind="seed", id=link.id), link)

    def path(self, link: WithdrawalLink) -> DerivationPath:
        """The links from the start of the search to a found thing, without itself."""
        path: list[WithdrawalLink] = []
        cause = self.came_from[link]
        while cause is not None:
            path.append(cause)
            cause = self.came_from[cause]
        return tuple(reversed(path))

    def _find(self, link: WithdrawalLink, cause: WithdrawalLink | None) -> None:
        if link not in self.came_from:
            self.came_from[link] = cause
            self._queue.append(link)

    def _find_generation(self, offset: int, cause: WithdrawalLink | None) -> None:
        self._find(WithdrawalLink(kind="generation", id=self.graph.generations[offset].id), cause)

    def _find_instruction(self, generation: DerivedGeneration, place: int, cause: WithdrawalLink | None) -> None:
        id = ids.instruction_id(generation.id, place)
        self._find(WithdrawalLink(kind="instruction", id=id), cause)
        self.places.setdefault(generation.offset, {})[place] = id
