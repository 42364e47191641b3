"""A judge reads each pair of answers once in both orders, over crashes too, and asks about nothing that is missing."""

import dataclasses
import pickle
import random
import signal
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from infra.local_broker.temporary_broker import TemporaryBroker
from producers.backends.recorded import RecordedOptions
from producers.calls.limits import Limits
from producers.evaluation.judging import JudgingOptions
from producers.evaluation.prompt_sets import read_prompt_file
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.evaluation import AnswersJudged
from schemas.events import CallAnswered, CallStarted
from tests.conftest import DATA
from tests.integration.producers.evaluation_driver import EvaluationRig, prompts

OUTPUTS = DATA / "model_outputs" / "self_instruct_252"
TASKS = DATA / "eval_open" / "self_instruct_user_oriented_252.jsonl"
READINGS = 504
KILLS = 10


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> EvaluationRig:
    values = {**broker.settings.model_dump(), "backend": "recorded"}
    made = EvaluationRig(type(broker.settings)(**values), run, tmp_path)
    made.configure()
    return made


def judge_lines(readings: int) -> list[str]:
    """Two answers of a judge for each reading: some without scores, some with equal ones, in several forms."""
    forms = ["{} {}\nSo {}.", "Assistant 1: {}\nAssistant 2: {}\nSo {}.", "{}/10 and {}/10\nSo {}."]
    lines = []
    for number in range(readings):
        first, second = 1 + number % 10, 1 + number * 7 // 3 % 10
        said = forms[number % len(forms)].format(first, second, number)
        lines += ["Both are fine." if number % 9 == 0 else said, "Hm." if number % 18 == 0 else f"3 4\nAgain {number}."]
    return lines


def without_attempts(event: AnswersJudged) -> AnswersJudged:
    """A reading without the number of the attempt that was answered: a kill may have lost one."""
    return replace(event, answers=tuple(replace(answer, attempt=1) for answer in event.answers))


@pytest.mark.timeout(240)
@pytest.mark.skipif(not OUTPUTS.is_dir(), reason="the public data is not here")
def test_ten_kills_leave_the_readings_of_an_undisturbed_comparison_and_nothing_is_asked_twice(
    rig: EvaluationRig,
) -> None:
    (tasks,) = read_prompt_file(TASKS, "self-instruct").sets
    files = [OUTPUTS / f"{name}_predictions.jsonl.gz" for name in ("text-davinci-003", "davinci-self-instruct")]
    judged = rig.judged_set(tasks, *files)
    recorded = rig.recorded(judge_lines(READINGS), "judge.jsonl", per_generation=2, latency_s=0.02)
    options = JudgingOptions(run=rig.run, sets=(judged,), recorded=recorded, in_flight=4)
    rng = random.Random(5)
    for _ in range(KILLS):
        calls = len(rig.records("calls"))
        process = rig.start_judge(options)
        rig.wait_for("calls", calls + rng.randrange(20, 110), timeout_s=60)
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert len(rig.judgements()) < READINGS, "it was killed in the middle"
    process = rig.start_judge(options)
    assert process.wait(60) == 0, (rig.folder / "judge.log").read_text()
    summary = pickle.loads((rig.folder / "judged.pickle").read_bytes())
    assert (summary.read, summary.unread, summary.unfinished, summary.unanswered) == (476, 28, 0, 0)

    whole = EvaluationRig(rig.settings, f"{rig.run}-whole", rig.folder)
    whole.configure()
    whole.judged_set(tasks, *files)
    whole.judge(judged, recorded=recorded, in_flight=4)
    found, expected = rig.judgements(), whole.judgements()
    assert list(map(without_attempts, found)) == list(map(without_attempts, expected))
    assert [record.id for record in rig.records("judgements")] == [
        ids.answers_judged_id(found[0].judge.name, order)
        for prompt in tasks.prompts
        for pair in [tuple(each.id(prompt) for each in judged.answers)]
        for order in (pair, pair[::-1])
    ]

    answers, started, ledger = rig.events("calls", CallAnswered), rig.events("calls", CallStarted), rig.ledger()
    assert len({answer.request_id for answer in answers}) == len(answers) == ledger.answered == READINGS + READINGS // 9
    assert (ledger.repeated, ledger.open) == (0, 0)
    assert ledger.lost == len(started) - len(answers) <= KILLS * 4
    assert {start.lane.rpartition("/")[0] for start in started} == {"eval/pair"}


def test_missing_and_empty_answers_are_not_asked_about_and_a_limit_leaves_the_rest_for_later(
    rig: EvaluationRig,
) -> None:
    asked = prompts(4)
    questions = [{"instruction": each.instruction, "input": each.input} for each in asked.prompts]
    one = rig.lines([{**question, "output": f"One {n}."} for n, question in enumerate(questions)], "one.jsonl")
    two = rig.lines(
        [{**questions[0], "output": "Two."}, {**questions[1], "output": " "}, {**questions[2], "output": "2"}],
        "two.jsonl",
    )
    judged = rig.judged_set(asked, one, two)
    recorded: RecordedOptions = rig.recorded([f"{n + 1} 1\nSo." for n in range(8)], "judge.jsonl")
    some = rig.judge(judged, recorded=recorded, attempts=1, limits=Limits(max_calls=3))
    assert (some.written, some.calls, some.unanswered, some.unfinished) == (3, 3, 4, 1)
    assert rig.judge(judged, recorded=recorded, attempts=1).calls == 1
    assert rig.judge(judged, recorded=recorded, attempts=1).written == 0
    found = rig.judgements()
    assert [(event.prompt_id, event.scores) for event in found] == [
        ("q0", (1, 1)),
        ("q0", (2, 1)),
        ("q2", (5, 1)),
        ("q2", (6, 1)),
    ], "a reading's number is its place among all, those not asked about included"
    assert found[0].models == found[1].models[::-1] == tuple(each.model for each in judged.answers)
    assert found[0].answer_ids == found[1].answer_ids[::-1]

    refusals = rig.judge(judged, rubric="refusal", recorded=rig.recorded(["0\nIt does it."] * 8, "refusal.jsonl"))
    assert (refusals.readings, refusals.read, refusals.unanswered) == (8, 6, 2)
    assert rig.judgements()[-1].scores == (0.0,)
    with pytest.raises(ConfigurationError, match="two models or more"):
        rig.judge(dataclasses.replace(judged, answers=judged.answers[:1]), recorded=recorded)
