"""The index's decisions compared with rouge_score's, item by item, on a mixed stream.

rouge_score takes too long for every pair of ten thousand items, so pairs are pruned by a bound that is independent of
the index: a common subsequence is no longer than the overlap of the two texts as bags of tokens, a product of sparse
matrices. Every pair that could be above the lowest threshold is scored by rouge_score itself; for a sample of the items
so is every other pair, to show that the bound holds.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from scipy.sparse import csr_array

from benchmarks import texts
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.tokenize import rouge_tokens

_SEED = 1969
_BLOCK = 250
_SLACK = 1e-9
_OTHER = [
    "",
    "...",
    "東京タワーの高さは？",
    "Опишите процесс фотосинтеза.",
    "🙂",
    "naïve café",
    "¿Qué es?",
    "1 2 3",
    "A",
]

Scores = list[dict[int, float]]
"""For each item, rouge_score's F with earlier ones, where it could be above the lowest threshold."""


@dataclass(frozen=True)
class Agreement:
    """The result for one stream and threshold; `differences` has the first few as sentences."""

    threshold: float
    stream: str
    items: int
    above: int
    different: int
    differences: tuple[str, ...]


def mixed(count: int) -> list[str]:
    """Instructions, near-duplicates, and repetitive, long, non-ASCII and empty texts."""
    rng = random.Random(_SEED)
    source = texts.source()
    plain = iter(source.first(count))
    made: list[str] = []
    while len(made) < count:
        kind = rng.random()
        if kind < 0.55 or not made:
            made.append(next(plain))
        elif kind < 0.85:
            made.append(_altered(rng.choice(made), rng, source.words))
        elif kind < 0.90:
            made.append(" ".join(rng.choices("abcd", k=rng.randint(1, 25))))
        elif kind < 0.94:
            start = rng.randrange(len(source.words) - 200)
            made.append(" ".join(source.words[start : start + rng.randint(20, 150)]))
        elif kind < 0.96:
            made.append(rng.choice(_OTHER))
        else:
            made.append(_tie(rng))
    return made


def _altered(text: str, rng: random.Random, words: Sequence[str]) -> str:
    tokens = text.split()
    for _ in range(rng.randint(1, max(1, len(tokens) // 3))):
        place = rng.randrange(len(tokens) + 1)
        change = rng.random()
        if change < 0.4:
            tokens[place : place + 1] = [rng.choice(words)]
        elif change < 0.7:
            tokens[place : place + 1] = []
        else:
            tokens.insert(place, rng.choice(words))
    return " ".join(tokens)


def _tie(rng: random.Random) -> str:
    """Texts of 7 to 13 tokens with 7 in common: at 0.7 the last bit decides."""
    family = rng.randrange(10)
    own = [f"u{rng.randrange(10**6)}" for _ in range(rng.randint(0, 6))]
    return " ".join([f"t{family}x{place}" for place in range(7)] + own)


def reference(items: Sequence[str], threshold: float, whole: int, step: Callable[[str, int, int], None]) -> Scores:
    """rouge_score's F of every pair that could be above the threshold; `whole` items are compared with all."""
    scorer = RougeScorer(["rougeL"])
    elements: dict[tuple[str, int], int] = {}
    rows, columns = [], []
    lengths = np.zeros(len(items))
    for place, text in enumerate(items):
        tokens = rouge_tokens(text)
        lengths[place] = len(tokens)
        seen: Counter[str] = Counter()
        for token in tokens:
            rows.append(place)
            columns.append(elements.setdefault((token, seen[token]), len(elements)))
            seen[token] += 1
    bags = csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(len(items), max(1, len(elements))))
    transposed = bags.T.tocsr()
    checked_whole = set(random.Random(_SEED).sample(range(len(items)), min(whole, len(items))))
    scores: Scores = [{} for _ in items]
    for start in range(0, len(items), _BLOCK):
        step("scored by rouge_score", start, len(items))
        overlap = (bags[start : start + _BLOCK] @ transposed).tocoo()
        first, second = overlap.row + start, overlap.col
        possible = 2 * overlap.data > (threshold - _SLACK) * (lengths[first] + lengths[second])
        pairs = {(int(a), int(b)) for a, b in zip(first[possible], second[possible], strict=True) if b < a}
        for place in checked_whole & set(range(start, start + _BLOCK)):
            pairs |= {(place, other) for other in range(place)}
        for a, b in pairs:
            score = scorer.score(items[b], items[a])["rougeL"].fmeasure
            if score > threshold:
                scores[a][b] = score
                # A pair found only in the full comparison would show that the bound is wrong.
                assert a not in checked_whole or _overlap_allows(items[a], items[b], threshold), (items[a], items[b])
    return scores


def _overlap_allows(a: str, b: str, threshold: float) -> bool:
    first, second = Counter(rouge_tokens(a)), Counter(rouge_tokens(b))
    return 2 * (first & second).total() > (threshold - _SLACK) * (first.total() + second.total())


def compare(items: Sequence[str], scores: Scores, threshold: float, *, keep_all: bool) -> Agreement:
    """Run the stream through the index; similar texts are dropped, or all are kept."""
    index = RougeLIndex(threshold)
    kept: set[int] = set()
    differences = []
    above = 0
    for place, text in enumerate(items):
        expected: tuple[float, str] | None = None
        for other, score in sorted(scores[place].items()):
            if other in kept and score > threshold and (expected is None or score > expected[0]):
                expected = (score, str(other))
        found = index.nearest_above(text, (place, 0))
        above += expected is not None
        if found != expected:
            differences.append(f"item {place} ({text!r}): rouge_score {expected}, index {found}")
        if keep_all or expected is None:
            index.add(str(place), text, (place, 0))
            kept.add(place)
    stream = "everything kept" if keep_all else "similar ones dropped"
    return Agreement(threshold, stream, len(items), above, len(differences), tuple(differences[:5]))
