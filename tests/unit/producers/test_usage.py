"""The tokens that an endpoint reports, in every form that is seen, and none that cannot be."""

from types import SimpleNamespace
from typing import Any

import pytest

from producers.backends.usage import MOST_TOKENS, usage_in
from schemas.events import Usage

COUNTED = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}


@pytest.mark.parametrize(
    ("more", "cached"),
    [
        ({}, None),
        ({"prompt_tokens_details": {"cached_tokens": 64}}, 64),
        ({"prompt_tokens_details": SimpleNamespace(cached_tokens=0)}, 0),
        ({"prompt_tokens_details": None}, None),
        ({"prompt_tokens_details": {"cached_tokens": None}}, None),
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),
        ({"cache_read_input_tokens": 100, "cache_creation_input_tokens": 0}, 100),
        ({"cached_tokens": 7}, 7),
        ({"prompt_tokens_details": {"cached_tokens": 5}, "prompt_cache_hit_tokens": 64}, 5),
        # what cannot be is not believed
        ({"prompt_tokens_details": {"cached_tokens": 101}}, None),
        ({"prompt_tokens_details": {"cached_tokens": 101}, "prompt_cache_hit_tokens": 64}, 64),
        ({"prompt_cache_hit_tokens": -1}, None),
        ({"cached_tokens": MOST_TOKENS + 1}, None),
        ({"cached_tokens": True}, None),
        ({"cached_tokens": "7"}, None),
        ({"cached_tokens": 7.0}, None),
        ({"prompt_tokens_details": [64]}, None),
    ],
)
def test_cached_tokens_are_read_wherever_they_are(more: dict[str, Any], cached: int | None) -> None:
    wanted = Usage(prompt_tokens=100, completion_tokens=9, cached_tokens=cached)
    assert usage_in({**COUNTED, **more}) == wanted
    assert usage_in(SimpleNamespace(**COUNTED, **more)) == wanted


def test_a_usage_without_its_counts_has_no_cached_tokens_either() -> None:
    assert usage_in({"cached_tokens": 7}) is None
    assert usage_in({**COUNTED, "prompt_tokens": -1, "cached_tokens": 7}) is None
