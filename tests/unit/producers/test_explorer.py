"""The explorer finds the number of calls in flight that pays off, within a tenth of the best throughput."""

import heapq
import random

import pytest

from infra.settings import Settings
from producers.backends.base import Answer, Transient
from producers.calls.call_meter import CallStart
from producers.calls.explorer import Explorer
from producers.calls.found_concurrency import explores, keep_found, rate_control_for
from producers.calls.rate_control import RateOptions
from schemas.events import Usage


def served(
    slots: int,
    calls: int,
    explorer: Explorer | None = None,
    fixed: int = 1,
    *,
    tokens: bool = True,
    spread: float = 0.5,
    at: float = 0.0,
    silent: float = 0.0,
    loading: float = 0.0,
    gap: float = 0.01,
    rng: int = 0,
) -> float:
    """Answers a second of a made-up server that works on so many calls at once, each for about two seconds.

    silent    share of answers that do not report their tokens
    loading   seconds until it serves
    gap       seconds between an answer and the next call
    """
    draw = random.Random(100 * rng + slots)
    free = [at + loading] * slots
    flying: list[tuple[float, int, float, CallStart | None]] = []
    now, begun, done = at, 0, 0
    while done < calls:
        while len(flying) < (explorer.level if explorer else fixed) and begun < calls:
            begun += 1
            work = draw.uniform(1 - spread, 1 + spread)
            end = max(now + gap, heapq.heappop(free)) + 2.0 * work
            heapq.heappush(free, end)
            heapq.heappush(flying, (end, begun, work, explorer.begun(now) if explorer else None))
        now, _, work, start = heapq.heappop(flying)
        done += 1
        if explorer and start:
            reported = tokens and draw.random() >= silent
            explorer.answered(start, now, int(100 * work) if reported else None)
    return done / (now - at)


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize("slots", [1, 2, 4, 8, 16, 32, 64])
def test_it_comes_within_a_tenth_of_the_best_number_and_floods_nobody(slots: int, tokens: bool) -> None:
    best = max(served(slots, 4000, fixed=fixed) for fixed in (1, 2, 4, 8, 16, 32, 64))
    explorer = Explorer(most=64)
    assert served(slots, 4000, explorer, tokens=tokens) > 0.9 * best
    assert explorer.settled is not None and slots / 2 <= explorer.settled <= 4 * slots


@pytest.mark.parametrize("slots", [1, 8, 64])
def test_the_first_sixty_answers_of_a_slot_and_the_next_start_come_within_a_tenth_of_the_best(slots: int) -> None:
    """Answers come in waves, as a server gives them that works in batches; the search is counted, and a gap of 8 % of a
    call's time before each call."""
    minute = 60 * slots
    best = max(served(slots, minute, fixed=fixed, spread=0.0, gap=0.16) for fixed in (1, 8, 64))
    explorer = Explorer(most=64)
    assert served(slots, minute, explorer, spread=0.0, gap=0.16) > 0.92 * best
    assert explorer.settled is not None
    again = Explorer(most=64, level=explorer.settled, known=True)
    assert served(slots, minute, again, spread=0.0, gap=0.16) > 0.92 * best


def test_a_server_that_serves_64_is_full_after_three_calls_time() -> None:
    explorer = Explorer(most=64)
    served(64, 8 + 16, explorer, spread=0.1)
    assert (explorer.level, list(explorer.rates)) == (64, [8, 16])


@pytest.mark.parametrize("slots", [1, 8, 64])
def test_a_server_that_loads_its_model_first_is_measured_again(slots: int) -> None:
    """The first answers make it look slow, and all numbers of calls equally good."""
    explorer = Explorer(most=64)
    served(slots, max(60 * slots, 200), explorer, loading=40.0, spread=0.2)
    assert explorer.settled is not None and slots <= explorer.settled <= 1.5 * slots
    assert max(explorer.rates) <= max(16, 2.5 * slots)


def test_answers_of_very_different_lengths_are_found_out_mostly_though_none_reports_its_tokens() -> None:
    share = [served(64, 1500, Explorer(64), tokens=False, spread=0.98, rng=rng) / 32.0 for rng in range(10)]
    assert sorted(share)[2] > 0.6


@pytest.mark.parametrize("silent", [0.02, 0.2])
def test_answers_that_now_and_then_do_not_report_their_tokens_do_not_mislead_it(silent: float) -> None:
    explorer = Explorer(most=64)
    served(64, 4000, explorer, silent=silent)
    assert explorer.settled in (32, 64)


def test_a_server_that_serves_one_at_a_time_never_has_a_longer_queue_than_at_first() -> None:
    explorer = Explorer(most=64)
    served(1, 100, explorer)
    assert set(explorer.rates) == {1, 8} and explorer.settled == 1


def test_the_growing_ends_where_the_endpoint_is_busy_and_is_tried_again_later() -> None:
    messages: list[str] = []
    explorer = Explorer(most=64, notify=messages.append)
    served(64, 8, explorer)
    assert explorer.level == 16
    explorer.busy()
    assert explorer.level == explorer.settled == 8
    explorer.busy()
    assert explorer.level == 8
    served(64, 12 * 24 + 40, explorer, at=1000.0)
    assert explorer.level > 8, "others may have left room meanwhile"
    assert messages[0].startswith("8 calls in flight give ") and messages[1].startswith("Keeping 8 calls in flight")


def test_a_number_that_was_given_is_no_matter_of_finding_out(tmp_path) -> None:  # type: ignore[no-untyped-def]
    endpoint = Settings(backend="openai", model="m", base_url="http://user:secret@127.0.0.1:1/v1", state_dir=tmp_path)
    assert explores(endpoint, None) and not explores(endpoint, 4)
    assert not explores(Settings(backend="builtin", state_dir=tmp_path), None)
    assert rate_control_for(endpoint, RateOptions(), 4, lambda _: None).concurrency.limit == 4


def test_what_was_found_is_kept_for_the_next_start_of_the_same_model_and_endpoint(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = Settings(backend="openai", model="m", base_url="http://user:secret@127.0.0.1:1/v1", state_dir=tmp_path)
    rate = rate_control_for(settings, RateOptions(), None, lambda _: None)
    keep_found(settings, rate)
    assert not (tmp_path / "pace.json").exists(), "nothing was found yet"
    assert rate.explorer is not None
    served(2, 400, rate.explorer)
    keep_found(settings, rate)
    messages: list[str] = []
    again = rate_control_for(settings, RateOptions(), None, messages.append)
    assert again.concurrency.limit == rate.explorer.settled and "as was found before" in messages[0]
    assert "secret" not in (tmp_path / "pace.json").read_text()
    other = settings.model_copy(update={"model": "other"})
    assert rate_control_for(other, RateOptions(), None, messages.append).concurrency.limit == 8
    (tmp_path / "pace.json").write_text("no JSON")
    assert rate_control_for(settings, RateOptions(), None, messages.append).concurrency.limit == 8


def test_the_pace_lets_in_what_the_explorer_says(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = Settings(backend="openai", model="m", base_url="http://127.0.0.1:1/v1", state_dir=tmp_path)
    rate = rate_control_for(settings, RateOptions(), None, lambda _: None)
    answer = Answer("Hi.", "stop", Usage(prompt_tokens=7, completion_tokens=3), "m", 0.1)
    for now in (0.0, 1.0):
        tickets = []
        while rate.wait_s(1, now) == 0.0:
            tickets.append(rate.begin(1, now))
        for ticket in tickets:
            rate.end(ticket, answer, now + 1.0)
    assert rate.concurrency.limit == 64
    rate.end(rate.begin(1, 3.0), Transient("busy", status=429), 4.0)
    assert rate.concurrency.limit == 16, "what was measured last"
