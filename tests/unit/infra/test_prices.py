"""Whose price a call has, how old it is, and what it makes of a usage."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.prices import STALE_AFTER_DAYS, Prices, price_lists, prices_in_use
from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.events import Usage

MINI = "gpt-4o-mini"


@pytest.fixture(autouse=True)
def no_other_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def settings(model: str = MINI, **values: Any) -> Settings:
    return Settings(**{"backend": "openai", "model": model, **values})


def test_cached_prompt_tokens_have_their_own_price_or_else_the_full_one() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400)
    assert Prices(1.0, 2.0, cached=0.25).cost(usage) == pytest.approx((600 * 1.0 + 400 * 0.25 + 100 * 2.0) / 1e6)
    assert Prices(1.0, 2.0).cost(usage) == Prices(1.0, 2.0).cost(Usage(prompt_tokens=1000, completion_tokens=100))
    assert Prices(1.0, 2.0, batch=Prices(0.5, 1.0)).in_batches.cost(usage) == pytest.approx(600e-6)
    assert Prices(1.0, 2.0).in_batches.cost(usage) == pytest.approx(1200e-6), "never too low"


@pytest.mark.parametrize("model", [MINI, f"{MINI}-2024-07-18", f"{MINI}-20240718"])
def test_a_name_matches_exactly_or_with_a_whole_date_after_it(model: str) -> None:
    found = prices_in_use(settings(model))
    assert (found.origin, found.matched, found.prompt, found.cached, found.completion) == (
        *("table", MINI),
        *(0.15, 0.075, 0.6),
    )
    assert found.as_of is not None and "as of 20" in found.described()


@pytest.mark.parametrize(
    "model", ["gpt-4o-mini-0718", "gpt-4o-mini-audio-preview", "ft:gpt-4o-mini", "gpt-4o-2024-07-18-mini", ""]
)
def test_no_name_is_guessed(model: str) -> None:
    found = prices_in_use(settings(model or "x"))
    assert (found.origin, found.known, found.prices.known) == (None, False, False)
    assert "SEDI_PRICES_FILE" in found.described()


def test_a_dated_model_with_a_price_of_its_own_has_that() -> None:
    assert prices_in_use(settings("gpt-4o-2024-05-13")).prompt == 5.0
    assert prices_in_use(settings("gpt-4o-2024-08-06")).prompt == 2.5


def test_a_vendors_price_is_for_its_own_endpoint_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prices_in_use(settings(base_url="https://api.openai.com/v1")).known
    for url in ("http://127.0.0.1:4000/v1", "https://openrouter.ai/api/v1", "https://api.openai.com.example/v1"):
        assert not prices_in_use(settings(base_url=url)).known
    assert not prices_in_use(settings("claude-haiku-4-5")).known
    assert prices_in_use(settings("claude-haiku-4-5", base_url="https://api.anthropic.com/v1")).prompt == 1.0
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:4000/v1")
    assert not prices_in_use(settings()).known, "the client follows that variable"


@pytest.mark.parametrize("backend", ["builtin", "transformers", "recorded", "load-model"])
def test_a_local_backend_has_a_price_only_from_the_settings(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(f'[mine.models]\n"{MINI}" = {{ prompt = 1, completion = 2 }}\n')
    assert not prices_in_use(settings(backend=backend, prices_file=file)).known
    one = {"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 2.0}
    assert prices_in_use(settings(backend=backend, **one)).prices == Prices(1.0, 2.0)


def test_the_settings_win_over_the_users_file_and_that_over_the_table(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        '[mine]\nas_of = 2026-11-01\n[mine.models]\n"tiny" = { prompt = 1, completion = 2, batch_prompt = 0.5, '
        f'batch_completion = 1 }}\n"{MINI}" = {{ prompt = 9, cached = 1, completion = 9 }}\n'
        '[local]\nhosts = ["127.0.0.1"]\n[local.models]\n"tiny" = { prompt = 0, completion = 0 }\n'
    )
    assert prices_in_use(settings(prices_file=file)).prices == Prices(9.0, 9.0, 1.0)
    assert prices_in_use(settings("tiny", prices_file=file)).prices == Prices(1.0, 2.0, None, Prices(0.5, 1.0))
    there = settings("tiny", prices_file=file, base_url="http://127.0.0.1:8000/v1")
    assert prices_in_use(there).prices == Prices(0.0, 0.0), "a list for the host comes first"
    assert prices_in_use(settings("gpt-4.1", prices_file=file)).origin == "table"
    assert prices_in_use(settings(prices_file=file, usd_per_1m_cached_tokens=0.5)).prices == Prices(9.0, 9.0, 0.5)
    half = prices_in_use(settings(prices_file=file, usd_per_1m_prompt_tokens=3.0))
    assert (half.origin, half.known) == ("settings", False), "half a price is none, and no other is mixed in"
    assert prices_in_use(there, "other").known is False


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("[mine", "prices.toml"),
        ('[mine.models]\n"tiny" = { prompt = 1 }', "completion"),
        ('[mine.models]\n"tiny" = { prompt = -1, completion = 1 }', ">= 0"),
        ('[mine.models]\n"tiny" = { prompt = 1, completion = 1, chached = 1 }', "chached"),
        ('[mine.models]\n"tiny" = { prompt = 1, completion = 1, batch_prompt = 1 }', "batch_completion"),
    ],
)
def test_a_prices_file_that_cannot_be_read_is_named_with_the_fault(text: str | None, says: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as found:
        prices_in_use(settings(prices_file=file))
    assert str(file) in str(found.value)


def test_an_old_price_of_the_table_is_reported_and_the_users_own_never() -> None:
    found = prices_in_use(settings())
    assert found.as_of is not None
    last = found.as_of + timedelta(days=STALE_AFTER_DAYS)
    assert found.stale(last) is None
    assert f"{STALE_AFTER_DAYS + 1} days ago" in (found.stale(last + timedelta(days=1)) or "")
    own = prices_in_use(settings(usd_per_1m_prompt_tokens=1.0, usd_per_1m_completion_tokens=1.0))
    assert own.stale(date(2100, 1, 1)) is None


def test_the_programs_table_is_dated_and_no_discount_is_a_surcharge() -> None:
    lists = price_lists(Path("infra/prices.toml").resolve())
    assert len({host for each in lists.values() for host in each.hosts}) == len(lists)
    for each in lists.values():
        assert each.source and each.as_of is not None and each.as_of > date(2026, 1, 1)
        for price in each.models.values():
            assert 0 < price.prompt <= price.completion
            assert price.cached is None or price.cached < price.prompt
            assert price.batch_prompt is None or price.batch_prompt < price.prompt
            assert price.batch_completion is None or price.batch_completion < price.completion
