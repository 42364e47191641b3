"""What the strategies hand to the cutting, and how sentences become spans."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from producers.documents.segments.sentences import Outline, Sentence
from producers.documents.segments.words import count_words
from schemas.segments import SegmentForm

Spans = tuple[tuple[int, int], ...]
IsFree = Callable[[Spans], bool]
"""Whether no segment has any of it yet."""


@dataclass(frozen=True)
class WordBounds:
    """Fewest and most words of a segment, both inclusive."""

    least: int
    most: int


@dataclass(frozen=True)
class Proposal:
    """A possible segment."""

    spans: Spans
    form: SegmentForm | None = None


def spans_of(outline: Outline, chosen: Sequence[Sentence]) -> Spans:
    """One span for sentences with nothing but white space between them, and a next one after anything else."""
    spans: list[tuple[int, int]] = []
    last: Sentence | None = None
    for sentence in chosen:
        joined = last is not None and last.run == sentence.run and not outline.text[last.end : sentence.start].strip()
        if joined:
            spans[-1] = spans[-1][0], sentence.end
        else:
            spans.append((sentence.start, sentence.end))
        last = sentence
    return tuple(spans)


def last_fitting(outline: Outline, start: int, ends: Iterable[int], bounds: WordBounds) -> int | None:
    """The last of the ends in the text, in order, up to which what begins at `start` is within the bounds."""
    found = None
    for end in ends:
        words = count_words(outline.text[start:end])
        if words > bounds.most:
            break
        if words >= bounds.least:
            found = end
    return found


def grown(
    sentences: Sequence[Sentence], first: int, last: int, bounds: WordBounds, *, backwards: bool = False
) -> tuple[int, int] | None:
    """The places of a first and a last sentence, from those given to the end of the paragraph, within the bounds.

    Too few words: on into the next paragraph of the run, then backwards, if that is allowed. An end within a quotation
    is passed over, if a later one fits. None: no such run of sentences is within the bounds.
    """
    run, block = sentences[first].run, sentences[last].block
    words = sum(sentence.words for sentence in sentences[first : last + 1])
    found = last if words >= bounds.least and not sentences[last].unclosed else None
    at = last
    while words <= bounds.most and at + 1 < len(sentences) and sentences[at + 1].run == run:
        if sentences[at + 1].block != block and found is not None:
            break
        at += 1
        words += sentences[at].words
        if bounds.least <= words <= bounds.most and not sentences[at].unclosed:
            found = at
    if found is not None:
        total = sum(sentence.words for sentence in sentences[first : found + 1])
        return (first, found) if total <= bounds.most else None
    while backwards and first > 0 and sentences[first - 1].run == run:
        first -= 1
        words = sum(sentence.words for sentence in sentences[first : last + 1])
        if words > bounds.most:
            return None
        if words >= bounds.least and not sentences[first].inside:
            return first, last
    return None
