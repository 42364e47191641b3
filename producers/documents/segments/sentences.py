"""The sentences of a text that are fit for a segment, with exact spans.

nupunkt splits each block. What it leaves whole or parts wrongly is corrected by form: a sentence that begins in lower
case belongs to the one before it; marks of other scripts part two, and so does a full stop whose space was lost.
Sentences of one `run` follow each other with nothing but white space between them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from producers.documents.segments.blocks import Block, read_blocks
from producers.documents.segments.plain import dangles, ends_well, is_clean, starts_well
from producers.documents.segments.words import count_words

if TYPE_CHECKING:
    from nupunkt import PunktSentenceTokenizer

_OTHER_SCRIPTS = re.compile(r"[。！？؟।]+[”’」』）]*\s*")
_LOST_SPACE = re.compile(r"(?<=[a-z]{2}[.!?]|\d\d[.])(?=[A-Z][a-z]*,? )|(?<=[)\]”\"][.]|[.][)”\"])(?=[A-Z]\w*,? )")
_SOLID = re.compile(r"[^\s\u0e00-\uffff]{2000}")  # without a space in a script that has them: no text
_OPENING, _CLOSING = ("“", "«", "「", "『", "``"), ("”", "»", "」", "』", "''")

_LONGEST = 10_000  # characters of a sentence
_FEW_WORDS = 4  # "Precisely." is no beginning either


@dataclass(frozen=True)
class Sentence:
    """A sentence.

    block       its place among the blocks
    run         the same for sentences that follow each other; a heading or an unfit sentence ends one
    words       of it
    dangling    begins with a word that points back, or has fewer than four words
    inside      begins within a quotation
    unclosed    ends within a quotation
    """

    start: int
    end: int
    block: int
    run: int
    words: int
    dangling: bool
    inside: bool
    unclosed: bool


@dataclass(frozen=True)
class Outline:
    """A text, its blocks, and its sentences that are fit for a segment, in order."""

    text: str
    blocks: Sequence[Block]
    sentences: Sequence[Sentence]

    def of(self, part: Block | Sentence) -> str:
        """The text of a block or sentence."""
        return self.text[part.start : part.end]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The spans of all sentences of a text of one block, without the white space around them."""
    spans: list[tuple[int, int]] = []
    for split, end in _split(text):
        sentence = text[split:end]
        bare = sentence.strip()
        if not bare:
            continue
        start = split + sentence.index(bare)
        if spans and bare[0].islower():
            spans[-1] = spans[-1][0], start + len(bare)
        else:
            spans.append((start, start + len(bare)))
    return spans


def outline(text: str) -> Outline:
    """Read a text; any text at all."""
    blocks = read_blocks(text)
    return Outline(text, blocks, list(_sentences(text, blocks)))


def _sentences(text: str, blocks: Sequence[Block]) -> Iterator[Sentence]:
    run, last = 0, 0
    for place, block in enumerate(blocks):
        if block.kind != "prose":
            run += 1
            continue
        quote = _Quotation()
        for from_block, to_block in sentence_spans(text[block.start : block.end]):
            start, end = block.start + from_block, block.start + to_block
            sentence = text[start:end]
            inside = quote.open
            quote.read(sentence)
            fit = len(sentence) <= _LONGEST and starts_well(sentence) and ends_well(sentence) and is_clean(sentence)
            if not fit or (start == last and ord(text[start]) < 0x3000):
                run += 1  # no space before it: what stood between was lost
            if fit:
                words = count_words(sentence)
                dangling = words < _FEW_WORDS or dangles(sentence)
                yield Sentence(start, end, place, run, words, dangling, inside, quote.open)
            last = end


class _Quotation:
    """Whether a quotation is open, within one block."""

    def __init__(self) -> None:
        self.open = False

    def read(self, text: str) -> None:
        straight = text.count('"') % 2
        curly = max(map(text.rfind, _OPENING)), max(map(text.rfind, _CLOSING))
        if curly != (-1, -1):
            self.open = curly[0] > curly[1]
        elif straight:
            self.open = not self.open


def _split(text: str) -> Iterator[tuple[int, int]]:
    spaced = _SOLID.sub(lambda solid: solid[0][:-1] + " ", text)  # nupunkt's time grows with the square of such a run
    for start, end in _tokenizer().span_tokenize(spaced):
        cuts = {found.end() for found in _OTHER_SCRIPTS.finditer(text, start, end)}
        cuts.update(found.start() for found in _LOST_SPACE.finditer(text, start, end))
        at = start
        for cut in sorted({*cuts, end}):
            if at < cut <= end:
                yield at, cut
                at = cut


@cache
def _tokenizer() -> "PunktSentenceTokenizer":
    import nupunkt

    return nupunkt.load("default")
