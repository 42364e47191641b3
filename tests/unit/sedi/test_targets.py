"""How far a run is: the share of each target, the rate of the last minutes, and the time that is left."""

from typing import Any

import msgspec
import pytest

from consumers.folds.verdicts import DecidedTotals, VerdictFold
from consumers.status import Status
from schemas.policy import policy_for
from sedi.amounts import duration, per_time, short
from sedi.run_options import RunOptions
from sedi.targets import Target, Targets
from tests.unit.sedi.test_stall import quiet_status


def verdicts(shares: list[float], each: int = 10) -> VerdictFold:
    """Generations of which such shares were kept."""
    fold, kept = VerdictFold(policy_for()), 0
    for number, share in enumerate(shares):
        kept += round(each * share)
        fold.totals[number] = DecidedTotals(each, round(each * share), each * (number + 1), kept, 0)
    return fold


class Run:
    """A run that is looked at each second."""

    def __init__(self, **options: Any) -> None:
        self.at = 0.0
        self.targets = Targets(RunOptions(**options), clock=lambda: self.at)
        self.status: Status = quiet_status()
        self.look()

    def look(self, seconds: float = 0.0, fold: VerdictFold | None = None, **change: Any) -> dict[str, Target]:
        self.at += seconds
        self.status = msgspec.structs.replace(self.status, **change)
        found = self.targets.see(self.status, self.at, fold or verdicts([]))
        return {target.unit: target for target in found}


def test_without_a_target_there_is_no_bar() -> None:
    assert Run().look(10, generated=10) == {}


def test_nothing_is_said_of_a_rate_before_there_is_one() -> None:
    run = Run(max_candidates=100)
    assert run.look(60)["generated"] == Target("generated", 0, 100, None, None)


def test_the_rate_is_that_of_the_last_minutes_and_not_of_the_pause_before() -> None:
    run = Run(max_candidates=1_000)
    run.look(1_000)
    found = {}
    for number in range(1, 11):
        found = run.look(10, generated=5 * number)
    assert found["generated"].per_s == pytest.approx(0.5)
    assert found["generated"].left_s == pytest.approx(950 / 0.5)
    assert run.look(10, generated=1_000)["generated"].left_s == 0.0


def test_windows_count_from_the_start_of_the_command_and_time_is_a_target_too() -> None:
    run = Run(windows=4, time_limit_s=100)
    run.targets.windows_before = 10
    run.look(0, windows=10)
    found = run.look(20, windows=12)
    assert (found["windows"].done, found["windows"].share) == (2, 0.5)
    assert found["s"] == Target("s", 20, 100, None, 80)


def test_the_time_until_so_many_are_kept_follows_the_yield_as_it_falls() -> None:
    steady, falling = verdicts([0.5] * 200), verdicts([0.9 - 0.7 * number / 200 for number in range(200)])

    def left(fold: VerdictFold) -> float:
        kept = fold.totals[199].kept_total
        run = Run(max_kept=2 * kept)
        run.look(0, fold, generated=0, kept=0)
        found = run.look(200, fold, generated=2_000, kept=kept)["kept"]
        assert found.per_s == pytest.approx(kept / 200) and found.left_s is not None
        return found.left_s / ((found.total - found.done) / found.per_s)

    assert left(steady) == pytest.approx(1.0, abs=0.15)
    assert left(falling) > 1.7


def test_an_estimate_is_counted_down_until_the_next_one() -> None:
    fold = verdicts([0.5] * 40)
    run = Run(max_kept=400)
    run.look(0, fold, generated=0)
    first = run.look(10, fold, generated=400, kept=200)["kept"].left_s
    assert first is not None
    second = run.look(1, fold, generated=440, kept=220)["kept"].left_s
    assert second == pytest.approx(first * (400 / 10) / (440 / 11) - 1, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5_990, "1 h 40 min"), (200_000, "2 d 7 h")]
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(250.0, "250/s"), (1.25, "1.2/s"), (0.5, "30.0/min"), (0.001, "3.6/h"), (12_345, "12k/s")]
)
def test_a_rate_is_said_in_the_unit_that_makes_it_no_small_number(per_s: float, text: str) -> None:
    assert per_time(per_s) == text


def test_a_large_count_is_short() -> None:
    assert [short(n) for n in (0, 9_999, 12_345, 9_940_000, 999_600)] == ["0", "9999", "12k", "9.9M", "1.0M"]
