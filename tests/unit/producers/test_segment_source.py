"""The number-th generation of a lane is about the number-th segment, also after a restart and a withdrawal."""

from collections.abc import Iterable

import pytest

from producers.documents.document_reader import PlacedDocument
from producers.documents.segment_source import ALL_USED, Cut, ResumePoint, SegmentSource
from producers.generate.subjects import Supply
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.segments import Segment

DOCUMENTS = [PlacedDocument(ids.document_id("a.txt", place, 0, "0" * 64), 10 * place, "x" * 9) for place in range(3)]


class Listed:
    """Documents in memory."""

    def __init__(self, documents: Iterable[PlacedDocument], withdrawn: Iterable[PlacedDocument] = ()) -> None:
        self.left = list(documents)
        self.withdrawn = {document.id for document in withdrawn}

    def next(self) -> PlacedDocument | None:
        return self.left.pop(0) if self.left else None


def cut_in(pieces: int) -> Cut:
    def cut(document: PlacedDocument) -> tuple[Segment, ...]:
        spans = [((at, at + 9 // pieces),) for at in range(0, 9, 9 // pieces)]
        return tuple(
            Segment(
                id=ids.segment_id(document.id, "random", span),
                document_id=document.id,
                documents_offset=document.offset,
                number=number,
                strategy="random",
                spans=span,
                text=document.text[span[0][0] : span[0][1]],
            )
            for number, span in enumerate(spans)
        )

    return cut


def source(
    documents: Listed, resume: ResumePoint | None = None, pieces: int = 3, *, follow: bool = False
) -> SegmentSource:
    return SegmentSource(documents, cut_in(pieces), resume or ResumePoint("main"), follow=follow)


def all_of(made: SegmentSource, first: int = 0) -> list[Segment]:
    supply = made.supply(1000)
    assert supply.end is not None
    return [made.take(number).segment for number in range(first, supply.end)]


UNDISTURBED = all_of(source(Listed(DOCUMENTS)))


def begun(numbers: Iterable[int]) -> dict[int, str | None]:
    return {number: UNDISTURBED[number].id for number in numbers}


def test_segments_come_in_the_order_of_the_documents_until_all_are_used() -> None:
    made = source(Listed(DOCUMENTS))
    assert made.supply(4) == Supply(4) and not made.has(5) and made.has(4)
    assert made.supply(1000) == Supply(9, ALL_USED)
    assert [(segment.documents_offset, segment.number) for segment in UNDISTURBED] == [
        (offset, number) for offset in (0, 10, 20) for number in range(3)
    ]


def test_a_lane_that_follows_goes_on_when_there_are_further_documents() -> None:
    documents = Listed(DOCUMENTS[:1])
    made = source(documents, follow=True)
    assert made.supply(9) == Supply(3)
    documents.left.append(DOCUMENTS[1])
    assert made.supply(9) == Supply(6)
    assert [made.take(number).segment for number in range(6)] == UNDISTURBED[:6]


@pytest.mark.parametrize("written", range(10))
@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_a_lane_that_starts_again_goes_on_where_it_was(written: int, ahead: int) -> None:
    last = UNDISTURBED[written - 1] if written else None
    place = None if last is None else (last.documents_offset, last.number)
    resume = ResumePoint("main", written, place, begun(range(written, min(9, written + ahead))))
    rest = [document for document in DOCUMENTS if document.offset >= resume.first_offset]
    assert all_of(source(Listed(rest), resume), written) == UNDISTURBED[written:]


def test_a_withdrawn_document_is_left_out_unless_a_generation_about_it_was_begun() -> None:
    assert all_of(source(Listed(DOCUMENTS, DOCUMENTS[1:2]))) == [*UNDISTURBED[:3], *UNDISTURBED[6:]]
    resume = ResumePoint("main", 3, (0, 2), begun([3, 4]))
    made = source(Listed(DOCUMENTS, DOCUMENTS[1:2]), resume)
    assert made.supply(1000) == Supply(8, ALL_USED)
    taken = [made.take(number) for number in range(3, 8)]
    assert [each.withdrawn for each in taken] == [True, True, False, False, False]
    assert [each.segment for each in taken] == [*UNDISTURBED[3:5], *UNDISTURBED[6:]], "the third piece is left out"


def test_a_document_that_was_left_out_when_numbers_were_begun_stays_left_out() -> None:
    resume = ResumePoint("main", 3, (0, 2), {3: UNDISTURBED[6].id, 4: UNDISTURBED[7].id})
    assert all_of(source(Listed(DOCUMENTS, DOCUMENTS[1:2]), resume), 3) == UNDISTURBED[6:]


@pytest.mark.parametrize(
    "cause",
    [ids.run_id("demo"), UNDISTURBED[5].id, UNDISTURBED[0].id],
    ids=["begun about seeds", "a segment further on", "one before"],
)
def test_begun_numbers_that_would_get_other_segments_are_refused(cause: str) -> None:
    made = source(Listed(DOCUMENTS), ResumePoint("main", 3, (0, 2), {3: cause}))
    with pytest.raises(ConfigurationError, match=r"Generation 3 of lane 'main'.*settings of before.*own --lane"):
        made.supply(4)


def test_other_settings_of_the_cutting_are_refused_only_while_numbers_are_begun() -> None:
    with pytest.raises(ConfigurationError, match="Generation 4"):
        source(Listed(DOCUMENTS), ResumePoint("main", 4, (10, 0), begun([4])), pieces=9).supply(5)
    assert source(Listed(DOCUMENTS[1:]), ResumePoint("main", 4, (10, 0)), pieces=9).supply(5) == Supply(5)


def test_begun_numbers_beyond_the_last_document_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Generation 6"):
        source(Listed(DOCUMENTS[:2]), ResumePoint("main", 3, (0, 2), begun([3, 4, 5, 6]))).supply(7)
