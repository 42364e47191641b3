"""An estimate's interval holds what a run then takes, and its amounts follow from what was measured."""

import asyncio
import random
from dataclasses import replace

import numpy as np
import pytest

from consumers.estimate.estimate import CallPace, EstimateBasis, estimate
from consumers.estimate.samples import GenerationSample
from producers.backends.base import CallPlace
from producers.backends.load_model import LoadModel
from producers.prompts import two_step
from schemas import ids
from schemas.errors import RunError
from schemas.events import CallAnswered, InstructionsGenerated, RunConfigured
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core.call_sums import CallSums
from streams.core.decider import FilterState, apply, decide, first_classifier, initial_state, use_classifier
from streams.core.parse.answers import AnswerForm, read

LIST = CallSums(calls=1, tokens=200, usd=0.002, seconds=4.0)
SEEDS = tuple(SeedTask(id=f"s{n}", instruction=f"Do thing number {n} now.") for n in range(8))


def sample(generated: int = 7, kept: int = 6, **fields: object) -> GenerationSample:
    return GenerationSample(generated=generated, kept=kept, requests=LIST, **fields)  # type: ignore[arg-type]


def basis(*samples: GenerationSample, kept: int = 0, answers_apart: bool = False) -> EstimateBasis:
    return EstimateBasis(samples=samples, kept=kept, threshold=0.85, answers_apart=answers_apart)


def test_a_run_extrapolates_its_own_fall_and_the_interval_holds_what_it_then_takes() -> None:
    held, truths = 0, []
    for rng_seed in range(40):
        draws, kept, candidates, samples = random.Random(rng_seed), 0, 0, []
        while kept < 3_000:
            found = sum(draws.random() < 0.9 / (1 + kept / 4_000) for _ in range(7))
            kept += found
            if kept <= 1_200:
                samples.append(sample(7, found))
            else:
                candidates += 7
        have = sum(each.kept for each in samples)
        estimated, _ = estimate(replace(basis(*samples, kept=have), is_history=True), 3_000)
        assert estimated.fall == "own"
        assert estimated.candidates.high is not None
        held += estimated.candidates.low <= candidates <= estimated.candidates.high
        truths.append((estimated.candidates.middle, candidates))
    assert held >= 30, truths
    assert 0.9 < np.mean([middle / truth for middle, truth in truths]) < 1.1


@pytest.mark.parametrize("threshold", [0.7, 0.85])
def test_five_generations_of_a_model_whose_yield_falls_as_in_the_paper_hold_what_a_run_takes(threshold: float) -> None:
    policy = policy_for(threshold=threshold, clusters=1, batch_size=2, answer="kept")
    run = Lists(policy, LoadModel(rng_seed=99), "main")
    truth, lists = 0, 0
    while len(run.state.kept) < 1_500:
        truth, lists = truth + run.next().generated, lists + 1
    held, held_calls = 0, 0
    for rng_seed in range(20):
        preview = Lists(policy, LoadModel(rng_seed=rng_seed), "preview/x")
        asked = replace(basis(*(preview.next() for _ in range(5))), threshold=threshold)
        found, _ = estimate(asked, 1_500)
        assert found.fall == "default"
        held += found.candidates.low <= truth <= (found.candidates.high or float("inf"))
        held_calls += found.calls.low <= lists <= (found.calls.high or float("inf"))
    assert min(held, held_calls) >= 15, (held, held_calls)


def test_calls_tokens_money_and_hours_follow_from_what_a_candidate_and_an_answered_row_took() -> None:
    answers = CallSums(calls=6, tokens=600, usd=0.03, seconds=60.0)
    same = replace(basis(*[sample(answered=6, answers=answers)] * 40, answers_apart=True), is_history=True)
    found, draws = estimate(replace(same, attempts=1.5), 1_000)
    number = found.candidates.middle
    assert found.calls.middle == pytest.approx(1.5 * (number / 7 + 1_000))
    assert found.tokens is not None
    assert found.tokens.middle == pytest.approx(number / 7 * 200 + 1_000 * 100)
    assert found.usd is not None
    assert found.usd.middle == pytest.approx(number / 7 * 0.002 + 1_000 * 0.005)
    assert found.usd.high is not None
    assert 0.9 <= (draws.reach(found.usd.high, 0.0, draws.usd) or 0.0) <= 1.0
    assert draws.reach(found.usd.high, 1e6, draws.usd) == 0.0

    few = replace(same, samples=same.samples[:5], attempts=1.5, is_history=False)
    side_by_side, _ = estimate(replace(few, pace=CallPace(in_flight=4)), 1_000)
    assert side_by_side.hours is not None
    assert side_by_side.hours.middle == pytest.approx(1.5 * 1_000 * 10 / 4 / 3600), "answers take longer than lists"
    in_turn, _ = estimate(replace(few, pace=CallPace(in_flight=4, in_turn=True)), 1_000)
    assert in_turn.hours is not None
    assert in_turn.hours.middle > 1.5 * (in_turn.candidates.middle / 7 * 4 + 10_000) / 4 / 3600
    slower, _ = estimate(replace(few, pace=CallPace(in_flight=64, rpm=1.0)), 1_000)
    assert slower.hours is not None
    assert slower.hours.middle == pytest.approx(slower.calls.middle / 60)
    done, _ = estimate(replace(same, kept=1_000), 1_000)
    assert done.candidates.high == done.calls.high == 0.0


def test_what_is_not_known_is_not_estimated() -> None:
    unpriced = CallSums(calls=1, tokens=None, usd=None, seconds=0.0)
    unknown = [GenerationSample(generated=7, kept=6, requests=each) for each in (LIST, unpriced)]
    found, draws = estimate(basis(*unknown, answers_apart=True), 100)
    assert (found.tokens, found.usd, found.answers_included) == (None, None, False)
    assert draws.reach(1.0, 0.0, draws.usd) is None
    with pytest.raises(RunError, match="nothing was kept"):
        estimate(basis(sample(7, 0)), 100)


def test_a_run_with_a_history_goes_on_at_its_own_pace() -> None:
    timed = [sample(wall_s=None if number % 10 == 0 else 14.0) for number in range(40)]
    found, _ = estimate(replace(basis(*timed, kept=240), is_history=True), 1_000)
    assert found.fall == "default", "it has not kept enough to show its own"
    assert found.hours is not None
    assert found.hours.middle == pytest.approx(2 * found.candidates.middle / 3600)


class Lists:
    """Lists of seven that a load model writes, decided in memory."""

    def __init__(self, policy: Policy, model: LoadModel, lane: str) -> None:
        self.state: FilterState = initial_state(RunConfigured(run="r", policy=policy, seeds=SEEDS, versions={}))
        use_classifier(self.state, first_classifier(policy, SEEDS))
        self._model, self._lane, self._number = model, lane, 0

    def next(self) -> GenerationSample:
        lane, number = self._lane, self._number
        self._number += 1
        id = ids.generation_id(lane, number)
        request = two_step.list_request([seed.instruction for seed in SEEDS[:3]], "chat")
        answer = asyncio.run(self._model.complete(request, CallPlace(lane, number, 0, 1, ids.request_id(id, 0))))
        answered = CallAnswered(
            request_id=ids.request_id(id, 0),
            attempt=1,
            model="m",
            raw=answer.raw,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            cost_usd=None,
            latency_s=answer.latency_s,
        )
        instructions, unparsed, cut = read(AnswerForm("two-step", "strict", shown=3, most=7), {0: answered})
        event = InstructionsGenerated(
            lane=lane,
            number=number,
            style="two-step",
            parser="strict",
            backend="b",
            model="m",
            parameters={},
            seed_ids=(),
            seed_commands_offset=-1,
            answers=(),
            instructions=instructions,
            unparsed=unparsed,
            cost_usd=None,
            cut=cut,
        )
        verdict = decide(self.state, self.state.applied + 1, id, event)
        apply(self.state, verdict.decision)
        return sample(len(event.instructions), len(verdict.decision.kept))
