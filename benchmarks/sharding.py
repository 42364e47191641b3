"""The road past one filter, simulated: the kept table in shards, one sequencer, and the decisions of a single index.

A text's *elements* are its tokens with their occurrence. In one fixed order of rarity, two texts with F above the
threshold have one of the rarest `Bounds.prefix(length)` elements of each in common. So each element belongs to one
shard; a text asks the shards of its rarest elements, and is stored in the same if it is kept: whatever is above the
threshold is in a shard that is asked. The order is fixed (here counted on texts before the stream) because a text must
be found where it was stored.

The sequencer takes the stream in blocks. A shard answers, for each text of a block that asks it, the nearest stored
one, or, where an earlier one of the same block is nearer, all of those above the threshold. The sequencer goes through
the block in order: a text is rejected when a stored one or an earlier kept one of the block is above the threshold, and
the highest F, of these the earliest, is the one it names. A shard stores what asked it, and takes out what was rejected
before its next block.

Each shard is a `RougeLIndex` of its own, timed apart as if it were a process of its own. Every decision and nearest
text must equal the single index's. Not simulated: the network, and shards that wait for one another.
"""

import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from benchmarks.texts import source
from streams.core.similarity.bounds import Bounds
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.rouge import tokens_fmeasure
from streams.core.similarity.tokenize import rouge_tokens

TEXTS = 20_000
SHARDS = (1, 2, 4, 8, 16, 32, 64)
THRESHOLD = 0.85
BLOCK = 256
_ORDER_TEXTS = 5_000
_NEAR_COPIES = 0.25  # texts that repeat an earlier one with a word or two changed
_PLACED_FROM = 5  # texts of those that the order was counted on
_HASHED = 0x9E3779B97F4A7C15

Element = tuple[str, int]
Nearest = tuple[float, int] | None
"""F and place in the stream of the nearest text above the threshold."""
Step = Callable[..., None]


class RarityOrder:
    """A fixed total order of all elements that there can be: by how many texts had it, then by a hash."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = [elements(rouge_tokens(text)) for text in texts]
        self._counts = Counter(element for text in self._texts for element in text)

    def rarest(self, text: Sequence[Element], bounds: Bounds) -> list[Element]:
        """Those under which a text with these elements is looked for and stored."""
        return sorted(text, key=self._key)[: bounds.prefix(len(text))]

    def spread(self, shards: int, bounds: Bounds) -> dict[Element, int]:
        """The shards of the elements that are most asked for, so that all are asked alike; the rest goes by a hash."""
        asked = Counter(element for text in self._texts for element in self.rarest(text, bounds))
        loads = [0] * shards
        placed = {}
        for element, count in asked.most_common():
            if count < _PLACED_FROM:
                break
            placed[element] = loads.index(min(loads))
            loads[placed[element]] += count
        return placed

    def _key(self, element: Element) -> tuple[int, int, Element]:
        return self._counts[element], _hash(element), element


def elements(tokens: Sequence[str]) -> list[Element]:
    """Each token with its occurrence in the text; all different."""
    seen: Counter[str] = Counter()
    found = []
    for token in tokens:
        found.append((token, seen[token]))
        seen[token] += 1
    return found


@dataclass
class Shard:
    """One part of the kept table. `busy_s`: processor time of its work; `asks`: texts that asked it."""

    threshold: float
    index: RougeLIndex = field(init=False)
    busy_s: float = 0.0
    asks: int = 0

    def __post_init__(self) -> None:
        self.index = RougeLIndex(self.threshold)

    def ask(self, block: Sequence[tuple[int, str]]) -> list[tuple[int, list[tuple[float, int]]]]:
        """For each (place, text) the texts above θ that may decide: the nearest one stored, and, where one of the same
        block is nearer, those of the block that come before it. All are stored until `settle`.
        """
        began = time.process_time()
        first = block[0][0] if block else 0
        found = []
        for at, (place, text) in enumerate(block):
            nearest = _placed(self.index.nearest_above(text))
            named = [nearest] if nearest else []
            if nearest and nearest[1] >= first:  # of this block, and it may yet be rejected itself
                stored = _placed(self.index.nearest_above(text, before=(first, 0)))
                tokens = rouge_tokens(text)
                named = [stored] if stored else []
                for before, other in block[:at]:
                    fmeasure = tokens_fmeasure(rouge_tokens(other), tokens)
                    named += [(fmeasure, before)] if fmeasure > self.threshold else []
            self.index.add(str(place), text, (place, 0))
            found.append((place, named))
        self.asks += len(block)
        self.busy_s += time.process_time() - began
        return found

    def settle(self, rejected: Iterable[int]) -> None:
        """Take the rejected of the last block out again."""
        began = time.process_time()
        for place in rejected:
            self.index.remove(str(place))
        self.busy_s += time.process_time() - began


class Sequencer:
    """Orders the stream over shards. `busy_s`: its processor time; `copies`: rows stored, over all shards."""

    def __init__(self, threshold: float, shards: int, order: RarityOrder) -> None:
        self.shards = [Shard(threshold) for _ in range(shards)]
        self.busy_s = 0.0
        self.copies = 0
        self.decisions: list[Nearest] = []
        self._order = order
        self._bounds = Bounds(threshold)
        self._placed = order.spread(shards, self._bounds)

    def of(self, text: str) -> list[int]:
        """The shards that a text asks and is stored in; none for a text without tokens."""
        rarest = self._order.rarest(elements(rouge_tokens(text)), self._bounds)
        return sorted({self._placed.get(e, _hash(e) % len(self.shards)) for e in rarest})

    def decide(self, texts: Sequence[str]) -> None:
        """Decide one block; the next place in the stream is the number of decisions."""
        began, waited = time.process_time(), self._shards_busy_s()
        first = len(self.decisions)
        asked: list[list[tuple[int, str]]] = [[] for _ in self.shards]
        where = [self.of(text) for text in texts]
        for place, (text, shards) in enumerate(zip(texts, where, strict=True), first):
            for shard in shards:
                asked[shard].append((place, text))
        answers: list[list[tuple[float, int]]] = [[] for _ in texts]
        for shard, block in zip(self.shards, asked, strict=True):
            for place, named in shard.ask(block):
                answers[place - first] += named
        kept: set[int] = set()
        for place, found in enumerate(answers, first):
            counted = [(f, before) for f, before in found if before < first or before in kept]
            nearest = max(counted, key=lambda each: (each[0], -each[1]), default=None)
            self.decisions.append(nearest)
            if nearest is None:
                kept.add(place)
        for shard, block in zip(self.shards, asked, strict=True):
            rejected = [place for place, _ in block if place not in kept]
            self.copies += len(block) - len(rejected)
            shard.settle(rejected)
        self.busy_s += time.process_time() - began - (self._shards_busy_s() - waited)

    def _shards_busy_s(self) -> float:
        return sum(shard.busy_s for shard in self.shards)


def single(texts: Iterable[str], threshold: float) -> tuple[list[Nearest], float]:
    """The decisions of one index over the stream, and their processor time."""
    index, decisions = RougeLIndex(threshold), list[Nearest]()
    began = time.process_time()
    for place, text in enumerate(texts):
        found = index.nearest_above(text)
        decisions.append(_placed(found))
        if found is None:
            index.add(str(place), text)
    return decisions, time.process_time() - began


@dataclass(frozen=True)
class Sharded:
    """One number of shards over the stream.

    different      decisions or nearest texts that differ from the single index's
    asked          shards that a text asks, on average
    copies         of each kept row, on average
    busiest        the busiest shard's share of all asks
    sequencer_us   processor time a text, of the sequencer; `busiest_us` of the busiest shard; `shards_us` of all
    """

    shards: int
    different: int
    asked: float
    copies: float
    busiest: float
    sequencer_us: float
    busiest_us: float
    shards_us: float


@dataclass(frozen=True)
class Sharding:
    """All that was simulated. `single_us`: processor time a text of one index."""

    texts: int
    kept: int
    threshold: float
    block: int
    input: str
    single_us: float
    sharded: tuple[Sharded, ...]


def measure(
    texts: int, shards: Sequence[int], step: Step, threshold: float = THRESHOLD, block: int = BLOCK
) -> Sharding:
    """Decide the same stream with one index and with each number of shards."""
    stream = made(texts)
    order = RarityOrder(islice(source().stream(), _ORDER_TEXTS))
    step("one index")
    expected, seconds = single(stream, threshold)
    kept = expected.count(None)
    found = []
    for number in shards:
        step(f"{number} shards")
        sequencer = Sequencer(threshold, number, order)
        with _no_collections():
            for start in range(0, len(stream), block):
                sequencer.decide(stream[start : start + block])
        asks = [shard.asks for shard in sequencer.shards]
        found.append(
            Sharded(
                shards=number,
                different=sum(mine != theirs for mine, theirs in zip(sequencer.decisions, expected, strict=True)),
                asked=sum(asks) / texts,
                copies=sequencer.copies / kept,
                busiest=max(asks) / sum(asks),
                sequencer_us=1e6 * sequencer.busy_s / texts,
                busiest_us=1e6 * max(shard.busy_s for shard in sequencer.shards) / texts,
                shards_us=1e6 * sum(shard.busy_s for shard in sequencer.shards) / texts,
            )
        )
    return Sharding(texts, kept, threshold, block, source().name, 1e6 * seconds / texts, tuple(found))


def made(count: int, seed: int = 1) -> list[str]:
    """Texts of which a quarter are near-copies of an earlier one, as from a model that repeats itself."""
    draw = random.Random(seed)
    texts: list[str] = []
    for text in islice(source().stream(), _ORDER_TEXTS, _ORDER_TEXTS + count):
        words = (draw.choice(texts[-2_000:]) if texts and draw.random() < _NEAR_COPIES else text).split()
        if words and draw.random() < 0.5:
            words[draw.randrange(len(words))] = draw.choice((draw.choice(texts) if texts else text).split() or words)
        texts.append(" ".join(words))
    return texts


def _placed(found: tuple[float, str] | None) -> Nearest:
    return None if found is None else (found[0], int(found[1]))


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without garbage collections: of all shards in one process, one at a time would pay for the others."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _hash(element: Element) -> int:
    """The same in every process, unlike `hash`."""
    number = element[1] + 1
    for byte in element[0].encode():
        number = (number ^ byte) * _HASHED & 0xFFFFFFFFFFFFFFFF
    return number ^ number >> 29
