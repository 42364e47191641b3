"""Questions and their answers."""

import re
from collections.abc import Iterator

from producers.documents.segments.proposals import Proposal, WordBounds, grown, last_fitting, spans_of
from producers.documents.segments.sentences import Outline

_QUESTION_WORDS = 4
_ASKS = re.compile(
    r"(?:what|who|whose|whom|where|when|why|how|which|is|are|was|were|do|does|did|can|could|should|would|will|has|have"
    r"|had|may|might|must|shall)\b",
    re.IGNORECASE,
)
_LABELS = {"Q", "Question", "A", "Answer"}


def questions(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """A question outside speech that begins with a question word, and what follows it, which is no question."""
    sentences = outline.sentences
    for place, sentence in enumerate(sentences[:-1]):
        following = sentences[place + 1]
        text = outline.of(sentence)
        asks = text.endswith("?") and _ASKS.match(text) and sentence.words >= _QUESTION_WORDS
        if not asks or sentence.inside or following.run != sentence.run or outline.of(following).endswith("?"):
            continue
        parts = grown(sentences, place, place + 1, bounds)
        if parts:
            yield Proposal(spans_of(outline, sentences[parts[0] : parts[1] + 1]), "question_answer")


def labelled_questions(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """Lines "Q: ..." and "A: ...", as many as fit."""
    place = 0
    while place < len(outline.blocks):
        end = place
        while end < len(outline.blocks) and outline.blocks[end].marker in _LABELS:
            end += 1
        start = outline.blocks[place].start
        answers = (block.end for block in outline.blocks[place:end] if block.marker.startswith("A"))
        last = last_fitting(outline, start, answers, bounds)
        if last is not None and outline.blocks[place].marker.startswith("Q"):
            yield Proposal(((start, last),), "question_answer")
        place = max(end, place + 1)
