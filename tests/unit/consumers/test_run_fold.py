"""The fold of a run's log, and the tables that are read from it."""

import msgspec
import pytest
from rich.console import Console

from consumers.folds.recent_events import RecentEvents
from consumers.folds.run_fold import RunFold
from consumers.report import report_of
from consumers.seed_table import by_score, replacement_rows, seed_rows
from consumers.status import BrokerHealth, status_of
from infra.settings import Settings
from schemas.events import CallAnswered, GenerationHalted, InstructionsRejected, RunStarted, RunStopped, Usage
from schemas.seeds import SeedTask
from sedi.report import show_report, with_prices
from sedi.status import status_tables
from tests.unit.consumers.story import START_MS, Story, record, short_run

ANSWERS = BrokerHealth(healthy=True, bootstrap="127.0.0.1:1", brokers=1, detail="It answers.")


def folded(story: Story) -> RunFold:
    fold = RunFold(story.configured)
    for each in story.records():
        fold.apply(each)
    return fold


def test_the_report_of_a_short_run_has_every_number_of_it() -> None:
    report = msgspec.to_builtins(report_of(folded(short_run())))

    ended = {"answered": 3, "failed": 0, "failed_paid": 0, "perhaps_paid": 0, "lost": 0, "open": 0, "repeated": 0}
    assert report["calls"] == {"started": 3, **ended}
    assert report["tokens"] == {"prompt": 300, "cached": None, "completion": 30, "answers_without": 0}
    assert (report["cost"]["usd"], report["cost"]["usd_per_kept"]) == (1.5, 0.375)
    assert (report["steps"], report["windows"], report["epochs"], report["replacements"]) == (20, 2, 1, 1)
    assert (report["unparsed"], report["unparsed_total"]) == ({"no_output": 1}, 1)
    assert report["generations_with_replacement_seed"] == 1
    assert report["yield"] == 0.5
    assert "seeds" not in report


def test_generations_count_by_whether_training_had_changed_their_pool_and_by_whether_they_were_shown_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = Story()
    story.configure()
    for offset in range(3):
        story.generate(offset)
    story.replace(0, {})
    story.replace(1, {"seed-1": SeedTask(id="new-1", instruction="Task 0 of 0", output="done")})
    story.generate(3, commands_offset=0)
    story.generate(4, commands_offset=1)
    story.generate(5, ("new-1", "seed-0"), commands_offset=1)

    report = report_of(folded(story))

    assert (report.generations_after_replacement, report.generations_with_replacement_seed) == (2, 1)
    assert report.after_replacement_share == pytest.approx(2 / 6)
    assert report.with_replacement_seed_share == pytest.approx(1 / 6)
    show_report(report)
    assert "2 (33.3 %)" in capsys.readouterr().out


def test_the_report_of_a_run_that_has_not_begun_knows_no_yield_and_costs_nothing() -> None:
    story = Story()
    story.configure()

    report = report_of(folded(story))

    assert (report.kept_share, report.cost.usd, report.cost.usd_per_kept) == (None, 0.0, None)
    assert report.accounted
    assert report.clusters == (0, 0)


def test_records_that_cannot_be_read_are_counted_and_leave_no_gap() -> None:
    story = short_run()
    fold = folded(story)

    fold.apply(record("generated", 0, 3, START_MS, value=b"?"))
    story.reject(9, 3, {}, generated=0)
    fold.apply(list(story.records())[-1])
    report = report_of(fold)

    assert report.unreadable == {"generated": 1}
    assert report.filter_lag == 0
    assert report.accounted


def test_a_dead_letter_that_was_written_twice_is_one() -> None:
    fold = RunFold(Story().configured)
    for offset, of in enumerate((b"7", b"7", b"8")):
        headers = (("dlq_partition", b"0"), ("dlq_offset", of))
        fold.apply(record("generated.dlq", 0, offset, START_MS, value=b"?", headers=headers))

    assert report_of(fold).dead_letters == {"generated": 2}


def test_a_generator_that_halted_itself_is_told_of_once_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    story = short_run()
    halted = GenerationHalted(
        lane="main",
        reason="too little is kept",
        rule="min_yield",
        value=0.01,
        floor=0.05,
        generated_total=8,
        kept_total=4,
    )
    for _ in range(2):
        story.tell(halted, id="h", key="demo")
    fold = folded(story)
    report = report_of(fold)

    assert [(halt.lane, halt.reason) for halt in report.halts] == [("main", "too little is kept")]
    assert report.duplicates["run"] == 1
    show_report(report)
    Console().print(status_tables(status_of(fold, START_MS, ANSWERS)))
    assert capsys.readouterr().out.count("too little is kept") == 2


def test_a_run_that_was_started_again_is_not_stopped() -> None:
    story = Story()
    story.tell(RunStopped(reason="three windows"), id="a", key="demo")
    assert report_of(folded(story)).stopped == "three windows"

    story.tell(RunStarted(versions={"sedi": "0.1.0"}), id="b", key="demo")
    assert report_of(folded(story)).stopped is None


def test_the_seed_table_shows_the_new_seed_in_the_place_of_its_victim() -> None:
    rows = seed_rows(folded(short_run()))

    assert [row.id for row in rows] == ["seed-0", "new-1", "seed-2", "seed-3"]
    assert [row.score for row in rows] == [0.5, 1 / 3, 1.0, None], "what a rule rejected does not count"
    assert [row.since_offset for row in rows] == [-1, 1, -1, -1]
    assert [row.shown for row in rows] == [2, 1, 1, 0]
    assert [row.id for row in by_score(rows)] == ["new-1", "seed-0", "seed-2"]


def test_the_history_names_window_step_victim_and_its_score() -> None:
    (row,) = replacement_rows(folded(short_run()))

    assert (row.epoch, row.window, row.step, row.metric, row.value) == (1, 1, 15, "grad_norm", 3.5)
    assert (row.victim_id, row.victim_kept, row.victim_generated, row.victim_score) == ("seed-1", 2, 6, 1 / 3)
    assert (row.seed_id, row.commands_offset) == ("new-1", 1)


def test_the_status_tells_lag_balance_and_the_last_window() -> None:
    story = short_run()
    story.generate(3)
    fold = folded(story)

    status = status_of(fold, START_MS, ANSWERS)

    assert (status.lag.generations, status.lag.untrained) == (1, 3)
    assert (status.smallest, status.largest) == (2, 2)
    assert status.last_window is not None
    assert (status.last_window.window, status.last_window.step, status.last_window.outcome) == (1, 20, "replaced")
    assert status.lowest_seeds[0].id == "new-1"


def test_rates_are_of_the_last_minute_only() -> None:
    story = Story()
    for number in range(120):
        story.generate(number, count=2)
    now = [record.timestamp_ms for record in story.records()][-1]  # three a generation, a second after one another
    story.again(story.written[-1])

    rates = status_of(folded(story), now, ANSWERS).rates

    assert (rates.generations, rates.generated, rates.calls, rates.kept) == (20 / 60, 40 / 60, 20 / 60, 0.0)


def test_rates_hold_what_is_recent_and_no_more_in_any_order() -> None:
    ahead, recent = START_MS + 3_600_000, RecentEvents()
    late = InstructionsRejected(
        generation_id="", generated_offset=0, rejections=(), generated=0, kept=0, generated_total=0, kept_total=0
    )
    call = CallAnswered(
        request_id="r", attempt=1, model="m", raw="", finish_reason=None, usage=None, cost_usd=None, latency_s=1.0
    )
    for second in (*range(9_000, 0, -1), 9_001):
        recent.apply(call, START_MS + second * 10)
    recent.apply(late, ahead)  # another machine's clock

    assert recent.per_second("calls", START_MS + 90_010, START_MS) == 100.0
    assert recent.per_second("calls", ahead, START_MS) == 0.0
    assert sum(len(held) for held in recent._held.values()) <= 12_010


def test_rates_of_a_run_younger_than_a_minute_are_of_its_own_time() -> None:
    story = Story()
    story.generate(0, count=6)

    assert status_of(folded(story), START_MS + 3000, ANSWERS).rates.generated == 2.0


def test_the_cost_of_a_row_is_split_into_what_the_calls_were_for(capsys: pytest.CaptureFixture[str]) -> None:
    story = short_run()
    story.call(9)
    story.call(9, attempt=2)
    story.failure(9, attempt=2)
    story.call(9, attempt=3)
    usage = Usage(prompt_tokens=100, completion_tokens=10, cached_tokens=40)
    story.answer(9, attempt=3, usage=usage, cost=0.25)

    report = report_of(folded(story))

    assert report.rows == report.kept == 4
    assert {name: (cost.calls, cost.usd, cost.usd_per_row) for name, cost in report.spent.items()} == {
        "lists": (3, 1.5, 0.375),
        "unwritten": (1, 0.25, 0.0625),
        "failed": (1, 0.0, 0.0),
        "lost": (1, None, None),
    }
    total = report.spent_total
    assert (total.usd, total.tokens, total.cached_tokens) == (report.cost.usd, 440, 40) == (1.75, 440, 40)
    assert (total.calls_per_row, total.tokens_per_row, total.usd_per_row) == (1.25, 110.0, 0.4375)

    show_report(with_prices(report, Settings(backend="openai", model="gpt-4o-mini", base_url="http://127.0.0.1:1")))
    shown = " ".join(capsys.readouterr().out.split())
    assert "400 prompt (40 cached, 10.0 %), 40 completion" in shown
    assert "attempts that were lost, maybe paid for 1 unknown – unknown 0.25 – –" in shown
    assert "all but lost ones 5 440 40 $1.7500 1.25 110 $0.437500" in shown
    assert "a call costs now unknown" in shown
