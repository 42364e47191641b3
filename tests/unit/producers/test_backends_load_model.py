"""The load model's answers depend on place and request alone, follow its rates, and repeat themselves increasingly."""

import asyncio
import random
from collections import Counter
from statistics import fmean

import pytest

from infra.settings import load
from producers.backends.base import Answer, CallPlace, Message, Request, Sampling
from producers.backends.choice import opened_backend
from producers.backends.load_model import LoadModel, LoadRates
from producers.backends.load_pool import Pool, text_of
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.styles import StyleResult
from producers.prompts import alpaca, judge, pair, two_step
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered, Instruction, InstructionKept
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core.evaluation.pair_scores import read_scores
from streams.core.judging import read
from streams.core.parse.alpaca import parse_alpaca
from streams.core.parse.lists import parse_list
from streams.core.parse.structured import parse_structured
from streams.core.rules import broken_rule
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.rouge import rouge_l_fmeasure

SEEDS = tuple(
    SeedTask(id=f"seed-{n}", instruction=f"Explain the {n}th law of the land", input="", output="It is plain.")
    for n in range(3)
)
SHOWN = [seed.instruction for seed in SEEDS]
EXPECTED = """ Propose a replacement for a quiet umbrella among friends.
5. Render into French a cover letter concerning an antique jug that nobody wanted after the flood.
6. Render into French a cover letter concerning an antique jug that nobody public after fragile flood.
7. Name five problems with a wooden warehouse designed by engineers in the tropics.
8. Find three alternatives to a glowing bicycle with a strange smell in the tropics and add a piece of music.
9. Propose a replacement for a solar library sold too early in Kenya.
10. Summarize the history of a painted bench lent to strangers at school."""

FAULTLESS = LoadRates(written=(1.0,), chatter=0, cut=0, stuck=0, near_copy=0, unsuitable=0, short=0)


def place(number: int, step: int = 0, attempt: int = 1, lane: str = "main") -> CallPlace:
    return CallPlace(lane, number, step, attempt, ids.request_id(ids.generation_id(lane, number), step))


def answer(model: LoadModel, request: Request, at: CallPlace) -> Answer:
    return asyncio.run(model.complete(request, at))


def instructions(model: LoadModel, generations: int) -> list[list[Instruction]]:
    """What is read from the answers to a completion in the `alpaca` style, by generation."""
    request = alpaca.request(SEEDS, "completion")
    read = []
    for number in range(generations):
        given = answer(model, request, place(number))
        cut = given.finish_reason == "length"
        read.append(list(parse_alpaca(given.raw, parser="strict", first_number=4, cut=cut)[0]))
    return read


def test_the_same_place_and_request_get_the_same_answer_in_any_order_and_on_any_attempt() -> None:
    request = alpaca.request(SEEDS, "chat")
    places = [place(number, lane=lane) for lane in ("main", "second") for number in range(10)]
    first = {at: answer(LoadModel(), request, at) for at in places}

    random.Random(1).shuffle(places)
    model = LoadModel()

    for at in places:
        again = CallPlace(at.lane, at.number, at.step, at.attempt + 3, at.request_id)
        assert answer(model, request, again) == first[at]


@pytest.mark.parametrize("other", ["rng_seed", "lane", "number", "step", "prompt"])
def test_another_seed_lane_number_step_or_prompt_gets_another_answer(other: str) -> None:
    request = alpaca.request(SEEDS, "completion")
    changed = alpaca.request(SEEDS[:2], "completion") if other == "prompt" else request
    at = place(int(other == "number"), step=int(other == "step"), lane="second" if other == "lane" else "main")
    model = LoadModel(rng_seed=1 if other == "rng_seed" else 0, rates=FAULTLESS)

    assert answer(model, changed, at).raw != answer(LoadModel(rates=FAULTLESS), request, place(0)).raw


def test_its_answers_stay_what_they_are() -> None:
    """Whoever changes the words or how they are drawn changes every recorded load test."""
    found = answer(LoadModel(), two_step.list_request(SHOWN), place(0)).raw
    assert found == EXPECTED


@pytest.mark.parametrize("form", ["completion", "chat", "structured"])
def test_every_form_of_the_alpaca_style_is_answered_with_as_many_tasks_as_asked_for(form: alpaca.Form) -> None:
    given = answer(LoadModel(rates=FAULTLESS), alpaca.request(SEEDS, form), place(0))

    if form == "structured":
        tasks, unparsed = parse_structured(given.raw, cut=False)
    else:
        tasks, unparsed = parse_alpaca(given.raw, parser="strict", first_number=4, cut=False)

    assert (len(tasks), unparsed, given.finish_reason) == (17, (), "stop")
    assert all(task.output for task in tasks)
    assert {bool(task.input) for task in tasks} == {True, False}


@pytest.mark.parametrize("form", ["completion", "chat"])
def test_a_list_of_the_two_step_style_is_answered_and_so_is_a_question(form: two_step.Form) -> None:
    model = LoadModel(rates=FAULTLESS)
    items, unparsed = parse_list(
        answer(model, two_step.list_request(SHOWN, form), place(0)).raw, first_number=4, cut=False
    )
    output = answer(model, two_step.answer_request(items[0], form), place(0, step=1)).raw

    assert (len(items), unparsed) == (7, ())
    assert len(output.split()) >= 5
    assert "\n" not in output


@pytest.mark.parametrize("completion", [True, False])
def test_a_judge_gets_a_score_from_it_and_now_and_then_none(completion: bool) -> None:
    row = InstructionKept(
        id="r",
        instruction="Name three primary colours",
        input="",
        output="Red, yellow and blue.",
        generation_id="g",
        generated_offset=0,
        place=0,
        cluster=0,
        classifier_offset=0,
    )
    request = judge.request(row, judge.RUBRICS["accuracy"], completion=completion, sampling=Sampling())
    model = LoadModel()
    scores = [read(asyncio.run(model.complete(request, place(number))).raw).value for number in range(300)]
    assert 0 < scores.count(None) < 30
    assert {1.0, 2.5, 4.5, 5.0} <= set(scores)


@pytest.mark.parametrize("completion", [True, False])
@pytest.mark.parametrize("rubric", pair.ANSWER_RUBRICS)
def test_a_judge_of_answers_gets_a_score_for_each(rubric: pair.AnswerRubricName, completion: bool) -> None:
    asked = pair.ANSWER_RUBRICS[rubric]
    request = pair.judging_request(asked, "Why?", ["So."] * asked.shown, completion=completion, sampling=Sampling())
    model = LoadModel()
    raws = [asyncio.run(model.complete(request, place(number))).raw for number in range(100)]
    scores = [read_scores(raw, asked.scale, asked.shown).values for raw in raws]
    assert 0 < scores.count(None) < 20
    assert len(set(scores)) > 2


def test_a_whole_generation_of_each_style_comes_out_of_it() -> None:
    settings = load(backend="load-model", api="completion")

    async def made(asking: StyleInUse) -> StyleResult:
        with opened_backend(settings, None, 1) as backend:

            async def ask(step: int, request: Request) -> CallAnswered:
                got = await backend.complete(request, place(1, step))
                return CallAnswered(
                    request_id=str(step),
                    attempt=1,
                    model=got.model,
                    raw=got.raw,
                    finish_reason=got.finish_reason,
                    usage=got.usage,
                    cost_usd=None,
                    latency_s=got.latency_s,
                )

            return await style_of(asking, settings).generate(SEEDS, ask)

    for asking in (StyleInUse(style="alpaca"), StyleInUse(style="two-step")):
        assert asyncio.run(made(asking)).instructions


def test_its_rates_are_those_it_was_given() -> None:
    rates, generations, model = LoadRates(), 1500, LoadModel()
    request = alpaca.request(SEEDS, "completion")
    answers = [answer(model, request, place(number)) for number in range(generations)]
    parsed = [parse_alpaca(a.raw, parser="strict", first_number=4, cut=a.finish_reason == "length") for a in answers]
    tasks = [task for read, _ in parsed for task in read]
    reasons = Counter(part.reason for _, unparsed in parsed for part in unparsed)
    broken = Counter(broken_rule(task, Policy()) for task in tasks)

    assert reasons["no_label"] / generations == pytest.approx(rates.chatter, rel=0.2)
    assert reasons["cut"] / generations == pytest.approx(rates.cut * (1 - rates.chatter), rel=0.35)
    assert len(tasks) / (17 * generations) == pytest.approx(194 / 287, rel=0.05)
    assert broken["unsuitable_word"] / len(tasks) == pytest.approx(rates.unsuitable, rel=0.25)
    assert broken["too_short"] / len(tasks) == pytest.approx(rates.short, rel=0.4)
    assert fmean(bool(task.input) for task in tasks) == pytest.approx(rates.with_input, rel=0.05)
    assert fmean(len(task.output.split()) for task in tasks) == pytest.approx(fmean(rates.output_words), rel=0.2)
    assert broken[None] / len(tasks) > 0.9


def test_within_an_answer_it_repeats_itself_as_often_as_was_measured() -> None:
    """5.2 % were above 0.85, and 9.3 % above 0.7."""
    scores = [
        max((rouge_l_fmeasure(task.instruction, other.instruction) for other in read[:at]), default=0.0)
        for read in instructions(LoadModel(), 400)
        for at, task in enumerate(read)
    ]

    assert 0.03 < fmean(score > 0.85 for score in scores) < 0.08
    assert 0.06 < fmean(score > 0.7 for score in scores) < 0.13


def test_asked_as_the_measured_run_was_it_gives_about_what_was_kept_there() -> None:
    """41 lists of seven gave 194 instructions, of which 175 were kept at 0.85."""
    request = two_step.list_request(SHOWN)
    generated = kept = 0
    for rng_seed in range(10):
        model, index = LoadModel(rng_seed=rng_seed), RougeLIndex(0.85)
        for number in range(41):
            given = answer(model, request, place(number))
            items, _ = parse_list(given.raw, first_number=4, cut=given.finish_reason == "length")
            generated += len(items)
            for at, item in enumerate(items):
                task = Instruction(instruction=item, output="Yes.")
                if broken_rule(task, Policy()) is None and index.nearest_above(item) is None:
                    index.add(f"{number}/{at}", item)
        kept += len(index)

    assert generated / 10 == pytest.approx(194, rel=0.1)
    assert kept / generated == pytest.approx(175 / 194, abs=0.02)


def test_its_yield_falls_as_more_is_generated_and_sooner_under_the_lower_threshold() -> None:
    yields = {theta: kept_of_each(theta, (500, 3000)) for theta in (0.7, 0.85)}

    for early, late in yields.values():
        assert late < early
    assert yields[0.7][0] > 0.75
    assert yields[0.7][1] < yields[0.85][1] < 0.9


def kept_of_each(threshold: float, stretches: tuple[int, ...]) -> list[float]:
    """Share kept of each stretch of draws, the first ones not counted twice."""
    pool, draws, index = Pool(), random.Random(7), RougeLIndex(threshold)
    shares = []
    for size in stretches:
        before = len(index)
        for number in range(size):
            text = text_of(*pool.draw(draws))
            if index.nearest_above(text) is None:
                index.add(f"{size}/{number}", text)
        shares.append((len(index) - before) / size)
    return shares


def test_there_are_tens_of_thousands_of_different_instructions() -> None:
    assert len({text_of(idea, 0) for idea in range(Pool().ideas)}) > 40_000


def test_two_wordings_of_an_idea_are_near_repeats() -> None:
    scores = [rouge_l_fmeasure(text_of(idea, 0), text_of(idea, 1)) for idea in range(300)]
    assert fmean(0.7 < score <= 0.9 for score in scores) > 0.95


def test_what_is_longer_than_allowed_is_cut_and_says_so() -> None:
    request = alpaca.request(SEEDS, "completion", sampling=Sampling(max_tokens=50))
    given = answer(LoadModel(rates=FAULTLESS), request, place(0))

    assert given.finish_reason == "length"
    assert given.usage is not None
    assert given.usage.completion_tokens <= 50


def test_usage_follows_the_texts_and_latency_the_usage() -> None:
    request = alpaca.request(SEEDS, "completion")
    given = answer(LoadModel(rates=FAULTLESS), request, place(0))

    assert given.usage is not None
    assert given.usage.prompt_tokens == int(len(request.prompt or "") / 3.94)
    assert given.usage.completion_tokens == int(len(given.raw) / 3.94)
    assert given.latency_s == pytest.approx(given.usage.completion_tokens / 7.8)


def test_it_waits_only_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("producers.backends.load_model.asyncio.sleep", sleep)
    request = Request(messages=(Message("user", "Hello?"),))
    answer(LoadModel(), request, place(0))
    given = answer(LoadModel(pace=0.5), request, place(0))

    assert waited == [pytest.approx(given.latency_s / 2)]


def test_a_negative_pace_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="pace is -1"):
        LoadModel(pace=-1)
