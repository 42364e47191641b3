"""A judge judges every kept row once, over crashes too, and its calls count in the run's ledger and budgets."""

import pickle
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import infra.cluster.topics
from consumers.report import report
from infra.cluster.topics import check
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.reader import LogReader
from infra.log.source import KafkaSource
from producers.backends.recorded import RecordedOptions
from producers.calls.answered_rows import rows_in_order
from producers.calls.limits import Limits
from producers.judge.judge import JudgeOptions, judge
from schemas.errors import RunError
from schemas.events import CallAnswered, CallStarted
from schemas.policy import policy_for
from schemas.topics import topic_specs
from tests.integration.producers.judge_driver import JudgeRig

ROWS = 100
LATER = 10  # of these, kept when the others are judged
KILLS = 2


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> JudgeRig:
    values = {**broker.settings.model_dump(), "backend": "recorded"}
    values |= {"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 2.0}
    return JudgeRig(type(broker.settings)(**values), run, tmp_path)


def recorded(rig: JudgeRig, latency_s: float = 0.0) -> RecordedOptions:
    """Two answers a row: every fifth row's first one holds no score."""
    raws = []
    for number in range(ROWS):
        raws += ["I like it." if number % 5 == 0 else f"{number % 11 / 2:g}\nSo {number}.", f"1.5\nAgain {number}."]
    return RecordedOptions(rig.file(raws), per_generation=2, latency_s=latency_s)


def score(number: int) -> float:
    return 1.5 if number % 5 == 0 else number % 11 / 2


@pytest.mark.timeout(240)
def test_kills_let_nothing_be_judged_twice_nor_paid_for_twice(rig: JudgeRig) -> None:
    rig.configure()
    rows = rig.keep(0, ROWS - LATER)
    options = JudgeOptions(run=rig.run, recorded=recorded(rig, latency_s=0.03), in_flight=4)
    rng = random.Random(7)
    for _ in range(KILLS):
        calls = len(rig.records("calls"))
        process = rig.start_judge(options)
        rig.wait_for("calls", calls + rng.randrange(15, 40), timeout_s=90)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert len(rig.judged()) < ROWS - LATER, "it was killed in the middle"
    process = rig.start_judge(options)
    rig.wait_for("judged", ROWS - LATER, timeout_s=90)
    rows += rig.keep(ROWS - LATER, LATER)
    rig.wait_for("judged", ROWS, timeout_s=90)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0

    found, ledger = rig.judged(), rig.ledger()
    assert [event.kept_id for event in found] == [row.id for row in rows], "each once, in the order of the rows"
    assert [event.score for event in found] == [score(number) for number in range(ROWS)]
    answers, started = rig.events("calls", CallAnswered), rig.events("calls", CallStarted)
    assert len({answer.request_id for answer in answers}) == len(answers) == ledger.answered == ROWS + ROWS // 5
    assert (ledger.repeated, ledger.open) == (0, 0)
    assert ledger.lost == len(started) - len(answers) <= KILLS * 4, "calls under way at a kill are counted as lost"
    by_request = {answer.request_id: answer for answer in answers}
    written = [answer for event in found for answer in event.answers]
    assert written == [by_request[answer.request_id] for answer in written]
    assert len(written) == len(answers), "what was paid for is what was written"
    (judged,) = report(KafkaSource(rig.settings, rig.run)).judged
    assert (judged.judged, judged.unreadable, judged.unjudged) == (ROWS, 0, 0)

    summary = pickle.loads((rig.folder / "judged.pickle").read_bytes())
    assert (summary.ended, summary.unfinished) == ("stopped by a signal", 0)
    assert summary.run_cost_usd == pytest.approx(len(answers) * 200e-6)
    assert rig.judge(replace(options, until_end=True)).calls == 0, "there is nothing left to judge"


@pytest.mark.timeout(120)
def test_a_run_without_the_topic_gets_it_and_a_budget_is_the_runs_over_judges(
    rig: JudgeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before_there_were_judges:
        needed = tuple(spec for spec in topic_specs() if not spec.optional)
        before_there_were_judges.setattr(infra.cluster.topics, "topic_specs", lambda: needed)
        rig.configure()
    check(rig.settings, rig.run, clusters=2)
    source = KafkaSource(rig.settings, rig.run)
    with LogReader(rig.settings, rig.run, ["judged", "run"]) as reader:
        assert reader.partitions("judged") == 0
        assert [record.topic for record in reader.read_to_end()] == ["run"]
    with source.open(["judged", "judged.dlq"]) as reading:
        assert dict(reading.ends()) == {("judged", 0): 0, ("judged.dlq", 0): 0}
        assert list(reading.rest()) == []
    with pytest.raises(RunError, match="no topic"):
        KafkaSource(rig.settings, f"{rig.run}-none").open(["judged", "run"])
    assert report(source).judged == ()

    rig.keep(0, 40)
    options = JudgeOptions(run=rig.run, recorded=recorded(rig), until_end=True, limits=Limits(max_calls=20))
    assert rig.judge(options).calls == 20
    other = JudgeOptions(
        run=rig.run, rubric="helpfulness", recorded=recorded(rig), until_end=True, limits=Limits(max_usd=26 * 200e-6)
    )
    rig.judge(other)
    ledger = rig.ledger()
    assert 20 <= ledger.started <= 26
    assert ledger.cost_usd is not None
    assert ledger.cost_usd <= 26 * 200e-6
    assert sorted({event.lane for event in rig.events("calls", CallStarted)})[0] == "judge/accuracy/1/answers.jsonl"


@pytest.mark.timeout(120)
def test_answered_rows_are_judged_in_the_order_of_the_run_and_unused_ones_are_not(rig: JudgeRig) -> None:
    rig.configure(policy_for(batch_size=2, answer="kept"))
    rows = rig.keep(0, 12)
    reasons = {rows[2].id: "cut_output", rows[5].id: "empty_output"}
    even, odd = rows[::2], rows[1::2]
    rig.answer([*even, *odd[:2], odd[0]], reasons)  # with a repeat; the odd cluster's answerer is behind
    options = JudgeOptions(run=rig.run, recorded=recorded(rig), until_end=True)
    assert rig.judge(options).judged == 4
    assert [event.kept_id for event in rig.judged()] == [rows[number].id for number in (0, 1, 3, 4)]
    assert report(KafkaSource(rig.settings, rig.run)).judged[0].unjudged == 7, "without the unused one"
    rig.answer(odd[2:], reasons)
    assert rig.judge(options).judged == 6
    used = [row.id for row in rows if row.id not in reasons]
    assert [event.kept_id for event in rig.judged()] == used
    in_order = rows_in_order(KafkaSource(rig.settings, rig.run), policy_for(answer="kept"))
    assert [row.output for row in in_order.take(100)] == [f"Answer of {n}." for n in range(12) if n not in (2, 5)]
    assert in_order.total == 10
    in_order.close()


@pytest.mark.timeout(120)
def test_a_judge_goes_on_from_a_snapshot_after_the_rows_that_it_has_done(
    rig: JudgeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.snapshots.files._EVERY", 1)
    monkeypatch.setattr("producers.judge.scoring.READ_ROWS", 5)
    rig.configure()
    rows = rig.keep(0, 40)
    options = JudgeOptions(run=rig.run, recorded=recorded(rig), until_end=True)
    begun_at: list[int] = []

    def judge_from(options: JudgeOptions) -> int:
        processed: list[int] = []
        judged = judge(options, rig.settings, on_rows=lambda done, _: processed.append(done)).judged
        begun_at.append(processed[0] if processed else -1)
        return judged

    first = judge_from(replace(options, limits=Limits(max_calls=25)))
    (file,) = (rig.settings.state_dir / rig.run).glob("judge-*.snapshot")
    assert 15 < first < 25
    second = judge_from(options)
    file.write_bytes(file.read_bytes()[:-1])
    third = judge_from(options)
    assert (first + second, third) == (40, 0)
    assert begun_at[0] == 1
    assert first - 5 <= begun_at[1] <= first + 1, "rows that were done are not read again"
    assert begun_at[2] == 1, "a damaged snapshot is as if there were none"
    assert [event.kept_id for event in rig.judged()] == [row.id for row in rows]
