"""A segment of a document, and what an instruction-following model finds of the candidates for it.

Both are parts of a generation of the second producer: its instructions are candidates for one segment, and the filter
keeps at most one of them (`streams.core.documents.choice`).
"""

import math
from typing import Literal, get_args

import msgspec

from schemas.scalars import Count, Offset, Ordinal, Place, Sha256

Strategy = Literal["random", "salient", "structural", "whole"]
"""How a segment is cut: a run of sentences; the most central sentences; by the text's form; all of the document."""

ALL_STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

SegmentForm = Literal["list", "steps", "definition", "dialogue", "question_answer", "quotation"]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document.

    id                 from its document, strategy and spans (`schemas.ids.segment_id`)
    document_id        of its `DocumentRead`
    documents_offset   of that event on `documents`
    number             its place among the document's segments
    strategy           that cut it
    form               of a `structural` segment
    spans              (start, end) in characters of the document's text, in order, without overlap
    text               of the spans, one space between two (`streams.core.documents.spans`)
    """

    id: str
    document_id: str
    documents_offset: Offset
    number: Place
    strategy: Strategy
    spans: tuple[tuple[Offset, Offset], ...]
    text: str
    form: SegmentForm | None = None


class Scorer(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction-following model that scores candidates.

    backend    `local`, or `endpoint` that returns log-probabilities of prompts
    sha256     of its weights and tokenizer; None at an endpoint
    template   the prompt's form
    version    of the scoring; a change of any value is another version
    """

    backend: Literal["local", "endpoint"]
    model: str
    sha256: Sha256 | None
    template: str
    version: Ordinal


class SegmentScores(msgspec.Struct, frozen=True, kw_only=True):
    """Log-likelihoods of a segment's tokens, as sums of natural logarithms.

    tokens           of the segment that are scored
    unconditional    without any instruction
    candidates       after each instruction of the generation, [instructions]; None: it was not scored
    head_tokens      of the segment that all candidates were scored on first; 0: there was no such stage
    heads            of these tokens, [instructions]; empty without such a stage
    """

    scorer: Scorer
    tokens: Count
    unconditional: float
    candidates: tuple[float | None, ...]
    head_tokens: Count = 0
    heads: tuple[float | None, ...] = ()

    def perplexity(self, place: int) -> float | None:
        """Of the segment after the instruction at `place`; infinite where it exceeds the largest number, from some 709
        nats a token on. None: it was not scored."""
        found = self.candidates[place] if place < len(self.candidates) else None
        if found is None or not self.tokens:
            return None
        try:
            return math.exp(-found / self.tokens)
        except OverflowError:
            return math.inf

    def gain(self, place: int) -> float | None:
        """By how much the instruction at `place` makes the segment likelier, in nats a token; None: not scored."""
        found = self.candidates[place] if place < len(self.candidates) else None
        return None if found is None or not self.tokens else (found - self.unconditional) / self.tokens
