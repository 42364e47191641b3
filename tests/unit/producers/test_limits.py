"""Limits belong to the run and are decided from its log; backpressure never deadlocks."""

from datetime import date

import pytest

from infra.settings import Settings
from producers.backends.base import Message, Request, Sampling
from producers.backends.openai import OpenAIBackend
from producers.calls.caller import backend_prices
from producers.calls.cost import PlannedCall, Prices, WorstCase, larger, worst_case
from producers.calls.limits import AHEAD_WINDOWS, Limits
from producers.calls.spending_check import check_spending
from producers.generate.progress import LaneProgress
from schemas.errors import ConfigurationError
from schemas.policy import Policy, policy_for
from streams.core.evaluation.lanes import evaluation_lane
from streams.core.preview import preview_lane
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_progress import rejected, started, write


def progress(**state: object) -> LaneProgress:
    made = LaneProgress("main", configured())
    for name, value in state.items():
        setattr(made, name, value)
    return made


def spent(usd: float, unknown: int = 0) -> LaneProgress:
    made = progress()
    made.ledger.known_cost_usd, made.ledger.without_cost = usd, unknown
    return made


def test_without_limits_nothing_is_reached() -> None:
    assert Limits().reached(spent(1e9)) is None
    assert Limits().generation_limit(progress(generations=10**9), 10**9) is None
    assert Limits().waits_for(progress(generated_end=10**9), None, 17) is None


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


def test_a_call_that_was_perhaps_paid_for_counts_at_its_worst_and_does_not_end_generation() -> None:
    made = spent(0.5)
    made.ledger.perhaps_paid = 2
    call = WorstCase(100, 0.125)
    lost = PlannedCall(call, retry=False, in_flight=(), starting=(), largest=WorstCase(100, 0.25))
    assert Limits(max_usd=1.125).reached(made) is None
    assert Limits(max_usd=1.125).may_call(made, lost) is None
    assert "0.5 may be in flight" in str(Limits(max_usd=1.1).may_call(made, lost))


def test_a_limit_on_spending_needs_prices() -> None:
    with pytest.raises(ConfigurationError, match="SEDI_USD_PER_1M_PROMPT_TOKENS"):
        Limits(max_usd=1.0).check(Policy(), priced=False)
    Limits(max_usd=1.0).check(Policy(), priced=True)


def test_generations_are_limited_over_all_lanes() -> None:
    # Of ten generations on the log four are this lane's; it has begun six.
    made = progress(generations=10, next_number=4)
    assert Limits(max_generations=13).generation_limit(made, 6) is None
    assert "--max-generations 12" in str(Limits(max_generations=12).generation_limit(made, 6))


def test_a_filter_that_is_behind_is_waited_for() -> None:
    assert Limits(max_filter_lag=2).waits_for(progress(generated_end=3, decided_offset=0), None, 17) is None
    assert Limits(max_filter_lag=2).waits_for(progress(generated_end=4, decided_offset=0), None, 17) == "filter"


def test_a_trainer_that_is_behind_is_waited_for() -> None:
    assert Limits(max_ahead=6).waits_for(progress(), 6, 17) is None
    assert Limits(max_ahead=5).waits_for(progress(), 6, 17) == "trainer"
    assert Limits().waits_for(progress(), 10**9, 17) is None


def test_what_is_written_and_not_decided_counts_as_ahead_of_the_trainer_at_what_is_kept_on_average() -> None:
    made = progress(generated_end=2)
    assert Limits(max_ahead=74).waits_for(made, 40, 17) is None
    assert Limits(max_ahead=73).waits_for(made, 40, 17) == "filter", "two times 17 may be kept"
    for offset in range(21):
        made.rolling.decide(rejected(offset, kept_total=5 * offset))
    assert Limits(max_ahead=50).waits_for(made, 40, 17) is None
    assert Limits(max_ahead=49).waits_for(made, 40, 17) == "filter"


def test_a_trainer_must_be_able_to_log_its_progress() -> None:
    with pytest.raises(ConfigurationError, match="Give 160 or more, or `none`"):
        Limits(max_ahead=159).check(Policy(), priced=False)
    Limits(max_ahead=160).check(Policy(), priced=False)


def test_the_loop_is_closed_at_two_windows_where_training_feeds_back_and_nobody_says_otherwise() -> None:
    assert Limits().with_training_limit(Policy(), AHEAD_WINDOWS).max_ahead == 320
    assert Limits().with_training_limit(policy_for(clusters=4, batch_size=8, window_steps=5), 2).max_ahead == 80
    assert Limits(max_ahead=160).with_training_limit(Policy(), AHEAD_WINDOWS).max_ahead == 160
    assert Limits().with_training_limit(Policy(), None).max_ahead is None
    assert Limits().with_training_limit(policy_for("self-instruct"), AHEAD_WINDOWS).max_ahead is None


CALL = WorstCase(100, 0.01)


def planned(in_flight: int = 0, starting: int = 0, *, retry: bool = False) -> PlannedCall:
    return PlannedCall(CALL, retry, [CALL] * in_flight, [CALL] * starting, CALL)


def seen(*lanes: str) -> LaneProgress:
    """A run in which each of these lanes has one open call."""
    log = MemoryLog()
    for lane in lanes:
        write(log, started(0, lane=lane))
    return log.refresh(progress())


def test_a_call_is_made_when_its_worst_case_fits_beside_what_was_spent_and_what_is_under_way() -> None:
    limits, made = Limits(max_usd=1.0), spent(0.97)
    assert limits.may_call(made, planned()) is None
    made.ledger.lanes, made.ledger.open = seen("main").ledger.lanes, 2
    assert limits.may_call(made, planned(in_flight=2)) is None
    assert "0.97 are used, 0.03 may be in flight" in str(limits.may_call(made, planned(in_flight=3)))
    made.ledger.open = 1
    assert limits.may_call(made, planned(in_flight=1, starting=1)) is None
    made.ledger.open = 2
    assert limits.may_call(made, planned(in_flight=2, starting=1)) is not None
    assert Limits(max_usd=1.02).may_call(made, planned(in_flight=2, starting=1)) is None


def test_what_was_lost_or_is_under_way_elsewhere_is_taken_at_its_worst() -> None:
    made = progress()
    made.ledger.prompt_tokens, made.ledger.lost, made.ledger.open = 700, 1, 1
    assert Limits(max_tokens=1_000).may_call(made, planned()) is None
    assert Limits(max_tokens=999).may_call(made, planned()) is not None
    assert Limits(max_tokens=999).may_call(made, planned(in_flight=1)) is not None, "one of them is ours"


def test_what_failed_and_will_be_attempted_again_is_kept_for_it() -> None:
    made = progress()
    made.ledger.started, made.ledger.retrying = 8, 2
    assert Limits(max_calls=10).may_call(made, planned()) is not None
    assert Limits(max_calls=10).may_call(made, planned(retry=True)) is None
    assert Limits(max_calls=11).may_call(made, planned()) is None


def test_the_first_call_of_a_lane_goes_alone_and_near_a_limit_each_does_while_there_are_others() -> None:
    limits = Limits(max_calls=100)
    assert limits.may_call(seen("other"), planned()) is None
    assert "goes alone" in str(limits.may_call(seen("other"), planned(starting=1)))
    assert limits.may_call(seen("main"), planned(in_flight=1, starting=90)) is None
    assert "one by one" in str(limits.may_call(seen("main", "other"), planned(in_flight=1, starting=1)))
    assert Limits(max_calls=1_000).may_call(seen("main", "other"), planned(in_flight=1, starting=1)) is None


def test_without_limits_any_number_of_calls_goes_together() -> None:
    assert Limits().may_call(seen("other"), planned(starting=200)) is None


def test_a_call_of_which_the_worst_case_is_not_known_fits_no_budget() -> None:
    request = Request(messages=(Message("user", "Hello?"),))
    unknown = worst_case(request, Prices(1.0, 1.0))
    assert unknown == WorstCase(None, None)
    assert Limits(max_tokens=10**9).may_call(progress(), PlannedCall(unknown, False, (), (), unknown)) is not None
    assert larger(CALL, unknown) == unknown


def test_the_worst_case_is_the_prompt_and_as_many_tokens_as_the_answer_may_have() -> None:
    request = Request(messages=(Message("user", "x" * 300),), sampling=Sampling(max_tokens=50))
    assert worst_case(request, Prices()) == WorstCase(158, None)
    assert worst_case(request, Prices(1.0, 2.0)).usd == pytest.approx(208e-6)


def test_tokens_are_limited_and_unknown_ones_end_generation() -> None:
    made = progress()
    made.ledger.prompt_tokens, made.ledger.completion_tokens = 60, 40
    assert Limits(max_tokens=101).reached(made) is None
    assert "--max-tokens 100" in str(Limits(max_tokens=100).reached(made))
    made.ledger.without_usage = 1
    assert "cannot be held" in str(Limits(max_tokens=101).reached(made))


def test_no_generation_begins_that_could_bring_more_candidates_than_are_wanted() -> None:
    made = progress(candidates=80, next_number=4)
    limits = Limits(max_candidates=100)
    assert limits.generation_limit(made, 4, 20) is None
    assert "--max-candidates 100" in str(limits.generation_limit(made, 4, 21))
    assert limits.generation_limit(made, 5, 20) is not None, "one is under way"
    assert limits.generation_limit(made, 5, 10) is None
    assert limits.generation_limit(seen("other"), 0, 60) is not None, "and one elsewhere"


@pytest.mark.parametrize(
    "lane", ["judge/quality/1/m", evaluation_lane("answers", ("m", "s")), preview_lane(("two-step", "m"))]
)
def test_open_calls_of_judges_and_evaluations_are_no_candidates_under_way(lane: str) -> None:
    log = MemoryLog()
    write(log, started(0, lane=lane))
    made = log.refresh(LaneProgress("main", configured()))
    assert made.ledger.open == 1
    assert Limits(max_candidates=17).generation_limit(made, 0, 17) is None


def test_whoever_spends_is_told_of_an_old_price_before_the_first_call() -> None:
    said: list[str] = []
    settings = Settings(backend="openai", model="gpt-4o-mini", base_url="https://api.openai.com/v1")
    check_spending(Limits(max_usd=1.0), Policy(), settings, said.append, today=lambda: date(2026, 8, 1))
    assert said == [], "the table's price is enough for a budget, and recent"
    check_spending(Limits(), Policy(), settings, said.append, today=lambda: date(2028, 8, 1))
    assert len(said) == 1 and "SEDI_PRICES_FILE" in said[0]
    with pytest.raises(ConfigurationError, match="SEDI_PRICES_FILE"):
        check_spending(Limits(max_usd=1.0), Policy(), Settings(), said.append)


def test_another_model_of_a_lane_has_its_own_price() -> None:
    settings = Settings(backend="openai", model="gpt-4o-mini")
    at = "https://api.openai.com/v1"
    scorer = OpenAIBackend(model="gpt-4.1", base_url=at, api_key="k")
    assert backend_prices(settings, scorer).prompt == 2.0
    elsewhere = OpenAIBackend(model="gpt-4.1", base_url="http://127.0.0.1:9/v1")
    assert not backend_prices(settings, elsewhere).known
    fixed = settings.model_copy(update={"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 2.0})
    assert backend_prices(fixed, elsewhere) == Prices(1.0, 2.0)
