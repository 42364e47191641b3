"""Limits are of the run and decided from its log; back-pressure never waits for one who waits for us."""

import pytest

from producers.limits import Limits, ahead
from producers.progress import Progress
from schemas.errors import ConfigurationError
from schemas.policy import Policy
from tests.unit.producers.memory_log import configured


def progress(**state: object) -> Progress:
    made = Progress("main", configured())
    for name, value in state.items():
        setattr(made, name, value)
    return made


def spent(usd: float, unknown: int = 0) -> Progress:
    made = progress()
    made.ledger.known_cost_usd, made.ledger.without_cost = usd, unknown
    return made


def test_without_limits_nothing_is_reached() -> None:
    assert Limits().reached(spent(1e9)) is None
    assert Limits().complete(progress(generations=10**9), 10**9) is None
    assert Limits().wait(progress(generated_end=10**9), None) is None


def test_kept_instructions_are_limited() -> None:
    assert Limits(max_kept=10).reached(progress(kept_total=9)) is None
    assert Limits(max_kept=10).reached(progress(kept_total=10)) == "10 instructions are kept (--max-kept 10)"


def test_calls_are_limited_whatever_became_of_them() -> None:
    made = progress()
    made.ledger.started = 5
    assert Limits(max_calls=6).reached(made) is None
    assert "--max-calls 5" in str(Limits(max_calls=5).reached(made))


def test_spending_is_limited() -> None:
    assert Limits(max_usd=1.0).reached(spent(0.99)) is None
    assert "--max-usd 1.0" in str(Limits(max_usd=1.0).reached(spent(1.0)))


def test_spending_that_is_not_known_ends_generation_rather_than_the_limit() -> None:
    assert "cannot be held" in str(Limits(max_usd=1.0).reached(spent(0.1, unknown=1)))


def test_a_limit_on_spending_needs_prices() -> None:
    with pytest.raises(ConfigurationError, match="SEDI_USD_PER_1M_PROMPT_TOKENS"):
        Limits(max_usd=1.0).check(Policy(), priced=False)
    Limits(max_usd=1.0).check(Policy(), priced=True)


def test_generations_are_limited_over_all_lanes() -> None:
    # Of ten generations on the log four are this lane's; it has begun six.
    made = progress(generations=10, next_number=4)
    assert Limits(max_generations=13).complete(made, 6) is None
    assert "--max-generations 12" in str(Limits(max_generations=12).complete(made, 6))


def test_a_filter_that_is_behind_is_waited_for() -> None:
    assert Limits(max_filter_lag=2).wait(progress(generated_end=3, decided_offset=0), None) is None
    assert Limits(max_filter_lag=2).wait(progress(generated_end=4, decided_offset=0), None) == "filter"


def test_a_trainer_that_is_behind_is_waited_for() -> None:
    made = progress(trained={0: 1, 1: 1})
    assert ahead(made, {0: 5, 1: 4}) == 6
    assert Limits(max_ahead=6).wait(made, {0: 5, 1: 4}) is None
    assert Limits(max_ahead=5).wait(made, {0: 5, 1: 4}) == "trainer"


def test_rows_that_the_trainer_cannot_use_yet_are_not_waited_for() -> None:
    assert ahead(progress(), {0: 1000, 1: 0}) == 0


def test_rows_that_were_borrowed_from_a_cluster_do_not_count_below_none() -> None:
    assert ahead(progress(trained={0: 9}), {0: 5, 1: 3}) == 0


def test_a_trainer_must_be_able_to_tell_of_its_progress() -> None:
    with pytest.raises(ConfigurationError, match="Give 160 or more"):
        Limits(max_ahead=159).check(Policy(), priced=False)
    Limits(max_ahead=160).check(Policy(), priced=False)
