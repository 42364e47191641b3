"""The subjects of a lane about documents: a segment for each generation."""

import asyncio

from producers.documents.segment_source import SegmentSource, TakenSegment
from producers.documents.style import DocumentStyle
from producers.generate.styles import StyleResult
from producers.generate.subjects import AskWith, GenerationSubject, Supply
from schemas.events import Unparsed
from streams.core.parse.segment_answers import WITHDRAWN


class SegmentSubjects:
    """Each generation is about the segment of its number; the filter keeps one instruction of it at most."""

    most_kept = 1

    def __init__(self, style: DocumentStyle, source: SegmentSource) -> None:
        self.style = style
        self._source = source

    async def supply(self, end: int) -> Supply:
        if self._source.has(end):
            return self._source.supply(end)
        return await asyncio.to_thread(self._source.supply, end)

    async def close(self) -> None:
        await self.style.scorer.close()

    async def subject(self, number: int) -> GenerationSubject:
        taken = self._source.take(number)

        async def make(ask: AskWith) -> StyleResult:
            return _left_out(taken) if taken.withdrawn else await self.style.generate(taken.segment, ask)

        return GenerationSubject(causation_id=taken.segment.id, make=make, segment=taken.segment)


def _left_out(taken: TakenSegment) -> StyleResult:
    why = f"The document {taken.segment.document_id} was withdrawn before the generation was complete."
    return StyleResult((), (), (Unparsed(reason=WITHDRAWN, text=why),))
