"""Dialogue and quotations."""

import re
from collections.abc import Iterator

from producers.documents.segments.plain import OPENS, ends_well, is_clean, starts_well
from producers.documents.segments.proposals import Proposal, WordBounds, grown, last_fitting, spans_of
from producers.documents.segments.sentences import Outline
from producers.documents.segments.words import count_words

_QUOTED_WORDS = 8
_QUOTED = re.compile(r"“([^“”]*)”|\"([^\"]*)\"|``(.{0,2000}?)''|«([^«»]*)»|「([^「」]*)」")
_ATTRIBUTION = re.compile(
    r"\b(?:says?|said|writes?|wrote|written|states?|stated|argue[sd]?|according to|declare[sd]?|remark(?:s|ed)?"
    r"|call(?:s|ed)|describe[sd]?|claim(?:s|ed)?|note[sd]?|explain(?:s|ed)?|observe[sd]?|add(?:s|ed)|repl(?:ies|ied)"
    r"|comment(?:s|ed)|conclude[sd]?|quote[sd]?|insist(?:s|ed)|suggest(?:s|ed)|report(?:s|ed)|maintain(?:s|ed)"
    r"|reads?|asks?|asked|words|phrase|define[sd]?|express(?:es|ed))\b",
    re.IGNORECASE,
)
_SPOKEN = re.compile(r"\b(?:I|you|we|me|my|your|us|our)\b|\?")


def dialogue(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """Paragraphs that follow each other and begin with speech, parted where they would get too long."""
    place = 0
    while place < len(outline.blocks):
        end = place
        while end < len(outline.blocks) and _is_turn(outline, end):
            end += 1
        yield from _turns(outline, bounds, place, end)
        place = end + 1


def scripted(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """Turns as in a play, "NAME: ..."; the same name twice at least, and words of speech."""
    place = 0
    blocks = outline.blocks
    while place < len(blocks):
        end = place
        while end < len(blocks) and blocks[end].kind == "labelled":
            end += 1
        names = [block.marker for block in blocks[place:end]]
        spoken = sum(_SPOKEN.search(outline.of(block)[len(block.marker) :]) is not None for block in blocks[place:end])
        if len(set(names)) > 1 and len(set(names)) < len(names) and 2 * spoken > len(names):
            yield from _turns(outline, bounds, place, end)
        place = max(end, place + 1)


def quotations(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """A quotation of eight words or more with a word of attribution, and its paragraph; not one that opens a paragraph,
    which is speech."""
    sentences = outline.sentences
    for place, sentence in enumerate(sentences):
        text = outline.of(sentence)
        quoted = max((count_words(found[0]) for found in _QUOTED.finditer(text)), default=0)
        speech = outline.text.startswith(OPENS, outline.blocks[sentence.block].start)
        if quoted < _QUOTED_WORDS or speech or sentence.inside or not _ATTRIBUTION.search(_QUOTED.sub(" ", text)):
            continue
        first, words = place, sentence.words
        while first and sentences[first].dangling and sentences[first - 1].block == sentence.block:
            first -= 1
            words += sentences[first].words
            if words > bounds.most:
                break
        if words > bounds.most or sentences[first].inside or sentences[first].run != sentence.run:
            first = place
        parts = grown(sentences, first, place, bounds) or grown(sentences, place, place, bounds, backwards=True)
        if parts:
            yield Proposal(spans_of(outline, sentences[parts[0] : parts[1] + 1]), "quotation")


def _turns(outline: Outline, bounds: WordBounds, first: int, end: int) -> Iterator[Proposal]:
    """The turns from `first` to before `end`, in as few parts as fit."""
    blocks = outline.blocks
    while first + 1 < end:
        start = blocks[first].start
        last = last_fitting(outline, start, (block.end for block in blocks[first + 1 : end]), bounds)
        if last is None:
            first += 1
            continue
        yield Proposal(((start, last),), "dialogue")
        while first < end and blocks[first].end <= last:
            first += 1


def _is_turn(outline: Outline, place: int) -> bool:
    block = outline.blocks[place]
    text = outline.of(block) if block.kind == "prose" else ""
    return text.startswith(OPENS) and starts_well(text) and ends_well(text) and is_clean(text)
