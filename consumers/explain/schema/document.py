"""The stories of a document, and of a segment with the candidates for it."""

from typing import Literal

import msgspec

from consumers.explain.schema.place import RecordPlace
from schemas.documents import DocumentFormat, DropReason
from schemas.scalars import Offset
from schemas.segments import Scorer, SegmentForm, Strategy


class WithdrawalFact(msgspec.Struct, frozen=True, kw_only=True):
    """That a document was withdrawn, and why."""

    at: RecordPlace
    reason: str


class DocumentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A document without its text; the fields are those of DocumentRead.

    at          None when it is not on `documents`: then only its id is known
    withdrawn   None: it is not withdrawn
    """

    id: str
    at: RecordPlace | None
    source: str = ""
    place: int = 0
    start: int = 0
    format: DocumentFormat | None = None
    characters: int = 0
    title: str = ""
    licence: str | None = None
    language: str | None = None
    dropped: DropReason | None = None
    withdrawn: WithdrawalFact | None = None


class CandidateStory(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate for a segment, and the verdict on it.

    perplexity   of the segment after it; None: it was not scored; an infinite one is null in JSON
    gain         by how much it makes the segment likelier, in nats a token; None: it was not scored
    copied       whether it was rejected as a copy of its segment
    behind       by how many nats a token the winner makes the segment likelier; None for the winner, and without a
                 score or a winner
    """

    id: str
    place: int
    instruction: str
    input: str
    perplexity: float | None
    gain: float | None
    copied: bool
    behind: float | None
    outcome: Literal["kept", "rejected", "undecided"]
    reason: str | None
    nearest_id: str | None


class SegmentStory(msgspec.Struct, frozen=True, kw_only=True):
    """The segment of a document that instructions are candidates for, with all of them.

    spans     (start, end) in characters of the document's text
    scorer    None when no candidate was scored
    tokens    of the segment that are scored
    winner    id of the candidate with the lowest perplexity among those that may be kept; None: there is none
    """

    id: str
    number: int
    strategy: Strategy
    form: SegmentForm | None
    spans: tuple[tuple[Offset, Offset], ...]
    text: str
    document: DocumentSummary
    scorer: Scorer | None
    tokens: int
    winner: str | None
    candidates: tuple[CandidateStory, ...]


class SegmentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that a generation is about, in a line. `kept` are the ids of its kept rows, `steps` the (epoch, step)
    that trained them."""

    id: str
    number: int
    strategy: Strategy
    form: SegmentForm | None
    spans: tuple[tuple[Offset, Offset], ...]
    generation_id: str
    generated_offset: int
    candidates: int
    kept: tuple[str, ...]
    steps: tuple[tuple[int, int], ...]


class DocumentStory(msgspec.Struct, frozen=True, kw_only=True):
    """A document: what it is, why it is not used, and what was made from it.

    sha256         of the whole text before cleaning
    probability    of its language
    value, limit   what was measured for the reason that it was dropped for, and the limit
    nearest        the document that it is a duplicate of
    segments       those that generations are about, in the order of `generated`
    """

    document: DocumentSummary
    sha256: str
    probability: float | None
    value: float | None
    limit: float | None
    nearest: DocumentSummary | None
    segments: tuple[SegmentSummary, ...]
