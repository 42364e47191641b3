"""A run whose rows were made from documents, told by the project's own core."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas import ids
from schemas.documents import DocumentWithdrawn
from schemas.events import (
    CallAnswered,
    Instruction,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Rejection,
)
from schemas.segments import Scorer, Segment, SegmentScores
from tests.unit.consumers.document_events import answer_event, document_event, id_of
from tests.unit.consumers.recorded_run import ToldRun

TOKENS = 10
SCORER = Scorer(backend="local", model="builtin", sha256=None, template="alpaca", version=1)


@dataclass
class DocumentRun(ToldRun):
    """A told run with documents; each generation is about a segment of one, and was shown no seed."""

    offsets: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    records_of_documents: int = 0

    def read(self, source: str, text: str, **changes: object) -> str:
        """A document is read; returns its id."""
        event = document_event(source, text, **changes)
        id = id_of(event)
        self.tell(event, id=id, key=id)
        self.offsets[id], self.texts[id] = self.records_of_documents, text
        self.records_of_documents += 1
        return id

    def withdraw(self, document: str, reason: str = "its author asked") -> int:
        """A document is withdrawn; returns the offset of that on `documents`."""
        self.tell(DocumentWithdrawn(document_id=document, reason=reason), id=ids.withdrawn_id(document), key=document)
        self.records_of_documents += 1
        return self.records_of_documents - 1

    def about(
        self,
        number: int,
        document: str,
        *tasks: str,
        perplexities: Sequence[float | None] = (3.0,),
        unconditional: float = 6.0,
        span: tuple[int, int] | None = None,
        rejected: Sequence[Rejection] | None = None,
    ) -> tuple[str, ...]:
        """Candidates for a segment of a document, and the verdict on them: the core's own, or these rejections and the
        others kept. Returns the candidates' ids."""
        start, end = span or (0, len(self.texts[document]))
        text = self.texts[document][start:end]
        segment = Segment(
            id=ids.segment_id(document, "random", [(start, end)]),
            document_id=document,
            documents_offset=self.offsets[document],
            number=number,
            strategy="random",
            spans=((start, end),),
            text=text,
        )
        scores = SegmentScores(
            scorer=SCORER,
            tokens=TOKENS,
            unconditional=-TOKENS * math.log(unconditional),
            candidates=tuple(None if each is None else -TOKENS * math.log(each) for each in perplexities),
        )
        id = ids.generation_id("main", number)
        raws = (*tasks, msgspec.json.encode(scores).decode())
        event = InstructionsGenerated(
            lane="main",
            number=number,
            style="documents",
            parser="faithful",
            backend="recorded",
            model="m-1",
            parameters={"candidates": len(tasks), "api": "chat", "trained": False, "safety": False, "temperature": 0.5},
            seed_ids=(),
            seed_commands_offset=self.pool.commands_offset,
            answers=tuple(self._answered(id, step, raw) for step, raw in enumerate(raws)),
            instructions=tuple(Instruction(instruction=task, output=text) for task in tasks),
            unparsed=(),
            cost_usd=0.0,
            segment=segment,
            scores=scores,
        )
        self.tell(event, id=id, key=id)
        if rejected is None:
            self.decision(id, event)
        else:
            self._verdict(id, event, rejected)
        return tuple(ids.instruction_id(id, place) for place in range(len(tasks)))

    def _answered(self, generation_id: str, step: int, raw: str) -> CallAnswered:
        answer = answer_event(generation_id, step, raw)
        self.tell(answer, id=ids.child(answer.request_id, "answered/1"), key=answer.request_id)
        return answer

    def _verdict(self, id: str, event: InstructionsGenerated, rejected: Sequence[Rejection]) -> None:
        out = {rejection.place for rejection in rejected}
        kept = [place for place in range(len(event.instructions)) if place not in out]
        for place in kept:
            task, row_id = event.instructions[place], ids.instruction_id(id, place)
            row = InstructionKept(
                id=row_id,
                instruction=task.instruction,
                input=task.input,
                output=task.output,
                generation_id=id,
                generated_offset=self.offset,
                place=place,
                cluster=0,
                classifier_offset=0,
            )
            self.tell(row, id=row_id, key=row_id)
            self.kept[row_id] = row
        verdict = InstructionsRejected(
            generation_id=id,
            generated_offset=self.offset,
            rejections=tuple(rejected),
            generated=len(event.instructions),
            kept=len(kept),
            generated_total=len(event.instructions),
            kept_total=len(kept),
        )
        self.tell(verdict, id=ids.verdict_id(self.offset), key=id)
        self.offset += 1
