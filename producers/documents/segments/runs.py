"""Strategies of consecutive sentences: `random` and `whole`."""

from collections.abc import Iterator

from producers.documents.segments.draws import Draws
from producers.documents.segments.proposals import IsFree, Proposal, WordBounds, spans_of
from producers.documents.segments.sentences import Outline, Sentence
from producers.documents.segments.words import count_words


def random_runs(outline: Outline, bounds: WordBounds, draws: Draws, free: IsFree) -> Iterator[Proposal]:
    """Runs with a random start and a random length.

    Starts that point back, or stand within a quotation, come when all others are used.
    """
    sentences = outline.sentences
    good = [place for place, sentence in enumerate(sentences) if not sentence.dangling and not sentence.inside]
    rest = [place for place, sentence in enumerate(sentences) if sentence.dangling and not sentence.inside]
    for start in draws.shuffled(good) + draws.shuffled(rest):
        aim = draws.between(bounds.least, bounds.most)
        end = _end(outline, start, aim, bounds, free)
        if end is not None:
            yield Proposal(spans_of(outline, sentences[start : end + 1]))


def _end(outline: Outline, start: int, aim: int, bounds: WordBounds, free: IsFree) -> int | None:
    """The last sentence of the run whose length is nearest to the one aimed at, outside a quotation if there is one."""
    sentences = outline.sentences
    words, nearest, found = 0, (True, 0), None
    for place in range(start, len(sentences)):
        sentence = sentences[place]
        words += sentence.words
        if words > bounds.most or sentence.run != sentences[start].run or not free(((sentence.start, sentence.end),)):
            break
        if words >= bounds.least:
            distance = sentence.unclosed, abs(words - aim)
            if found is None or distance < nearest:
                nearest, found = distance, place
    return found


def whole(outline: Outline, bounds: WordBounds, free: IsFree) -> Iterator[Proposal]:
    """All of the document, from its first fit sentence to its last, with what stands between them.

    Of a document that is longer than the bounds: its beginning, up to the last sentence that fits. A block that is not
    fit for a segment ends it; headings do not.
    """
    sentences = outline.sentences
    if not sentences:
        return
    start, end = sentences[0].start, None
    limit = _unfit(outline, sentences[0])
    words, at = 0, start
    for sentence in sentences:
        if sentence.end > limit:
            break
        words += count_words(outline.text[at : sentence.end])
        at = sentence.end
        if words > bounds.most:
            break
        if words >= bounds.least:
            end = sentence.end
    if end is not None and free(((start, end),)):
        yield Proposal(((start, end),))


def _unfit(outline: Outline, first: Sentence) -> int:
    """Where the first block after the first sentence starts that is not fit for a segment."""
    fit = {sentence.block for sentence in outline.sentences}
    for place in range(first.block + 1, len(outline.blocks)):
        block = outline.blocks[place]
        if block.kind == "other" or (block.kind == "prose" and place not in fit):
            return block.start
    return len(outline.text)
