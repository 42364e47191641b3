"""A scorer sums the log-probabilities of the segment's tokens alone, the same ones after every prompt."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.backends.base import (
    Answer,
    CallPlace,
    EndpointBackend,
    EndpointRefused,
    Message,
    Request,
    RequestRefused,
    ScorerBackend,
    Scoring,
    Transient,
    generates_only,
)
from producers.backends.openai import OpenAIBackend
from producers.calls.caller import CallCause, Caller
from producers.calls.cost import FREE, Prices, worst_case
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.documents.scoring.local import LocalScorer
from producers.documents.scoring.opening import opened_scorer
from producers.documents.scoring.options import ScorerOptions
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.events import CallStarted, Instruction, Usage
from schemas.segments import SegmentScores
from tests.unit.producers.endpoint import Reply, endpoint
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.trainer import tiny

GENERATION = ids.generation_id("main", 0)
PLACE = CallPlace("main", 0, 0, 1, ids.request_id(GENERATION, 0))
FIRST, SECOND = Instruction(instruction="Name it."), Instruction(instruction="Say what.", input="It.")
REQUEST = Request(scoring=Scoring("ab", (FIRST, None, SECOND, FIRST)))


def scored(request: Request, options: ScorerOptions, **settings: Any) -> tuple[Answer, SegmentScores]:
    async def call(scorer: Any) -> Answer:
        try:
            return await scorer.complete(request, PLACE)
        finally:
            await scorer.close()

    with opened_scorer(Settings(**settings), options) as scorer:
        answer = asyncio.run(call(scorer))
    return answer, msgspec.json.decode(answer.raw, type=SegmentScores)


def test_a_local_scorer_gives_the_same_bytes_and_what_one_plain_pass_a_candidate_gives(tmp_path: Path) -> None:
    import torch

    options = ScorerOptions(model=str(tiny.save_tiny(tmp_path / "m")), precision="fp32", device="cpu", threads=1)
    answer, scores = scored(REQUEST, options)
    assert scored(REQUEST, options)[0].raw == answer.raw
    model, tokenizer = tiny.model().eval(), tiny.tokenizer()

    def plain(question: str) -> tuple[float, int]:
        tokens = tokenizer(f"<|user|>{question}<|end|>\n<|assistant|>ab")["input_ids"]
        with torch.inference_mode():
            values = model(input_ids=torch.tensor([tokens])).logits[0].float().log_softmax(-1)
        last = range(len(tokens) - 3, len(tokens) - 1)
        return sum(float(values[at, tokens[at + 1]]) for at in last), len(tokens)

    expected = [plain(text) for text in ("", "Name it.", "Say what.\n\nIt.")]
    found = [scores.unconditional, scores.candidates[0], scores.candidates[2]]
    assert found == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert (scores.tokens, scores.candidates[1], scores.candidates[3]) == (2, None, scores.candidates[0])
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(length for _, length in expected)
    with pytest.raises(RequestRefused, match="blank"):
        scored(Request(scoring=Scoring(" ", (FIRST,))), options)


LONG = "The quick brown fox jumps over the lazy dog near the bank"
CANDIDATES = tuple(Instruction(instruction=text) for text in ("Name it.", "Say what it is.", "Zzz", "Tell of a fox."))


@pytest.fixture(scope="module")
def tiny_options(tmp_path_factory: pytest.TempPathFactory) -> ScorerOptions:
    folder = tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "m")
    return ScorerOptions(model=str(folder), precision="fp32", device="cpu", threads=1)


def best(scores: SegmentScores) -> int:
    return min((found, place) for place in range(9) if (found := scores.perplexity(place)) is not None)[1]


def test_two_stages_record_the_heads_drop_the_far_ones_and_agree_on_the_rest(tiny_options: ScorerOptions) -> None:
    request = Request(scoring=Scoring(LONG, (*CANDIDATES, None, CANDIDATES[0])))
    answer, whole = scored(request, tiny_options)
    _, heads = scored(request, replace(tiny_options, max_tokens=9))
    close = replace(tiny_options, head_tokens=9, head_margin=1e-9)
    fewer, staged = scored(request, close)
    assert (whole.head_tokens, whole.heads, staged.head_tokens) == (0, (), 9)
    assert staged.heads == pytest.approx(heads.candidates, abs=1e-4)
    ahead = max(found for found in staged.heads if found is not None)
    for place, head in enumerate(staged.heads):
        if head == ahead:
            assert staged.candidates[place] == pytest.approx(whole.candidates[place], abs=1e-4)
        else:
            assert staged.candidates[place] is None
    assert staged.candidates.count(None) >= 4
    assert staged.unconditional == pytest.approx(whole.unconditional, abs=1e-4)
    assert answer.usage is not None
    assert fewer.usage is not None
    assert fewer.usage.prompt_tokens < answer.usage.prompt_tokens
    second = sorted({found for found in staged.heads if found is not None})[-2]
    for share, going_on in ((1.01, 2), (0.99, 1)):
        _, two = scored(request, replace(close, head_margin=share * (ahead - second) / 9))
        assert len({found for found in two.candidates if found is not None}) == going_on
    _, wide = scored(request, replace(close, head_margin=99.0))
    assert wide.candidates == pytest.approx(whole.candidates, abs=1e-4)
    assert best(wide) == best(whole)
    _, short = scored(Request(scoring=Scoring("ab", CANDIDATES)), close)
    assert (short.head_tokens, short.heads) == (0, ())


def test_what_exceeds_the_context_is_cut_alike_for_all_candidates(tiny_options: ScorerOptions) -> None:
    """The context is 512 tokens, of bytes."""
    long = Instruction(instruction="Say it. " * 100)
    _, prompt_cut = scored(Request(scoring=Scoring(LONG, (long, CANDIDATES[0]))), tiny_options)
    _, plain = scored(Request(scoring=Scoring(LONG, (CANDIDATES[0],))), tiny_options)
    assert prompt_cut.tokens == len(LONG)
    assert prompt_cut.candidates[0] != prompt_cut.candidates[1]
    assert prompt_cut.candidates[1] == pytest.approx(plain.candidates[0], abs=1e-4)
    text = "So it is then. " * 100
    _, segment_cut = scored(Request(scoring=Scoring(text, (long, CANDIDATES[0]))), tiny_options)
    assert segment_cut.tokens == 512 - 512 // 4
    _, bounded = scored(Request(scoring=Scoring(text, (CANDIDATES[0],))), replace(tiny_options, max_tokens=20))
    _, beginning = scored(Request(scoring=Scoring(text[:20], (CANDIDATES[0],))), tiny_options)
    assert (bounded.tokens, bounded.candidates) == (20, pytest.approx(beginning.candidates, abs=1e-4))


def test_a_scoring_has_the_same_bytes_alone_and_among_others(tiny_options: ScorerOptions) -> None:
    asked = [Request(scoring=Scoring(text, CANDIDATES)) for text in (LONG, "ab", LONG.upper(), "Fox. " * 60)]
    options = replace(tiny_options, head_tokens=5)

    async def together(scorer: Any) -> list[Answer]:
        try:
            return list(await asyncio.gather(*(scorer.complete(each, PLACE) for each in asked)))
        finally:
            await scorer.close()

    with opened_scorer(Settings(), options) as scorer:
        answers = asyncio.run(together(scorer))
    assert [each.raw for each in answers] == [scored(each, options)[0].raw for each in asked]


def listed(*tokens: tuple[str, Any]) -> dict[str, Any]:
    entries = [None, *({token: {"logprob": value, "rank": 1, "decoded_token": "x"}} for token, value in tokens)]
    return {"text": "z", "prompt_logprobs": entries}


def echoed(*tokens: tuple[str, Any]) -> dict[str, Any]:
    names, values = ["<s>", *(name for name, _ in tokens), "z"], [None, *(value for _, value in tokens), -9.0]
    return {"text": "z", "logprobs": {"tokens": names, "token_logprobs": values}}


def reply(form: Any, end: Any = -2.0) -> Reply:
    """Bare, unconditional, and two candidates; the segment is `4`, `5`."""
    prompts = (
        [("1", -7.0)],
        [("1", -7.0), ("4", -1.0), ("5", -2.0)],
        [("2", -7.0), ("1", -7.0), ("4", -0.5), ("5", end)],
        [("3", -7.0), ("1", -7.0), ("4", -3.0), ("5", -2.0)],
    )
    choices = [{"index": place, "finish_reason": "length", **form(*tokens)} for place, tokens in enumerate(prompts)]
    used = {"prompt_tokens": 15, "completion_tokens": 4, "total_tokens": 19}
    return Reply({"id": "x", "object": "text_completion", "model": "t-1", "choices": choices[::-1], "usage": used})


@pytest.mark.parametrize(("form", "made"), [("prompt_logprobs", listed), ("echo", echoed)])
def test_an_endpoints_sums_are_those_of_the_segments_tokens_in_both_forms(form: Any, made: Any) -> None:
    with endpoint(reply(made)) as served:
        options = ScorerOptions(backend="endpoint", model="t", base_url=served.url, form=form)
        answer, scores = scored(REQUEST, options, api_key="sk-secret")
    assert (scores.tokens, scores.unconditional, scores.candidates) == (2, -3.0, (-2.5, None, -5.0, -2.5))
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 15
    (received,) = served.received
    assert len(received.body["prompt"]) == 4
    assert "sk-secret" not in str(received.headers)


@pytest.mark.parametrize("end", [None, 0.5, "x", True])
def test_a_token_without_a_possible_log_probability_is_no_score(end: Any) -> None:
    with endpoint(reply(listed, end)) as served, pytest.raises(Transient, match="log-probability"):
        scored(REQUEST, ScorerOptions(backend="endpoint", model="t", base_url=served.url))


def test_an_endpoint_that_ignores_the_question_is_refused_with_what_to_do() -> None:
    with (
        endpoint(reply(lambda *_: {"text": "z", "logprobs": None})) as served,
        pytest.raises(EndpointRefused, match="vLLM does"),
    ):
        scored(REQUEST, ScorerOptions(backend="endpoint", model="t", base_url=served.url))


class Named:
    """A backend that answers at once."""

    def __init__(self, name: str, local: bool) -> None:
        self.name, self.model, self.local = name, f"{name}-model", local

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        return Answer("{}", "stop", Usage(prompt_tokens=9, completion_tokens=0), self.model, 0.0)

    def most_usage(self, scoring: Scoring) -> None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


def test_a_second_backend_is_named_in_its_start_and_a_local_one_costs_nothing() -> None:

    log = MemoryLog()
    progress = log.refresh(LaneProgress("main", configured()))
    caller = Caller(
        backend=Named("own", False),
        writer=cast(LogWriter, log),
        refresh=lambda: log.refresh(progress),
        may_call=lambda _, __: None,
        prices=Prices(1.0, 1.0),
        retries=Retries(attempts=1),
        rate=RateControl(RateOptions(), 1),
        known=progress,
    )
    cause = CallCause("main", 0, GENERATION, ids.run_id("r"))

    async def both() -> Any:
        scorer = Named("scorer", True)
        asked = Request(messages=(Message("user", "?"),))
        return await asyncio.gather(caller.ask(cause, 0, asked), caller.ask(cause, 1, REQUEST, scorer))

    _, answered = asyncio.run(both())
    assert answered.cost_usd == 0.0
    assert [(each.step, each.backend, each.model) for each in log.events(CallStarted)] == [
        (0, "own", "own-model"),
        (1, "scorer", "scorer-model"),
    ]


def test_no_scoring_takes_more_than_its_worst_case(tiny_options: ScorerOptions) -> None:
    """In one stage and in two, of any text, and where segment or prompt exceed the context."""
    rng = random.Random(5)
    pieces = ["fox ", "Say it. ", "é", "茶を淹れる。", "🫖", "<|end|>", "\n", "\ue001", "x" * 200]

    def text(most: int) -> str:
        return "".join(rng.choices(pieces, k=rng.randint(1, most)))

    staged = replace(tiny_options, head_tokens=8, head_margin=0.05, max_tokens=300)
    seen: list[tuple[int, int]] = []
    for options in (tiny_options, staged):
        with opened_scorer(Settings(), options) as scorer:
            assert isinstance(scorer, LocalScorer)
            for _ in range(20):
                asked = [Instruction(instruction=text(4), input=text(2)) for _ in range(rng.randint(1, 4))]
                request = Request(scoring=Scoring(f"a{text(12)}", (*asked, None, asked[0])))
                worst = worst_case(request, FREE, scorer)
                scores, counted = scorer.score(request)
                assert worst.tokens is not None and worst.usd == 0.0
                assert counted <= worst.tokens, request
                assert counted == worst.tokens or None in scores.candidates[: len(asked)], "without a stage it is exact"
                seen.append((counted, worst.tokens))
    assert any(counted < worst for counted, worst in seen), "some candidates were dropped after the first stage"


def test_at_an_endpoint_the_worst_case_is_exact_with_a_tokenizer_and_an_estimate_without(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path / "m")
    at = ScorerOptions(backend="endpoint", model="t", base_url="http://127.0.0.1:9/v1")
    with opened_scorer(Settings(), replace(at, tokenizer=str(folder), template="chat")) as scorer:
        exact = worst_case(REQUEST, Prices(1.0, 1.0), scorer)
    with opened_scorer(Settings(), at) as scorer:
        estimate = worst_case(REQUEST, Prices(1.0, 1.0), scorer)
    plain = [len(f"<{text}>\nAab") for text in ("", "Name it.", "Say what.\n\nIt.")]
    assert exact.tokens == sum(plain) + 3 and exact.usd == pytest.approx(exact.tokens / 1e6)
    assert estimate.tokens is not None and estimate.tokens > exact.tokens


def test_the_worst_case_of_a_scoring_has_each_pass_and_other_backends_refuse_it() -> None:
    known = worst_case(REQUEST, FREE, Named("s", True))
    assert known.tokens is not None
    assert known.usd == 0.0
    fewer = worst_case(Request(scoring=Scoring("ab", (FIRST,))), FREE, Named("s", True))
    assert fewer.tokens is not None
    assert known.tokens > fewer.tokens
    with pytest.raises(EndpointRefused, match="scores no segments"):
        generates_only("builtin", REQUEST)


def test_a_scorer_at_the_endpoint_of_the_settings_shares_its_account_and_none_elsewhere() -> None:
    settings = Settings(backend="openai", model="m", base_url="http://127.0.0.1:9/v1", api_key="sk-a")
    generator = OpenAIBackend.of(settings)
    here, there = ScorerOptions(backend="endpoint", model="t"), "http://127.0.0.1:8/v1"
    for options, shared in ((here, True), (replace(here, base_url=there), False)):
        with opened_scorer(settings, options) as scorer:
            assert isinstance(scorer, EndpointBackend) and isinstance(scorer, ScorerBackend)
            assert (scorer.account == generator.account) is shared
