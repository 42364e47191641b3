"""A run of the second producer, told by the project's own core: documents, candidates, scores, and the choice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas import ids
from schemas.documents import DocumentRead, DocumentWithdrawn
from schemas.events import CallAnswered, CallStarted, InstructionsGenerated
from schemas.policy import policy_for
from schemas.segments import Scorer, Segment, SegmentScores, Strategy
from streams.core.documents.copies import candidate_text, is_copy
from streams.core.documents.spans import segment_text
from streams.core.parse.answers import AnswerForm, read, read_candidates
from streams.core.parse.segment_answers import SegmentForm
from streams.core.steps import DOCUMENTS, scoring_step
from tests.unit.consumers.document_events import answer_event, document_event, id_of
from tests.unit.consumers.recorded_run import ToldRun

DOCUMENTS_POLICY = policy_for(batch_size=2, feedback=False)
SCORER = Scorer(backend="local", model="tiny", sha256="a" * 64, template="chat", version=1)
TOKENS = 10

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
class DocumentRun(ToldRun):
    """A told run in which generations are about segments; those of seeds may stand among them.

    documents   by id
    offsets     of them on `documents`, by id
    """

    documents: dict[str, DocumentRead] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    records_of_documents: int = 0

    def read(self, source: str, text: str, **changes: object) -> str:
        """A document is read; returns its id."""
        event = document_event(source, text, **changes)
        id = id_of(event)
        self.tell(event, id=id, key=id)
        self.offsets[id], self.documents[id] = self.records_of_documents, event
        self.records_of_documents += 1
        return id

    def withdraw(self, document: str, reason: str = "its author asked") -> int:
        """A document is withdrawn; returns the offset of that on `documents`."""
        self.tell(DocumentWithdrawn(document_id=document, reason=reason), id=ids.withdrawn_id(document), key=document)
        self.records_of_documents += 1
        return self.records_of_documents - 1

    def document(self, place: int) -> str:
        """The id of the document that was read as the place-th."""
        return list(self.documents)[place]

    def about(
        self,
        number: int,
        document: str,
        *raws: str,
        spans: Sequence[tuple[int, int]] = (),
        strategy: Strategy = "random",
        perplexities: Sequence[float | None] = (3.0,),
        unconditional: float = 6.0,
    ) -> tuple[str, ...]:
        """The number-th generation: answers about a segment of the document (all of it without `spans`), scored if any
        was read, and decided. Returns the candidates' ids.

        perplexities   one of each candidate that was read; a copy has none
        """
        text = self.documents[document].text
        spans = tuple(spans) or ((0, len(text)),)
        segment = Segment(
            id=ids.segment_id(document, strategy, spans),
            document_id=document,
            documents_offset=self.offsets[document],
            number=number,
            strategy=strategy,
            spans=spans,
            text=segment_text(text, spans),
        )
        answers = {step: self._asked(number, step, raw) for step, raw in enumerate(raws)}
        form = AnswerForm(DOCUMENTS, "strict", 0, segment=SegmentForm(len(raws), segment.text))
        if tasks := read(form, answers).instructions:
            copies = [is_copy(candidate_text(task), segment.text, self.policy) for task in tasks]
            scores = SegmentScores(
                scorer=SCORER,
                tokens=TOKENS,
                unconditional=_sum_of(unconditional),
                candidates=tuple(
                    None if copy or value is None else _sum_of(value)
                    for copy, value in zip(copies, perplexities, strict=True)
                ),
            )
            step = scoring_step(len(raws))
            answers[step] = self._asked(number, step, msgspec.json.encode(scores).decode())
        found = read_candidates(form, answers)
        event = InstructionsGenerated(
            lane="main",
            number=number,
            style=DOCUMENTS,
            parser="strict",
            backend="recorded",
            model="m-1",
            parameters={"candidates": len(raws), "api": "chat", "trained": False, "safety": False, "temperature": 0.5},
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
        id = ids.generation_id("main", number)
        self.tell(event, id=id, key=id)
        self.decision(id, event)
        return tuple(ids.instruction_id(id, place) for place in range(len(event.instructions)))

    def _asked(self, number: int, step: int, raw: str) -> CallAnswered:
        generation = ids.generation_id("main", number)
        request = ids.request_id(generation, step)
        started = CallStarted(
            request_id=request,
            attempt=1,
            generation_id=generation,
            lane="main",
            number=number,
            step=step,
            backend="recorded",
            model="m-1",
        )
        answer = answer_event(generation, step, raw)
        self.tell(started, id=ids.child(request, "started/1"), key=request)
        self.tell(answer, id=ids.child(request, "answered/1"), key=request)
        return answer


def _sum_of(perplexity: float) -> float:
    return -TOKENS * math.log(perplexity)


def documents_run(run: str = "demo") -> DocumentRun:
    """Three documents, the second dropped; three segments, of which two have a row kept.

    generation 0   rust: paint wins over how, one is too short, one a copy that was not scored
    generation 1   tea, by `salient`: the steps win over how, which is read first
    generation 2   tea again: the winner gains too little
    """
    story = DocumentRun(run, policy=DOCUMENTS_POLICY)
    rust, _, tea = (
        story.read("notes.jsonl", text, place=place, format="jsonl", dropped=dropped)
        for place, (text, dropped) in enumerate([(RUST, None), ("Links.", "link_list"), (TEA, None)])
    )
    about_rust = HOW_RUST, f"Instruction: {WHY_PAINT}", SHORT, COPY
    story.about(0, rust, *about_rust, spans=[(0, 64)], perplexities=[7, 3, 2, 1], unconditional=20)
    told, apart = [HOW_TEA, TEA_STEPS], [(0, 19), (56, len(TEA))]
    story.about(1, tea, *told, spans=apart, strategy="salient", perplexities=[5, 4.5], unconditional=20)
    told = ["Say what comes after the pot is warm.", ""]
    story.about(2, tea, *told, spans=[(20, 55)], perplexities=[21], unconditional=20)
    return story
