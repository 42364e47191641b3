"""Gives each generation of a lane its segment: the number-th generation is about the number-th segment.

The documents are cut one after the other (`producers.documents.segments`), each when the segments before are used up.
Nothing is stored: a generation's event names its segment, and its first call names the segment's id as its cause. So a
lane that starts again begins at the document of its last generation, and numbers that were begun and not written get
the same segments again. If they do not, the settings of the cutting are others, and that is an error.

A withdrawn document is left out, unless a generation about it was begun: then that one is written empty, since its
number must be on the log.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from producers.documents.document_reader import PlacedDocument
from producers.generate.progress import LaneProgress
from producers.generate.subjects import Supply
from schemas.errors import ConfigurationError
from schemas.segments import Segment

ALL_USED = "all documents are used"

Cut = Callable[[PlacedDocument], tuple[Segment, ...]]


class Documents(Protocol):
    """The run's documents, in order."""

    @property
    def withdrawn(self) -> set[str]: ...

    def next(self) -> PlacedDocument | None:
        """The next document; None: there is none now."""
        ...


@dataclass(frozen=True)
class ResumePoint:
    """Where a lane goes on.

    next_number   the number after its last generation
    last          (documents_offset, number) of that one's segment; None: it has none
    begun         the cause of each number that was begun and not written
    """

    lane: str
    next_number: int = 0
    last: tuple[int, int] | None = None
    begun: Mapping[int, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, progress: LaneProgress) -> "ResumePoint":
        return cls(progress.lane, progress.next_number, progress.segment, dict(progress.causes))

    @property
    def first_offset(self) -> int:
        """Of the document to begin with."""
        return 0 if self.last is None else self.last[0]


@dataclass(frozen=True)
class TakenSegment:
    """The segment of a generation; `withdrawn`: its document is, and the generation is to be written empty."""

    segment: Segment
    withdrawn: bool = False


class SegmentSource:
    """The segments of a lane, by number. One thread at a time."""

    def __init__(self, documents: Documents, cut: Cut, resume: ResumePoint, *, follow: bool = False) -> None:
        self._documents = documents
        self._cut = cut
        self._resume = resume
        self._follow = follow
        self._end = resume.next_number
        self._begun_end = max(resume.begun, default=resume.next_number - 1) + 1
        self._segments: deque[Segment] = deque()  # of the document that is being used
        self._found: dict[int, TakenSegment] = {}

    def supply(self, end: int) -> Supply:
        """Find the segments of the numbers below `end`, as far as there are documents.

        Raises ConfigurationError when a number that was begun would get another segment.
        """
        while self._end < end:
            taken = self._next(self._end)
            if taken is None:
                return Supply(self._end, None if self._follow else ALL_USED)
            self._found[self._end] = taken
            self._end += 1
        return Supply(self._end)

    def has(self, end: int) -> bool:
        """Whether the segments of all numbers below `end` are found, so that `supply` reads nothing."""
        return self._end >= end

    def take(self, number: int) -> TakenSegment:
        """The segment of a number that was found; once."""
        return self._found.pop(number)

    def _next(self, number: int) -> TakenSegment | None:
        """The segment of the next number; None: there is none now."""
        begun = self._resume.begun.get(number)
        while (segment := self._upcoming()) is not None:
            withdrawn = segment.document_id in self._documents.withdrawn
            if number >= self._begun_end:
                if not withdrawn:
                    return TakenSegment(segment)
            elif begun is None or segment.id == begun:
                return TakenSegment(segment, withdrawn)
            elif not withdrawn:  # one that is was perhaps left out when the number was begun
                raise self._mismatch(number)
        if number < self._begun_end:
            raise self._mismatch(number)
        return None

    def _upcoming(self) -> Segment | None:
        while not self._segments:
            document = self._documents.next()
            if document is None:
                return None
            segments = self._cut(document)
            if self._resume.last is not None and document.offset == self._resume.last[0]:
                segments = tuple(segment for segment in segments if segment.number > self._resume.last[1])
            self._segments.extend(segments)
        return self._segments.popleft()

    def _mismatch(self, number: int) -> ConfigurationError:
        return ConfigurationError(
            f"Generation {number} of lane {self._resume.lane!r} was begun about something else than these settings "
            "give it: another producer, other strategies, lengths or numbers of segments, or another share of the "
            "documents. Finish what was begun with the settings of before, or give this generator its own --lane."
        )
