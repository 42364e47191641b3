"""Log-probabilities of prompts in a completion endpoint's answer.

    "prompt_logprobs": [null, {"123": {"logprob": -1.5, "rank": 7, "decoded_token": " a"}}, …]       vLLM
    "logprobs": {"tokens": ["The", " a"], "token_logprobs": [null, -1.5], "text_offset": […], …}     echo

A prompt's first token has no probability. In the first form a token is its id, in the second its text. The segment is
the end of every prompt; where its number of tokens is not known, it is what the prompt without it does not have. All
prompts must end in the same tokens, and each of these must have a finite log-probability: else the answer is garbled,
since a wrong sum would choose a wrong candidate.
"""

from collections.abc import Mapping, Sequence
from math import fsum, isfinite
from typing import Any

from producers.backends.base import EndpointRefused, FailureKind, Transient

_ROUNDING = 1e-3  # by which a log-probability may exceed 0

ScoredToken = tuple[str, float | None]
"""A token's id or text, and its log-probability; None: it has none."""


def prompts_in(body: Any, number: int, generated: int) -> list[list[ScoredToken]]:
    """The tokens of `number` prompts, in the order that they were sent.

    body        the answer as JSON
    generated   tokens that were generated after each; an echo ends with them
    Raises EndpointRefused when the endpoint gives no log-probabilities of prompts, Transient for a garbled answer.
    """
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if (
        not isinstance(choices, list)
        or len(choices) != number
        or not all(isinstance(each, Mapping) for each in choices)
    ):
        raise _garbled(f"{len(choices) if isinstance(choices, list) else 'no'} choices for {number} prompts")
    ordered = {each.get("index", place): each for place, each in enumerate(choices)}
    if sorted(ordered, key=str) != sorted(range(number), key=str):
        raise _garbled("choices without their prompts' numbers")
    return [_tokens(ordered[place], generated) for place in range(number)]


def segment_values(
    prompts: Sequence[Sequence[ScoredToken]], bare: Sequence[ScoredToken] | None, tokens: int | None, most: int
) -> tuple[int, list[float]]:
    """How many of the segment's tokens are scored, and each prompt's sum over them.

    prompts   with the segment, the unconditional first
    bare      the unconditional prompt without the segment; None: `tokens` is known
    tokens    of the segment
    most      of these that count, from its beginning
    Raises Transient for a garbled answer.
    """
    if tokens is None:
        tokens = len(prompts[0]) - _common(bare or (), prompts[0])
    if not 0 < tokens < min(map(len, prompts)):
        raise _garbled(f"prompts that are too short for a segment of {tokens} tokens")
    segments = [prompt[len(prompt) - tokens :][:most] for prompt in prompts]
    names = [name for name, _ in segments[0]]
    if any([name for name, _ in segment] != names for segment in segments):
        raise _garbled("prompts that do not end in the same tokens")
    return len(names), [fsum(_valid(value) for _, value in segment) for segment in segments]


def _tokens(choice: Mapping[str, Any], generated: int) -> list[ScoredToken]:
    listed = choice.get("prompt_logprobs")
    echoed = choice.get("logprobs")
    if isinstance(listed, list):
        return [_of_entry(entry) for entry in listed]
    values = echoed.get("token_logprobs") if isinstance(echoed, Mapping) else None
    names = echoed.get("tokens") if isinstance(echoed, Mapping) else None
    if not isinstance(values, list) or not isinstance(names, list) or len(values) <= generated:
        raise EndpointRefused(
            "The scorer's endpoint gives no log-probabilities of prompts. vLLM does; for a server that echoes prompts "
            "set the scorer's form to `echo`. Or score with a local model (--scorer builtin)."
        )
    if len(values) != len(names):
        raise _garbled(f"{len(names)} tokens with {len(values)} log-probabilities")
    end = len(names) - generated
    return [(str(name), value) for name, value in zip(names[:end], values[:end], strict=True)]


def _of_entry(entry: Any) -> ScoredToken:
    """The prompt's own token stands first; likelier ones may follow."""
    if entry is None:
        return "", None
    if not isinstance(entry, Mapping) or not entry:
        raise _garbled("an entry of prompt_logprobs that is no token")
    token, found = next(iter(entry.items()))
    return str(token), found.get("logprob") if isinstance(found, Mapping) else found


def _common(first: Sequence[ScoredToken], second: Sequence[ScoredToken]) -> int:
    """Tokens at the beginning of both."""
    pairs = zip(first, second, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one[0] != other[0]), min(len(first), len(second)))


def _valid(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value > _ROUNDING:
        raise _garbled(f"a segment's token with the log-probability {value!r}")
    return float(value)


def _garbled(what: str) -> Transient:
    return Transient(f"The scorer's endpoint sent {what}.", kind=FailureKind.GARBLED)
