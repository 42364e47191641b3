"""Which seeds a generation shows, when those are preferred that brought the most kept instructions.

`thompson`   each seed draws a number from what is believed of its share of kept instructions, Beta(1 + kept,
             1 + tried - kept), and the highest are shown. A seed that was never shown draws uniformly.
`ucb`        each seed has an upper confidence bound, kept / tried + sqrt(2 ln(all tried) / tried), infinite for one
             that was never shown. Of those with the highest bounds, a quarter of the pool, some are drawn uniformly.

Several generations are under way with the same verdicts, and the bounds alone would show all of them the same seeds
until the next verdict. How many are under way is not on the log, so showings that are begun cannot be counted again.
The uniform draw among the best parts them; it is larger than what is under way in a usual run.

A seed's numbers are those of its score (`streams.core.scores`) as of a verdict, but a showing that brought nothing that
counts is one try: else a seed that the LLM never continues would look untried for ever. All draws follow from the rng
seed, the lane, the generation's number and the seed's id, so a choice can be made again, and checked.
"""

import hashlib
import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.policy import Policy
from streams.core.draws import beta, natural_log, uniforms
from streams.core.seeds import sampled

_SHARE = 4
_LEAST = 2  # times the seeds of a request, where a quarter of the pool is fewer


class SeedTrials(NamedTuple):
    """What a seed has brought: instructions tried and kept of them, in so many showings."""

    shown: int = 0
    tried: int = 0
    kept: int = 0


@dataclass
class _Sums:
    """Of one seed, after each generation that it was shown in."""

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    tried: "array[int]" = field(default_factory=lambda: array("q", [0]))
    kept: "array[int]" = field(default_factory=lambda: array("q", [0]))


class SeedHistory:
    """What each seed had brought as of any verdict: 24 bytes for each showing."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def credit(self, offset: int, seed_ids: Sequence[str], tried: int, kept: int) -> None:
        """The generation at an offset of `generated`, after those before it. `tried`: instructions that count."""
        for seed_id in dict.fromkeys(seed_ids):
            sums = self._sums.setdefault(seed_id, _Sums())
            sums.tried.append(sums.tried[-1] + max(1, tried))
            sums.kept.append(sums.kept[-1] + kept)
            sums.offsets.append(offset)

    def trials(self, seed_id: str, as_of: int) -> SeedTrials:
        """What the seed had brought by the verdict on `as_of`."""
        sums = self._sums.get(seed_id)
        if sums is None:
            return SeedTrials()
        shown = bisect_right(sums.offsets, as_of)
        return SeedTrials(shown, sums.tried[shown], sums.kept[shown])


def choose_seeds(
    policy: Policy, pool: Sequence[str], trials: Sequence[SeedTrials], lane: str, number: int
) -> list[int]:
    """The places in the pool, ids of seeds in its order, that the number-th generation of a lane shows.

    trials   of each seed of the pool, in the same order
    """
    count = min(policy.seeds_per_request, len(pool))
    match policy.seed_choice:
        case "thompson":
            return _thompson(policy, pool, trials, lane, number)[:count]
        case "ucb":
            return _ucb(policy, pool, trials, lane, number)[:count]
        case _:
            return sampled(len(pool), policy.seeds_per_request, policy.rng_seed, lane, number)


def _thompson(policy: Policy, pool: Sequence[str], trials: Sequence[SeedTrials], lane: str, number: int) -> list[int]:
    drawn = []
    for place, (seed_id, (_, tried, kept)) in enumerate(zip(pool, trials, strict=True)):
        source = uniforms(f"{policy.rng_seed}/{lane}/{number}/thompson/{seed_id}")
        drawn.append((-beta(1 + kept, 1 + tried - kept, source), place))
    return [place for _, place in sorted(drawn)]


def _ucb(policy: Policy, pool: Sequence[str], trials: Sequence[SeedTrials], lane: str, number: int) -> list[int]:
    total = natural_log(max(1, sum(tried for _, tried, _ in trials)))
    order = [hashlib.sha256(f"{policy.rng_seed}/{lane}/{number}/ucb/{seed_id}".encode()).digest() for seed_id in pool]
    bounds = [kept / tried + math.sqrt(2 * total / tried) if tried else math.inf for _, tried, kept in trials]
    best = sorted(range(len(pool)), key=lambda place: (-bounds[place], order[place][16:]))
    among = max(-(-len(pool) // _SHARE), _LEAST * policy.seeds_per_request)
    # Not the half that broke ties: the last that came in by a tie would always be drawn.
    return sorted(best[:among], key=lambda place: order[place][:16])
