"""The verdict on every generated instruction: a fold of `generated`, `kept` and `rejected`, and its audit.

The three topics may be read in any order against each other; each by itself comes in offset order. Repeats are dropped
by the rules of `consumers.folds.deduplicate`.

A record of `generated` that the filter could not read never counts, even if this program can read it: the filter's
verdict on it names no generation. If it was put on the log again, the copy counts. The fold is pure.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from consumers.folds.deduplicate import Deduplicator
from schemas import ids
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected
from schemas.policy import Policy
from streams.core.scores import SeedScore, uncounted


@dataclass(frozen=True, slots=True)
class CountedGeneration:
    """A generation as far as counting needs it.

    unparsed               reasons of the parts that no instruction was parsed from
    seed_commands_offset   of the pool it sampled
    """

    id: str
    lane: str
    number: int
    seed_ids: tuple[str, ...]
    instructions: int
    unparsed: tuple[str, ...]
    seed_commands_offset: int


@dataclass(frozen=True, slots=True)
class DecidedTotals:
    """The filter's counts when it decided a generation: of that one, and of the run up to and with it.

    uncounted   of the generated ones, how many do not count in the scores of the seeds
    """

    generated: int
    kept: int
    generated_total: int
    kept_total: int
    uncounted: int


@dataclass(frozen=True)
class BookkeepingProblem:
    """An instruction without exactly one verdict; or its generation, when it concerns all of it."""

    id: str
    generated_offset: int
    what: str


@dataclass
class VerdictFold:
    """The state of the fold, of a run with this policy.

    generations     by offset of `generated`, deduplicated, without those that the filter could not read
    totals          the filter's counts, by the same offset
    kept            (generated_offset, cluster) of each row, by id
    rejected        (generated_offset, reason) by instruction id
    scores          of each seed that was shown in a decided generation
    shown           generations, decided or not, that each seed was shown in
    generated_end   offset after the last record of `generated` that was read, of whatever kind
    reinstated      copies dropped as repeats before the filter was known to have failed to read the first
    """

    policy: Policy
    deduplicator: Deduplicator = field(default_factory=Deduplicator)
    generations: dict[int, CountedGeneration] = field(default_factory=dict)
    totals: dict[int, DecidedTotals] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)
    scores: dict[str, SeedScore] = field(default_factory=dict)
    shown: Counter[str] = field(default_factory=Counter)
    generated_end: int = 0
    reinstated: int = 0
    _surplus: list[BookkeepingProblem] = field(default_factory=list, repr=False)
    _copies: dict[tuple[str, int], list[tuple[int, CountedGeneration]]] = field(default_factory=dict, repr=False)

    @property
    def decided_offset(self) -> int:
        """Last record of `generated` that the filter has decided, -1 for none."""
        return self.deduplicator.decided_offset

    @property
    def lag(self) -> int:
        """Records of `generated` that were read and that the filter has not decided."""
        return max(0, self.generated_end - self.decided_offset - 1)

    def generated(self, event: InstructionsGenerated, id: str, offset: int) -> bool:
        """Take a generation into account; False for a repeat."""
        self.generated_end = max(self.generated_end, offset + 1)
        if offset in self.deduplicator.unread:
            return True
        generation = CountedGeneration(
            id,
            event.lane,
            event.number,
            event.seed_ids,
            len(event.instructions),
            tuple(part.reason for part in event.unparsed),
            event.seed_commands_offset,
        )
        if not self.deduplicator.generated(event, offset):
            self._copies.setdefault((event.lane, event.number), []).append((offset, generation))
            return False
        self._take(offset, generation)
        return True

    def keep(self, event: InstructionKept, partition: int) -> bool:
        """Take a kept row into account; False for a repeat."""
        if not self.deduplicator.kept(event.generated_offset, event.place, partition):
            return False
        if event.id in self.kept:
            self._surplus.append(BookkeepingProblem(event.id, event.generated_offset, "kept twice"))
        self.kept[event.id] = (event.generated_offset, event.cluster)
        return True

    def reject(self, event: InstructionsRejected) -> bool:
        """Take the filter's verdict on a generation into account; False for a repeat."""
        offset, expected = event.generated_offset, self.decided_offset + 1
        if not self.deduplicator.rejected(event):
            return False
        if offset > expected:
            problem = f"the filter passed over {offset - expected} records before it"
            self._surplus.append(BookkeepingProblem(event.generation_id, offset, problem))
        if not event.generation_id:
            self._could_not_read(offset)
        self.totals[offset] = DecidedTotals(
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
        """Pass over a record of `generated` that cannot be read."""
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
            totals = self.totals.get(offset)
            if totals is None:
                yield BookkeepingProblem(generation.id, offset, "the filter wrote no verdict on it")
            elif (totals.generated, totals.kept) != (generation.instructions, kept_by_offset[offset]):
                counted = f"the filter counted {totals.generated} generated and {totals.kept} kept, the log holds "
                yield BookkeepingProblem(
                    generation.id, offset, f"{counted}{generation.instructions} and {kept_by_offset[offset]}"
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
        yield from self._compare_totals(generated)

    def _take(self, offset: int, generation: CountedGeneration) -> None:
        self.generations[offset] = generation
        self.shown.update(generation.seed_ids)
        self._credit(offset)

    def _could_not_read(self, offset: int) -> None:
        generation = self.generations.pop(offset, None)
        if generation is None:
            return
        self.shown -= Counter(generation.seed_ids)
        number, unread = (generation.lane, generation.number), self.deduplicator.unread
        copies = [copy for copy in self._copies.pop(number, ()) if copy[0] not in unread]
        if copies:
            self.reinstated += 1
            self._take(*copies[0])
            self._copies[number] = copies[1:]
        else:
            self.deduplicator.release(*number)

    def _compare_totals(self, generated: int) -> Iterator[BookkeepingProblem]:
        totals = self.totals.get(self.decided_offset)
        kept = sum(1 for offset, _ in self.kept.values() if offset <= self.decided_offset)
        if totals is not None and (totals.generated_total, totals.kept_total) != (generated, kept):
            counted = f"the filter's totals are {totals.generated_total} generated and {totals.kept_total} kept"
            yield BookkeepingProblem("", self.decided_offset, f"{counted}, the log's {generated} and {kept}")

    def _credit(self, offset: int) -> None:
        """Credit a generation's seeds once both the generation and the verdict on it have been read."""
        generation, totals = self.generations.get(offset), self.totals.get(offset)
        if generation is None or totals is None:
            return
        for seed_id in generation.seed_ids:
            score = self.scores.get(seed_id, SeedScore())
            self.scores[seed_id] = score.credit(totals.generated - totals.uncounted, totals.kept, offset)
