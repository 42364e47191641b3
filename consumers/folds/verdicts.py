"""What became of every generated instruction: a fold of `generated`, `kept` and `rejected`, and its audit.

The three topics may be read in any order against each other; each by itself comes in offset order. Events that stand
twice are told apart by what caused them: the filter decides each record of `generated` once, in order, so of `kept` a
row not above the last (generated_offset, place) of its partition, of `rejected` a record not above the last
generated_offset, and of `generated` an id (which stands for lane and number) that was there before is a repeat.

A record of `generated` that the filter could not read counts for nothing, for ever, also when this program can read it:
the filter's word names no generation then. If it was put on the log again, the copy is what counts. The fold is pure.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas import ids
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected
from schemas.policy import Policy
from streams.core.scores import SeedScore, uncounted


@dataclass(frozen=True, slots=True)
class CountedGeneration:
    """A generation as far as counting needs it; `unparsed` are the reasons of the parts that nothing was read from,
    `seed_commands_offset` is that of the pool it sampled."""

    id: str
    seed_ids: tuple[str, ...]
    instructions: int
    unparsed: tuple[str, ...] = ()
    seed_commands_offset: int = -1


@dataclass(frozen=True, slots=True)
class DecidedTotals:
    """What the filter said when it was done with a generation: of it alone, and of the run up to and with it.

    uncounted   of the generated ones, how many do not count in the scores of the seeds
    """

    generated: int
    kept: int
    generated_total: int
    kept_total: int
    uncounted: int


@dataclass(frozen=True)
class BookkeepingProblem:
    """An instruction (or a generation, when it concerns all of it) that does not have exactly one verdict."""

    id: str
    generated_offset: int
    what: str


@dataclass
class VerdictFold:
    """The state of the fold, of a run with this policy.

    generations      by offset of `generated`, each once, without those that the filter could not read
    told             what the filter said, by the same offset
    kept             (generated_offset, cluster) of each row, by id
    rejected         (generated_offset, reason) by instruction id
    scores           of each seed that was shown in a decided generation
    shown            generations, decided or not, that each seed was shown in
    decided_offset   the last record of `generated` that the filter is done with, -1 for none
    generated_end    offset after the last record of `generated` that was read, repeats and unreadable ones too
    reinstated       copies that were taken for repeats before it was known that the filter could not read the first
    """

    policy: Policy
    generations: dict[int, CountedGeneration] = field(default_factory=dict)
    told: dict[int, DecidedTotals] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)
    scores: dict[str, SeedScore] = field(default_factory=dict)
    shown: Counter[str] = field(default_factory=Counter)
    decided_offset: int = -1
    generated_end: int = 0
    _surplus: list[BookkeepingProblem] = field(default_factory=list, repr=False)
    reinstated: int = 0
    _offsets: dict[str, int] = field(default_factory=dict, repr=False)
    _repeats: dict[str, list[tuple[int, CountedGeneration]]] = field(default_factory=dict, repr=False)
    _unread: set[int] = field(default_factory=set, repr=False)
    _kept_last: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def lag(self) -> int:
        """Records of `generated` that the filter is not done with, as far as they have been read."""
        return max(0, self.generated_end - self.decided_offset - 1)

    def generated(self, event: InstructionsGenerated, id: str, offset: int) -> bool:
        """Take a generation into account; False for a repeat."""
        self.generated_end = max(self.generated_end, offset + 1)
        if offset in self._unread:
            return True
        generation = CountedGeneration(
            id,
            event.seed_ids,
            len(event.instructions),
            tuple(part.reason for part in event.unparsed),
            event.seed_commands_offset,
        )
        if id in self._offsets:
            self._repeats.setdefault(id, []).append((offset, generation))
            return False
        self._take(offset, generation)
        return True

    def keep(self, event: InstructionKept, partition: int) -> bool:
        """Take a kept row into account; False for a repeat."""
        cause = (event.generated_offset, event.place)
        if cause <= self._kept_last.get(partition, (-1, -1)):
            return False
        self._kept_last[partition] = cause
        if event.id in self.kept:
            self._surplus.append(BookkeepingProblem(event.id, event.generated_offset, "kept twice"))
        self.kept[event.id] = (event.generated_offset, event.cluster)
        return True

    def reject(self, event: InstructionsRejected) -> bool:
        """Take the filter's word on a generation into account; False for a repeat."""
        offset = event.generated_offset
        if offset <= self.decided_offset:
            return False
        if offset > self.decided_offset + 1:
            what = f"the filter passed over {offset - self.decided_offset - 1} records before it"
            self._surplus.append(BookkeepingProblem(event.generation_id, offset, what))
        self.decided_offset = offset
        if not event.generation_id:
            self._could_not_read(offset)
        self.told[offset] = DecidedTotals(
            event.generated,
            event.kept,
            event.generated_total,
            event.kept_total,
            uncounted(self.policy, event.rejections),
        )
        for rejection in event.rejections:
            if rejection.id in self.rejected:
                self._surplus.append(BookkeepingProblem(rejection.id, offset, "rejected twice"))
            self.rejected[rejection.id] = (offset, rejection.reason)
        self._credit(offset)
        return True

    def unreadable(self, offset: int) -> None:
        """A record of `generated` that cannot be read: the filter decides that there is nothing to decide."""
        self.generated_end = max(self.generated_end, offset + 1)

    def problems(self) -> Iterator[BookkeepingProblem]:
        """What is wrong with the run's books up to `decided_offset`; nothing when every instruction has one verdict."""
        yield from self._surplus
        expected: set[str] = set()
        generated = 0
        kept_by_offset = Counter(offset for offset, _ in self.kept.values())
        for offset, generation in self.generations.items():
            if offset > self.decided_offset:
                continue
            generated += generation.instructions
            told = self.told.get(offset)
            if told is None:
                yield BookkeepingProblem(generation.id, offset, "the filter never told that it is done with it")
            elif (told.generated, told.kept) != (generation.instructions, kept_by_offset[offset]):
                what = f"the filter counted {told.generated} generated and {told.kept} kept, the log holds "
                yield BookkeepingProblem(
                    generation.id, offset, f"{what}{generation.instructions} and {kept_by_offset[offset]}"
                )
            for place in range(generation.instructions):
                id = ids.instruction_id(generation.id, place)
                expected.add(id)
                if (id in self.kept) == (id in self.rejected):
                    yield BookkeepingProblem(
                        id, offset, "kept and rejected" if id in self.kept else "neither kept nor rejected"
                    )
        for found in (self.kept, self.rejected):
            for id, (offset, _) in found.items():
                if offset <= self.decided_offset and id not in expected:
                    yield BookkeepingProblem(id, offset, "decided, but never generated")
        yield from self._totals(generated)

    def _take(self, offset: int, generation: CountedGeneration) -> None:
        self._offsets[generation.id] = offset
        self.generations[offset] = generation
        self.shown.update(generation.seed_ids)
        self._credit(offset)

    def _could_not_read(self, offset: int) -> None:
        self._unread.add(offset)
        generation = self.generations.pop(offset, None)
        if generation is None:
            return
        del self._offsets[generation.id]
        self.shown -= Counter(generation.seed_ids)
        copies = [copy for copy in self._repeats.pop(generation.id, ()) if copy[0] not in self._unread]
        if copies:
            self.reinstated += 1
            self._take(*copies[0])
            self._repeats[generation.id] = copies[1:]

    def _totals(self, generated: int) -> Iterator[BookkeepingProblem]:
        told = self.told.get(self.decided_offset)
        kept = sum(1 for offset, _ in self.kept.values() if offset <= self.decided_offset)
        if told is not None and (told.generated_total, told.kept_total) != (generated, kept):
            what = f"the filter's totals are {told.generated_total} generated and {told.kept_total} kept, the log's "
            yield BookkeepingProblem("", self.decided_offset, f"{what}{generated} and {kept}")

    def _credit(self, offset: int) -> None:
        """Credit a generation's seeds once both the generation and the filter's word on it have been seen."""
        generation, told = self.generations.get(offset), self.told.get(offset)
        if generation is None or told is None:
            return
        for seed_id in generation.seed_ids:
            score = self.scores.get(seed_id, SeedScore())
            self.scores[seed_id] = score.credit(told.generated - told.uncounted, told.kept, offset)
