"""A generation about a segment: candidates, their scores, and a rewrite of the output."""

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from producers.backends.base import Backend, CallFailure, EndpointRefused, Message, Request, RequestRefused, Transient
from producers.documents.style import DocumentStyle
from producers.generate.styles import StyleResult
from schemas import ids
from schemas.events import CallAnswered, Instruction
from schemas.policy import Policy
from schemas.segments import Scorer, Segment, SegmentScores
from streams.core.parse.answers import AnswerForm, read
from streams.core.parse.segment_answers import SegmentForm

TEXT = "The kettle is filled with cold water and heated until it boils; then the leaves steep for four minutes."
DOCUMENT = ids.document_id("tea.txt", 0, 0, "0" * 64)
SEGMENT = Segment(
    id=ids.segment_id(DOCUMENT, "random", ((0, len(TEXT)),)),
    document_id=DOCUMENT,
    documents_offset=4,
    number=0,
    strategy="random",
    spans=((0, len(TEXT)),),
    text=TEXT,
)
GOOD, BETTER = "Explain how to make a pot of tea.", "Describe how black tea is brewed at home."
COPY = "The kettle is filled with cold water and heated until it boils; then the leaves steep."
GENERATION = ids.generation_id("main", 0)


class Answers:
    """Answers requests by step, as the ledger would; the scorer prefers `BETTER`."""

    def __init__(self, by_step: Mapping[int, str | CallFailure], gain: float = 0.5) -> None:
        self.by_step, self.gain = by_step, gain
        self.asked: dict[int, tuple[Request, Backend | None]] = {}

    async def __call__(self, step: int, request: Request, backend: Backend | None = None) -> CallAnswered:
        self.asked[step] = request, backend
        await asyncio.sleep(0)
        answer = self.by_step.get(step) if request.scoring is None else self._scores(request)
        if isinstance(answer, CallFailure):
            raise answer
        assert answer is not None, step
        return CallAnswered(
            request_id=ids.request_id(GENERATION, step),
            attempt=1,
            model="m",
            raw=answer,
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )

    async def has_answer(self, step: int) -> bool:
        return False

    def _scores(self, request: Request) -> str:
        assert request.scoring is not None
        likelihoods = tuple(
            None if each is None else -10.0 * (1 + self.gain) if each.instruction == BETTER else -20.0
            for each in request.scoring.instructions
        )
        scores = SegmentScores(
            scorer=Scorer(backend="local", model="s", sha256=None, template="alpaca", version=1),
            tokens=10,
            unconditional=-20.0 if self.gain > 0 else 0.0,
            candidates=likelihoods,
        )
        return msgspec.json.encode(scores).decode()


class NoScorer:
    """Stands in for a scorer: the answers do its work."""

    name = model = "scorer"
    local = True


SCORER: Backend = NoScorer()  # type: ignore[assignment]


def style(candidates: int, *, rewrites: bool = False, policy: Policy | None = None) -> DocumentStyle:
    def rewritten(text: str, task: Instruction) -> Request:
        return Request(messages=(Message("user", f"{task.instruction} / {text}"),))

    return DocumentStyle(
        policy=policy or Policy(),
        scorer=SCORER,
        candidates=candidates,
        build=lambda text: Request(prompt=text),
        build_rewrite=rewritten if rewrites else None,
    )


def made(answers: Answers, candidates: int, **options: bool) -> StyleResult:
    return asyncio.run(style(candidates, **options).generate(SEGMENT, answers))


def test_candidates_are_asked_for_then_scored_once_and_a_copy_is_not_scored() -> None:
    answers = Answers({0: GOOD, 1: COPY, 2: f"Instruction: {BETTER}\nInput:\ngreen leaves"})

    found = made(answers, 3)

    assert [request.prompt for request, _ in list(answers.asked.values())[:3]] == [TEXT] * 3
    request, backend = answers.asked[3]
    assert backend is SCORER and request.scoring is not None
    assert request.scoring.segment == TEXT
    assert [each and each.instruction for each in request.scoring.instructions] == [GOOD, None, BETTER]
    assert list(answers.asked) == [0, 1, 2, 3], "no rewrite unless it is asked for"
    assert [task.instruction for task in found.instructions] == [GOOD, COPY, BETTER]
    assert found.instructions[2].input == "green leaves"
    assert {task.output for task in found.instructions} == {TEXT}
    assert found.scores is not None and found.scores.candidates == (-20.0, None, -15.0)
    assert [answer.request_id for answer in found.answers] == [ids.request_id(GENERATION, step) for step in range(4)]


def test_without_a_candidate_that_can_be_scored_nothing_is_scored() -> None:
    answers = Answers({0: COPY, 1: ""})
    found = made(answers, 2)
    assert list(answers.asked) == [0, 1] and found.scores is None
    assert [task.instruction for task in found.instructions] == [COPY]


def test_a_candidate_that_is_refused_is_left_out_and_the_others_go_on() -> None:
    answers = Answers({0: RequestRefused("no"), 1: GOOD, 2: Transient("gone", status=503)})
    found = made(answers, 3)
    assert [task.instruction for task in found.instructions] == [GOOD]
    assert found.scores is not None and len(found.scores.candidates) == 1


@pytest.mark.parametrize("failure", [RequestRefused("no"), Transient("gone", status=503)])
def test_if_all_fail_the_failure_is_raised(failure: CallFailure) -> None:
    with pytest.raises(type(failure)):
        made(Answers({0: failure, 1: failure}), 2)


def test_an_endpoint_that_refuses_all_ends_the_generation_although_one_was_answered() -> None:
    with pytest.raises(EndpointRefused):
        made(Answers({0: GOOD, 1: EndpointRefused("no key")}), 2)


def test_the_winner_alone_is_rewritten_and_an_audit_reads_the_same() -> None:
    answers = Answers({0: GOOD, 1: BETTER, 3: "Boil water, then steep the leaves for four minutes."})

    found = made(answers, 2, rewrites=True)

    assert answers.asked[3][0].messages[0].content == f"{BETTER} / {TEXT}"
    assert [task.output for task in found.instructions] == [TEXT, "Boil water, then steep the leaves for four minutes."]
    assert found.parameters == {"rewritten": 1}
    form = AnswerForm("documents", "strict", 0, segment=SegmentForm(2, TEXT, rewritten=1))
    assert read(form, dict(zip((0, 1, 2, 3), found.answers, strict=True))).instructions == found.instructions


@pytest.mark.parametrize(
    ("by_step", "gain"),
    [({0: COPY, 1: ""}, 0.5), ({0: BETTER, 1: ""}, -0.5), ({0: BETTER, 1: "", 3: RequestRefused("no")}, 0.5)],
    ids=["no winner", "a winner with too low a gain", "a rewrite that is refused"],
)
def test_the_segment_stays_the_output_where_nothing_can_be_rewritten(
    by_step: Mapping[int, str | CallFailure], gain: float
) -> None:
    found = made(Answers(by_step, gain), 2, rewrites=True)
    assert [task.output for task in found.instructions] == [TEXT] and found.parameters == {}
