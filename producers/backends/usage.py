"""The tokens that an endpoint reports for a call, in the forms that are seen.

Gemini leaves reasoning tokens out of `completion_tokens`, or leaves that field out if there are no others. They are
what `total_tokens` has beyond both counts, and are paid for as tokens of the answer.

Prompt tokens in the cache are part of `prompt_tokens`, and reported in one of four places: in `prompt_tokens_details`
(OpenAI, vLLM, OpenRouter, Gemini, LiteLLM), as `prompt_cache_hit_tokens` (DeepSeek), as `cache_read_input_tokens` (of
Anthropic's models behind gateways), or as `cached_tokens` (Moonshot). The first that is a possible number counts.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.events import Usage

MOST_TOKENS = 10_000_000
"""Of a call; a higher count is wrong."""


def usage_in(reported: Any) -> Usage | None:
    """The tokens in an answer's `usage`; None if it reports none, or an impossible number.

    An impossible number of cached tokens, such as more than the prompt has, counts as not reported.
    """
    prompt, completion, total = (
        _count(_field(reported, name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if completion is None and _field(reported, "completion_tokens") is None and prompt is not None:
        completion = None if total is None or total < prompt else 0
    if prompt is None or completion is None:
        return None
    reasoning = max(0, (total or 0) - prompt - completion)
    cached = next((count for count in _cached(reported) if count <= prompt), None)
    return Usage(prompt_tokens=prompt, completion_tokens=completion + reasoning, cached_tokens=cached)


def _cached(reported: Any) -> Iterator[int]:
    """The counts of cached tokens in all their places."""
    places = (
        (_field(reported, "prompt_tokens_details"), "cached_tokens"),
        (reported, "prompt_cache_hit_tokens"),
        (reported, "cache_read_input_tokens"),
        (reported, "cached_tokens"),
    )
    for inside, name in places:
        count = _count(_field(inside, name))
        if count is not None:
            yield count


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _field(inside: Any, name: str) -> Any:
    """A field of a body or of a part of one, which the client leaves a dictionary where it does not know it."""
    return inside.get(name) if isinstance(inside, Mapping) else getattr(inside, name, None)
