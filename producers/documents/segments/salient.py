"""The strategy `salient`: the most central sentences of a passage, in document order."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from producers.documents.segments.centrality import WINDOW, centrality
from producers.documents.segments.draws import Draws
from producers.documents.segments.plain import OPENS
from producers.documents.segments.proposals import IsFree, Proposal, WordBounds, spans_of
from producers.documents.segments.sentences import Outline, Sentence

_PASSAGE = 16  # sentences that a segment is chosen from
_SHORTEST = 6  # words of a sentence


def salient(outline: Outline, bounds: WordBounds, draws: Draws, free: IsFree) -> Iterator[Proposal]:
    """One segment of each passage of about 16 sentences, the passages in random order.

    Sentences are ranked in windows of 256, so that what is central is known from more than the passage. A segment has
    a random length, and at most half of what the passage has left. A sentence that points back is only taken after the
    one before it, and none that is speech, or stands within a quotation, or is said a second time.
    """
    ranked: dict[int, list[int]] = {}
    for window, start, end in draws.shuffled(_passages(len(outline.sentences))):
        aim = draws.between(bounds.least, bounds.most)
        if window not in ranked:
            texts = [outline.of(sentence) for sentence in outline.sentences[window : window + WINDOW]]
            ranked[window] = [int(rank) for rank in centrality(texts)]
        left = [
            place
            for place in range(start, end)
            if outline.sentences[place].words >= _SHORTEST
            and not _is_speech(outline, outline.sentences[place])
            and free(((outline.sentences[place].start, outline.sentences[place].end),))
        ]
        texts = [outline.of(outline.sentences[place]) for place in left]
        ranks = {
            place: ranked[window][place - window]
            for number, (place, text) in enumerate(zip(left, texts, strict=True))
            if text not in texts[:number]
        }
        chosen = _choose(outline.sentences, ranks, aim, bounds)
        if chosen:
            yield Proposal(spans_of(outline, [outline.sentences[place] for place in chosen]))


def _is_speech(outline: Outline, sentence: Sentence) -> bool:
    return sentence.inside or sentence.unclosed or outline.text.startswith(OPENS, sentence.start)


def _passages(count: int) -> list[tuple[int, int, int]]:
    """The first sentence of the window, the first of the passage, and the one after it."""
    passages: list[tuple[int, int, int]] = []
    for window in range(0, count, WINDOW):
        size = min(WINDOW, count - window)
        parts = max(1, round(size / _PASSAGE))
        edges = [window + size * part // parts for part in range(parts + 1)]
        passages += [(window, start, end) for start, end in pairwise(edges)]
    return passages


def _choose(sentences: Sequence[Sentence], ranks: dict[int, int], aim: int, bounds: WordBounds) -> list[int]:
    """The places of the most central sentences with about as many words as aimed at, two at least where they fit.

    Empty: there are not enough.
    """
    aim = max(bounds.least, min(aim, sum(sentences[place].words for place in ranks) // 2))
    chosen: set[int] = set()
    words = 0
    waiting = sorted(ranks, key=lambda place: (-ranks[place], place))
    while words < aim or len(chosen) < 2:
        fitting = (
            place
            for place in waiting
            if words + sentences[place].words <= bounds.most
            and (
                not sentences[place].dangling
                or (place - 1 in chosen and sentences[place - 1].run == sentences[place].run)
            )
        )
        place = next(fitting, None)
        if place is None:
            break
        waiting.remove(place)
        chosen.add(place)
        words += sentences[place].words
    return sorted(chosen) if words >= bounds.least else []
