"""A run of the second producer on its log: documents, candidates, scores and the filter's choice among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas import ids
from schemas.documents import DocumentRead, DocumentWithdrawn, DropReason
from schemas.events import CallAnswered, CallStarted, InstructionsGenerated
from schemas.policy import Policy, policy_for
from schemas.segments import Scorer, Segment, SegmentScores, Strategy
from streams.core.documents.copies import candidate_text, is_copy
from streams.core.documents.spans import segment_text
from streams.core.parse.answers import AnswerForm, read, read_candidates
from streams.core.parse.segment_answers import SegmentForm
from streams.core.steps import DOCUMENTS, scoring_step
from tests.unit.consumers.document_events import answer_event, document_event, id_of
from tests.unit.consumers.recorded_run import ToldRun

LANE = "documents"
DOCUMENTS_POLICY = policy_for(batch_size=2, feedback=False)
SCORER = Scorer(backend="local", model="tiny", sha256="a" * 64, template="chat", version=1)
TOKENS, UNCONDITIONAL = 10, -30.0

RUST = "Rust forms where iron meets water and air. Salt makes it faster. Paint keeps both away from the metal."
TEA = "Warm the pot first. Pour boiling water over the leaves. Wait for four minutes, then serve the tea."
HOW_RUST, WHY_PAINT, SHORT, COPY = (
    "Explain how rust comes about.",
    "Say why cars are painted.",
    "Rust?",
    "Rust forms where iron meets water.",
)
HOW_TEA, TEA_STEPS = "Describe how tea is made.", "List the steps of a good cup."


@dataclass
class DocumentsRun(ToldRun):
    """A story whose generations are about segments."""

    policy: Policy = DOCUMENTS_POLICY
    documents: list[DocumentRead] = field(default_factory=list)
    numbers: int = 0

    def document(self, text: str, *, dropped: DropReason | None = None) -> int:
        """A document was read; returns its offset."""
        place = len(self.documents)
        event = document_event("notes.jsonl", text, place=place, format="jsonl", probability=0.99, dropped=dropped)
        id = id_of(event)
        self.tell(event, id=id, key=id)
        self.documents.append(event)
        return place

    def document_id(self, offset: int) -> str:
        return id_of(self.documents[offset])

    def withdraw(self, offset: int) -> None:
        """The document is withdrawn. It takes an offset too, so no document may follow."""
        id = self.document_id(offset)
        self.tell(DocumentWithdrawn(document_id=id, reason="asked for"), id=ids.withdrawn_id(id), key=id)

    def segment(self, offset: int, *spans: tuple[int, int], strategy: Strategy = "random", text: str = "") -> Segment:
        id = self.document_id(offset)
        return Segment(
            id=ids.segment_id(id, strategy, spans),
            document_id=id,
            documents_offset=offset,
            number=0,
            strategy=strategy,
            spans=spans,
            text=text or segment_text(self.documents[offset].text, spans),
        )

    def candidates(self, segment: Segment, raws: Sequence[str], sums: Sequence[float]) -> InstructionsGenerated:
        """Ask for candidates, score those that are no copies, and let the filter choose."""
        number = self.numbers
        self.numbers += 1
        answers = {step: self._asked(number, step, raw) for step, raw in enumerate(raws)}
        form = AnswerForm(DOCUMENTS, "strict", 0, segment=SegmentForm(len(raws), segment.text))
        tasks = read(form, answers).instructions
        if tasks:
            copies = [is_copy(candidate_text(task), segment.text, self.policy) for task in tasks]
            scores = SegmentScores(
                scorer=SCORER,
                tokens=TOKENS,
                unconditional=UNCONDITIONAL,
                candidates=tuple(None if copy else found for copy, found in zip(copies, sums, strict=True)),
            )
            step = scoring_step(len(raws))
            answers[step] = self._asked(number, step, msgspec.json.encode(scores).decode())
        found = read_candidates(form, answers)
        event = InstructionsGenerated(
            lane=LANE,
            number=number,
            style=DOCUMENTS,
            parser="strict",
            backend="recorded",
            model="m-1",
            parameters={"candidates": len(raws)},
            seed_ids=(),
            seed_commands_offset=-1,
            answers=tuple(answers.values()),
            instructions=found.instructions,
            unparsed=found.unparsed,
            cost_usd=0.0,
            reading=2,
            cut=found.cut,
            segment=segment,
            scores=found.scores,
        )
        id = ids.generation_id(LANE, number)
        self.tell(event, id=id, key=id)
        self.decision(id, event)
        return event

    def _asked(self, number: int, step: int, raw: str) -> CallAnswered:
        generation = ids.generation_id(LANE, number)
        request = ids.request_id(generation, step)
        started = CallStarted(
            request_id=request,
            attempt=1,
            generation_id=generation,
            lane=LANE,
            number=number,
            step=step,
            backend="recorded",
            model="m-1",
        )
        answer = answer_event(generation, step, raw)
        self.tell(started, id=ids.child(request, "started/1"), key=request)
        self.tell(answer, id=ids.child(request, "answered/1"), key=request)
        return answer


def documents_run(run: str = "demo") -> DocumentsRun:
    """Three documents, the second dropped; three segments, each with one row kept.

    generation 0   rust: paint wins over how, one is too short, one a copy that was not scored
    generation 1   tea, by `salient`: the steps win over how, which is read first
    generation 2   tea again: the winner gains too little
    """
    story = DocumentsRun(run)
    story.document(RUST)
    story.document("Links.", dropped="link_list")
    story.document(TEA)
    story.candidates(story.segment(0, (0, 64)), [HOW_RUST, f"Instruction: {WHY_PAINT}", SHORT, COPY], [-20, -12, -9, 0])
    tea = story.segment(2, (0, 19), (56, len(TEA)), strategy="salient")
    story.candidates(tea, [HOW_TEA, TEA_STEPS], [-16, -15])
    story.candidates(story.segment(2, (20, 55)), ["Say what comes after the pot is warm.", ""], [-30.5])
    return story
