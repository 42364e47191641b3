"""Definitions."""

import re
from collections.abc import Iterator

from producers.documents.segments.blocks import Block
from producers.documents.segments.proposals import Proposal, WordBounds, grown, last_fitting, spans_of
from producers.documents.segments.sentences import Outline
from producers.documents.segments.words import count_words

_SUBJECT_WORDS = 8
_DEFINES = re.compile(
    r"(?P<subject>[^\W_][^.;:?!“”\"()]{1,80}?)(?: ?\([^()]{1,160}\))?(?:,[^.;?!]{1,80},)? "
    r"(?:(?:is|are) (?:an?|any|one of|defined as|the (?:term|name|process|study|practice|science|art|act)) "
    r"|means (?:that|an?|the|to) |(?:refers|refer) to |denotes? |(?:is|are) called |(?:can|may) be defined as )"
)
_NAMED = re.compile(r"[A-Z][\w.'’-]+(?: [A-Z][\w.'’-]*){1,4} ?(?:\([^()]{1,200}\) )?was (?:an?|one of the) ")
_NAMED_BEFORE = re.compile(r"The [a-z]+ (?:is|are|was|means|refers) ")
_CLAUSE = re.compile(
    r"\b(?:that|which|who|was|were|had|have|has|would|will|can|could|did|does|do|be|been|it|he|she|they|there|this|these"
    r"|not|i|you|we|my|your|our|me|us|him|her|his|their|if|when|what|how|why|where|while|because|said|says|yet|still)\b"
    r"|\b(?:by|a|an|no|any|the|this|such|other)$",
    re.IGNORECASE,
)
_NO_SUBJECT = re.compile(
    r"(?:there|here|although|though|since|as|after|before|all|some|many|most|one|every|each|nothing|everything|someone"
    r"|everyone|another|perhaps|maybe|now|today|just|only|even|with|at|on|by|from|among|let|like|unlike|also|mrs?|miss"
    r"|to|of|under|during|until|unless|whether|once|another|the (?:first|second|third|next|last|same|only|other|best"
    r"|main|following|result|reason|question|problem|point|idea))\b",
    re.IGNORECASE,
)


def definitions(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """A sentence that says what something is, with what follows it in its paragraph.

    It begins its paragraph or its run: what comes later in one seldom introduces anything.
    """
    sentences = outline.sentences
    for place, sentence in enumerate(sentences):
        before = sentences[place - 1] if place else None
        begins = before is None or before.block != sentence.block or before.run != sentence.run
        if not begins or sentence.dangling or sentence.inside or not defines(outline.of(sentence), opens=not place):
            continue
        parts = grown(sentences, place, place, bounds)
        if parts:
            yield Proposal(spans_of(outline, sentences[parts[0] : parts[1] + 1]), "definition")


def defines(text: str, *, opens: bool) -> bool:
    """Whether a sentence says what something is: "X is a ...", "X means ...", "Jane Doe (1900-1980) was a ...".

    "The company is a ..." does so only where it opens the document: elsewhere the company was named before.
    """
    if _NO_SUBJECT.match(text) or (not opens and _NAMED_BEFORE.match(text)):
        return False
    found = _DEFINES.match(text)
    if found and not _CLAUSE.search(found["subject"]) and count_words(found["subject"]) <= _SUBJECT_WORDS:
        return True
    return _NAMED.match(text) is not None


def terms(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """Groups of "Term: ..." in lines, two at least, and each term once."""
    place = 0
    while place < len(outline.blocks):
        end = place
        named: set[str] = set()
        while end < len(outline.blocks) and _is_term(outline.blocks[end], named):
            named.add(outline.blocks[end].marker)
            end += 1
        start = outline.blocks[place].start
        last = last_fitting(outline, start, (block.end for block in outline.blocks[place + 1 : end]), bounds)
        if last is not None:
            yield Proposal(((start, last),), "definition")
        place = max(end, place + 1)


def _is_term(block: Block, named: set[str]) -> bool:
    return block.kind == "labelled" and block.marker not in named and block.marker not in ("Q", "A")
