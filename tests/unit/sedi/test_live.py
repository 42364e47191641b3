"""The lines that a run is watched by."""

from collections.abc import Iterator

import msgspec
import pytest
from rich.console import Console

from consumers.folds.counts import AnsweredCounts
from sedi.dashboard import Dashboard
from sedi.live import LiveView, line
from sedi.run_progress import RunProgress
from sedi.status import status_tables
from tests.unit.sedi.test_stall import quiet_status

STATUS = quiet_status()


def progress(*, priced: bool = False, waited_s: float | None = None) -> RunProgress:
    return RunProgress(
        windows=1,
        windows_wanted=3,
        elapsed_s=61.0,
        phase="ending: waiting for the trainer to finish step 31",
        children={"trainer": "runs"},
        training="step 30 (epoch 1): loss 2",
        priced=priced,
        waited_s=waited_s,
    )


def rendered(*, priced: bool) -> str:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(Dashboard(STATUS, progress(priced=priced)))
        console.print(status_tables(STATUS, priced=priced))
    return shown.get()


def test_without_a_price_the_cost_is_unknown_from_the_first_line_on() -> None:
    assert "cost unknown |" in line(STATUS, progress())
    assert "$" not in rendered(priced=False)


def test_rows_that_wait_for_their_answer_are_shown_where_kept_ones_alone_are_answered() -> None:
    found = AnsweredCounts(used=3, waiting=2, unused={"cut_output": 1}, unused_total=1, usd_per_used=None)
    status = msgspec.structs.replace(STATUS, answered=found)

    assert ", answered 3, 2 waiting, 1 not used (cut_output 1)" in line(status, progress())
    assert "answered" not in line(STATUS, progress())


def test_with_a_price_nothing_spent_is_no_money() -> None:
    assert "cost $0.0000 |" in line(STATUS, progress(priced=True))
    assert rendered(priced=True).count("$0.0000") == 2


def test_what_was_answered_without_a_price_stays_unknown_when_there_is_one_now() -> None:
    calls = msgspec.structs.replace(STATUS.calls, answered=1)
    cost = msgspec.structs.replace(STATUS.cost, usd=None, answers_without=1)

    assert "cost unknown |" in line(msgspec.structs.replace(STATUS, calls=calls, cost=cost), progress(priced=True))


def test_whoever_is_waited_for_is_named_with_the_seconds_so_far() -> None:
    assert "waiting for the trainer to finish step 31, 14 s so far: " in line(STATUS, progress(waited_s=14.2))


@pytest.fixture
def closed_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Closed:
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stderr", Closed())
    yield


@pytest.mark.usefixtures("closed_terminal")
def test_a_closed_terminal_does_not_end_the_watching() -> None:
    with LiveView(Console(quiet=True)) as view:
        view.say("Ending in order")
        view.show(STATUS, progress())
