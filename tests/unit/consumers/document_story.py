"""Telling the log of a run from documents by hand: documents, segments with scored candidates, and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas import ids
from schemas.events import (
    CallAnswered,
    Instruction,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Judge,
    Rejection,
    Scale,
)
from schemas.segments import Scorer, Segment, SegmentScores, Strategy
from streams.core.documents.spans import segment_text
from tests.unit.consumers.document_events import document_event, id_of
from tests.unit.consumers.story import Story

SCORER = Scorer(backend="local", model="small", sha256=None, template="chat", version=1)
LANE = "documents"


@dataclass
class DocumentStory(Story):
    """A story in which each generation is about a segment; `Story`'s own generations are of the lane `main`."""

    documents: int = 0
    decided: int = 0
    generated: int = 0
    kept_total: int = 0

    def document(self, text: str) -> str:
        """A document that was read; returns its id."""
        event = document_event(f"{self.documents}.txt", text)
        id = id_of(event)
        self.tell(event, id=id, key=id)
        self.documents += 1
        return id

    def segment(
        self,
        document: str,
        text: str,
        strategy: Strategy,
        candidates: Sequence[str],
        *,
        keep: int | None = None,
        reasons: Mapping[int, str] = {},
        gains: Sequence[float] = (),
        output: str | None = None,
        cluster: int = 0,
        spans: Sequence[tuple[int, int]] | None = None,
        decide: bool = True,
        scorer: Scorer = SCORER,
    ) -> str | None:
        """A segment of the document's text with its candidates, decided; returns the kept row's id.

        gains    of the candidates, in nats a token, of a segment of 10 tokens with a log-likelihood of -30
        reasons  of the candidates that are not kept; `higher_perplexity` of the others
        output   of the rows; the segment's text if there was no rewrite
        """
        places = tuple(spans or [(0, len(text))])
        number, id = self.decided, ids.generation_id(LANE, self.decided)
        segment = Segment(
            id=ids.segment_id(document, strategy, places),
            document_id=document,
            documents_offset=0,
            number=0,
            strategy=strategy,
            spans=places,
            text=segment_text(text, places),
        )
        answer = CallAnswered(
            request_id=ids.request_id(id, 0),
            attempt=1,
            model="m",
            raw="\n".join(candidates),
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=1.0,
        )
        output = segment.text if output is None else output
        instructions = tuple(Instruction(instruction=candidate, output=output) for candidate in candidates)
        scored = tuple(-30 + 10 * gain for gain in gains) or (None,) * len(candidates)
        event = InstructionsGenerated(
            lane=LANE,
            number=number,
            style="documents",
            parser="strict",
            backend="recorded",
            model="m",
            parameters={"candidates": len(candidates)},
            seed_ids=(),
            seed_commands_offset=-1,
            answers=(answer,),
            instructions=instructions,
            unparsed=(),
            cost_usd=None,
            segment=segment,
            scores=SegmentScores(scorer=scorer, tokens=10, unconditional=-30.0, candidates=scored),
        )
        self.tell(event, id=id, key=id)
        kept = None
        if decide:
            kept = self._decide(id, event, keep, reasons, cluster)
            self.decided += 1
        return kept

    def judge(self, row: str, score: float | None, model: str = "j") -> None:
        """A judgement of a kept row."""
        event = InstructionJudged(
            kept_id=row,
            generated_offset=0,
            place=0,
            cluster=0,
            judge=Judge(backend="recorded", model=model, rubric="quality", version=1),
            scale=Scale(least=0.0, most=5.0, step=0.5),
            score=score,
            reason="so",
            answers=(),
            cost_usd=None,
        )
        self.tell(event, id=ids.judgement_id(row, event.judge.name), key=row)

    def _decide(
        self, id: str, event: InstructionsGenerated, keep: int | None, reasons: Mapping[int, str], cluster: int
    ) -> str | None:
        offset, row = self.decided, None
        self.generated += len(event.instructions)
        if keep is not None:
            row, self.kept_total = ids.instruction_id(id, keep), self.kept_total + 1
            task = event.instructions[keep]
            kept = InstructionKept(
                id=row,
                instruction=task.instruction,
                input=task.input,
                output=task.output,
                generation_id=id,
                generated_offset=offset,
                place=keep,
                cluster=cluster,
                classifier_offset=0,
            )
            self.tell(kept, id=row, key=row, partition=cluster)
        rejected = InstructionsRejected(
            generation_id=id,
            generated_offset=offset,
            rejections=tuple(
                Rejection(id=ids.instruction_id(id, place), place=place, reason=reasons.get(place, "higher_perplexity"))
                for place in range(len(event.instructions))
                if place != keep
            ),
            generated=len(event.instructions),
            kept=int(keep is not None),
            generated_total=self.generated,
            kept_total=self.kept_total,
        )
        self.tell(rejected, id=ids.verdict_id(offset), key=id)
        return row
