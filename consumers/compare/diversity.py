"""The diversity of a run's kept instructions: by similarity, by words, by clusters.

The similarity is that of a kept instruction to the nearest one kept before it, as the filter scores it
(`streams.core.similarity.rouge_scores`). Every n-th instruction is sampled, so that at most `SAMPLE` are scored and
each part of the run counts alike. The words are a guess (`consumers.compare.words`).
"""

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from consumers.compare.words import root
from streams.core.similarity.rouge_scores import full_scores_in_order
from streams.core.similarity.tokenize import Tokenizer

SAMPLE = 500
_BINS = 25
_SHOWN = 20


class NearestSimilarity(msgspec.Struct, frozen=True, kw_only=True):
    """Similarity of kept instructions to the nearest kept before.

    sampled   instructions scored
    mean      over them, None when there are none
    curve     (kept by then, mean since the point before)
    """

    sampled: int
    mean: float | None
    curve: tuple[tuple[int, float], ...]


class VerbNounCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Root verbs and their objects, as far as the heuristic finds them.

    with_verb, with_object   kept instructions with one
    verbs, objects, pairs    distinct ones
    most                     (verb, object, instructions) of the most frequent pairs
    """

    with_verb: int
    with_object: int
    verbs: int
    objects: int
    pairs: int
    most: tuple[tuple[str, str, int], ...]


class Diversity(msgspec.Struct, frozen=True, kw_only=True):
    """The diversity of the kept instructions.

    cluster_entropy   of the clusters' sizes, in bits; None when nothing is kept
    balance           that over the entropy of equal clusters; None when there is one cluster or nothing kept
    """

    nearest: NearestSimilarity
    words: VerbNounCounts
    cluster_entropy: float | None
    balance: float | None


def diversity(texts: Sequence[str], clusters: Sequence[int], tokenizer: Tokenizer) -> Diversity:
    """The diversity of kept instructions, in the order they were kept, and of the sizes of their clusters."""
    bits = entropy(clusters)
    return Diversity(
        nearest=nearest(texts, tokenizer),
        words=words(texts),
        cluster_entropy=bits,
        balance=None if bits is None or len(clusters) < 2 else bits / math.log2(len(clusters)),
    )


def nearest(texts: Sequence[str], tokenizer: Tokenizer) -> NearestSimilarity:
    """The similarity of every n-th text but the first, which has none before it."""
    step = max(1, -(-len(texts) // SAMPLE))
    places = range(max(1, step - 1), len(texts), step)
    scores = [s.maximum for s in full_scores_in_order(texts, nearest=0, tokenizer=tokenizer, only=places)]
    width = max(1, -(-len(scores) // _BINS))
    bins = [
        (places[min(at + width, len(scores)) - 1] + 1, _mean(scores[at : at + width]))
        for at in range(0, len(scores), width)
    ]
    return NearestSimilarity(sampled=len(scores), mean=_mean(scores) if scores else None, curve=tuple(bins))


def words(texts: Sequence[str]) -> VerbNounCounts:
    """The root verbs and objects of all texts."""
    roots = [found for found in map(root, texts) if found is not None]
    pairs = Counter((verb, thing) for verb, thing in roots if thing is not None)
    most = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    return VerbNounCounts(
        with_verb=len(roots),
        with_object=pairs.total(),
        verbs=len({verb for verb, _ in roots}),
        objects=len({thing for _, thing in pairs}),
        pairs=len(pairs),
        most=tuple((verb, thing, number) for (verb, thing), number in most),
    )


def entropy(sizes: Sequence[int]) -> float | None:
    """The entropy in bits of a distribution given by its counts."""
    total = sum(sizes)
    if not total:
        return None
    return sum(size / total * math.log2(total / size) for size in sizes if size)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
