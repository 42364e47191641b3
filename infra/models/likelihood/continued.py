"""Log-likelihoods of one continuation after many prompts, in steps of which each goes on where the last one ended.

    beginning ── rest of a prompt ── continuation      computed in one row: a token sees those before it in its own
              ├─ rest of a prompt ── continuation      branch, and the beginning
              └─ rest of a prompt ── continuation

No token is computed twice. The beginning that all prompts share is kept for the next continuation: with a chat
template it is the same every time. A step that needs more of the continuation uses the keys and values of the earlier
ones. Rows have no padding, and what is in one depends on the prompts and the continuation alone.

Models that attend to a window, or do not compute a branch as they compute it alone (tried once), cannot be used:
`usable`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any

from infra.models import memory
from infra.models.likelihood.encoded import EncodedQuestion
from infra.models.likelihood.engine import CLOSE, LikelihoodEngine

ROW_TOKENS = {"cpu": 256, "cuda": 4096}
"""Tokens of a row, unless one branch alone has more: attention within a row grows with its square."""

_BEGINNING = tuple(range(105, 115))
_TRIAL = [(*_BEGINNING, *rest) for rest in (range(115, 125), (130, 131), (140,))], (107, 109, 111, 113)

Layers = tuple[tuple[Any, Any], ...]
"""Keys and values of a model's layers, each [1, heads, tokens, head size]."""


@dataclass
class _Branch:
    """One prompt and what was computed of it.

    tokens    of the prompt behind the beginning, then the continuation
    prompt    how many of these are the prompt's
    states    of the first `computed` tokens, in parts
    values    log-likelihoods of the continuation's first tokens
    """

    tokens: tuple[int, ...]
    prompt: int
    computed: int = 0
    states: list[Layers] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def missing(self, tokens: int) -> int:
        """Tokens to compute before so many of the continuation have a value."""
        return self.prompt + tokens - 1 - self.computed


class ContinuationEngine:
    """Computes on a loaded model. One thread at a time."""

    def __init__(self, engine: LikelihoodEngine) -> None:
        self.engine = engine
        self._beginning: tuple[tuple[int, ...], Layers] = ((), ())
        self.usable = engine.shares and self._agrees()

    def begin(self, prompts: Sequence[tuple[int, ...]], continuation: tuple[int, ...]) -> "Continuation":
        """Nothing of it is computed yet but the beginning. Prompt and continuation must fit into the context."""
        return Continuation(self, prompts, continuation)

    def advance(self, shared: tuple[int, ...], branches: Sequence[_Branch], tokens: int) -> None:
        """Compute branches up to `tokens` of the continuation. Raises TrainerError as `LikelihoodEngine.measure`."""
        if shared != self._beginning[0]:
            layers = self._computed(shared, (), (), None, ())[1] if shared else ()
            self._beginning = shared, layers
        for row in _rows(branches, tokens, ROW_TOKENS[self.engine.device]):
            self._row(len(shared), row, tokens)

    def _row(self, shared: int, row: Sequence[_Branch], tokens: int) -> None:
        import torch

        lengths = [branch.missing(tokens) for branch in row]
        inputs: list[int] = []
        wanted: list[tuple[int, int]] = []
        owners, places = [-1] * shared, list(range(shared))
        past = [self._beginning[1]] if shared else []
        for number, branch in enumerate(row):
            past.extend(branch.states)
            owners.extend([number] * branch.computed)
            places.extend(range(shared, shared + branch.computed))
        before = len(owners)
        for number, (branch, length) in enumerate(zip(row, lengths, strict=True)):
            read = range(branch.prompt + len(branch.values), branch.prompt + tokens)
            before_it = len(inputs) - branch.computed - 1  # a token is predicted from the position before
            wanted.extend((before_it + at, branch.tokens[at]) for at in read)
            inputs.extend(branch.tokens[branch.computed : branch.computed + length])
            owners.extend([number] * length)
            places.extend(range(shared + branch.computed, shared + branch.computed + length))
        owner, place = torch.tensor(owners), torch.tensor(places)
        own = owner[None, :] == owner[before:, None]
        sees = (owner[None, :] == -1) | (own & (place[None, :] <= place[before:, None]))
        found, states = self._computed(inputs, wanted, places[before:], sees, _joined(past))
        values, end = iter(found), 0
        for branch, length in zip(row, lengths, strict=True):
            part = slice(end, end + length)
            branch.states.append(tuple((keys[:, :, part], each[:, :, part]) for keys, each in states))
            branch.values.extend(next(values) for _ in range(len(branch.values), tokens))
            branch.computed += length
            end += length

    def _computed(
        self, inputs: Sequence[int], wanted: Sequence[tuple[int, int]], places: Sequence[int], sees: Any, past: Layers
    ) -> tuple[list[float], Layers]:
        """Log-likelihoods of the wanted (position in the row, token), and the row's keys and values.

        sees   [tokens of the row, those of the past and of the row]; None: each token sees those before it
        """
        import torch
        from transformers import DynamicCache

        engine, cache = self.engine, DynamicCache()
        for number, (keys, values) in enumerate(past):
            cache.update(keys, values, number)
        arguments: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
        if sees is not None:
            arguments["attention_mask"] = engine.added_to_scores(sees[None])
            arguments["position_ids"] = torch.tensor([list(places)], device=engine.device)
        try:
            found = engine.values_at(torch.tensor([list(inputs)]), wanted or [(0, 0)], **arguments)
        except (RuntimeError, MemoryError) as error:
            if not memory.is_exhausted(error):
                raise
            raise engine.too_large(len(inputs)) from error
        engine.check_finite(found)
        start = past[0][0].shape[2] if past else 0
        layers: Sequence[Any] = cache.layers
        return found, tuple((layer.keys[:, :, start:], layer.values[:, :, start:]) for layer in layers)

    def _agrees(self) -> bool:
        """Whether two steps give what each prompt gives alone."""
        prompts, continuation = _TRIAL
        alone: dict[int, float] = {}
        for batch in self.engine.measure([EncodedQuestion(prompt, (continuation,)) for prompt in prompts]):
            alone.update({place: value for place, (value,) in batch.items()})
        try:
            begun = self.begin(prompts, continuation)
            begun.values(range(len(prompts)), 2)
            found = begun.values(range(len(prompts)), len(continuation))
        except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
        # Unlikely tokens have larger values, and these larger errors.
        close = CLOSE[self.engine.precision]
        return all(abs(found[place] - value) <= close * (1 + abs(value) / 10) for place, value in alone.items())


class Continuation:
    """One continuation after prompts, at work."""

    def __init__(
        self, engine: ContinuationEngine, prompts: Sequence[tuple[int, ...]], continuation: tuple[int, ...]
    ) -> None:
        self._engine = engine
        self._shared = _shared(prompts)
        end = len(self._shared)
        self._branches = [_Branch((*prompt[end:], *continuation), len(prompt) - end) for prompt in prompts]

    def values(self, prompts: Sequence[int], tokens: int) -> dict[int, float]:
        """By prompt, the log-likelihood of the first `tokens` of the continuation: natural logarithms."""
        branches = [self._branches[place] for place in prompts]
        self._engine.advance(self._shared, [each for each in branches if len(each.values) < tokens], tokens)
        return {place: fsum(self._branches[place].values[:tokens]) for place in prompts}


def _shared(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The tokens that all prompts begin with, but not all of any."""
    first, last = min(prompts), max(prompts)
    end = min(map(len, prompts)) - 1
    return first[: next((place for place in range(end) if first[place] != last[place]), end)]


def _rows(branches: Sequence[_Branch], tokens: int, most: int) -> Iterator[list[_Branch]]:
    row: list[_Branch] = []
    for branch in branches:
        if row and sum(each.missing(tokens) for each in (*row, branch)) > most:
            yield row
            row = []
        row.append(branch)
    if row:
        yield row


def _joined(parts: Sequence[Layers]) -> Layers:
    import torch

    if len(parts) < 2:
        return parts[0] if parts else ()
    return tuple(
        (torch.cat([keys for keys, _ in layer], dim=2), torch.cat([values for _, values in layer], dim=2))
        for layer in zip(*parts, strict=True)
    )
