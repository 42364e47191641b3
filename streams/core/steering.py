"""What of a generation's request follows what was kept before it: its seeds, and how its list is asked for.

A policy steers if it has a `seed_choice` other than `uniform`, or `adapt`, or `hints`. Then a request is a function of
the verdicts up to an offset of `generated`, the seed pool, the policy, the lane and the number. A generator takes the
last verdict that it has read and records it (`schemas.events.Steering`); so it asks the same again after a restart,
and an audit decides the same (docs/decisions/steering.md).

Lanes and machines need not agree: each generation has its own `as_of`.
"""

from collections.abc import Mapping, Sequence

from schemas.events import Steering
from schemas.policy import Policy
from streams.core.hints import KeptByCluster
from streams.core.kept_so_far import KeptText
from streams.core.lanes import LaneNumbers
from streams.core.seed_choice import SeedHistory, SeedTrials, choose_seeds
from streams.core.yield_level import YieldLevels, list_length_at, temperature_at

_TEMPERATURE = {"two-step": "list_temperature", "self-instruct": "bootstrap_temperature"}
"""The parameter with the temperature of a style's list; only styles that ask for a list of instructions."""

_LENGTH = "asked"


def steers(policy: Policy) -> bool:
    """Whether requests follow what was kept before them."""
    return policy.seed_choice != "uniform" or bool(policy.adapt) or policy.hints > 0


def has_list(style: str) -> bool:
    """Whether a style asks for a list of instructions alone, whose temperature and length can follow the yield."""
    return style in _TEMPERATURE


class SteeringHistory:
    """All that a request may follow, as of any verdict: a fold of the filter's decisions in their order.

    as_of   the last decision applied, -1 for none
    """

    def __init__(self, policy: Policy) -> None:
        self.as_of = -1
        self._policy = policy
        self._lanes = LaneNumbers()
        self._seeds = SeedHistory()
        self._levels = YieldLevels()
        self._rows = KeptByCluster()

    def decide(
        self,
        offset: int,
        lane: str,
        number: int,
        seed_ids: Sequence[str],
        *,
        generated: int = 0,
        uncounted: int = 0,
        kept: int = 0,
        rows: Sequence[tuple[int, KeptText]] = (),
    ) -> None:
        """The decision on an offset of `generated`; of each number of a lane, the first counts.

        number      negative: there was nothing to decide
        uncounted   of the generated instructions, those that are not in the seeds' scores
        rows        the kept ones with their clusters; needed where the policy has hints
        """
        if offset <= self.as_of:
            return
        if number >= 0 and self._lanes.take(lane, number):
            # One about a document shows no seed: the filter keeps one of its candidates at most.
            if seed_ids:
                self._seeds.credit(offset, seed_ids, generated - uncounted, kept)
                self._levels.decide(offset, generated, kept)
            for cluster, row in rows if self._policy.hints else ():
                self._rows.keep(cluster, offset, row)
        self.as_of = offset

    def trials(self, seed_ids: Sequence[str], as_of: int) -> list[SeedTrials]:
        """What these seeds had brought by the verdict on `as_of`."""
        return [self._seeds.trials(seed_id, as_of) for seed_id in seed_ids]

    def choose(self, pool: Sequence[str], lane: str, number: int, as_of: int) -> list[int]:
        """The places in the pool, ids in its order, of the seeds that a generation shows."""
        if self._policy.seed_choice == "uniform":
            return choose_seeds(self._policy, pool, (), lane, number)
        return choose_seeds(self._policy, pool, self.trials(pool, as_of), lane, number)

    def level(self, as_of: int) -> int:
        """How far the yield has fallen by the verdict on `as_of` (`streams.core.yield_level`)."""
        return self._levels.at(as_of)

    def hints(self, lane: str, number: int, as_of: int) -> tuple[KeptText, ...]:
        """The kept instructions that a generation's prompt asks not to repeat."""
        policy = self._policy
        return self._rows.hints(policy.hints, as_of, policy.rng_seed, lane, number) if policy.hints else ()

    def texts_of(self, ids: tuple[str, ...]) -> tuple[KeptText, ...]:
        """The kept instructions of these ids, in this order."""
        return self._rows.texts_of(ids)

    def steering(self, style: str, parameters: Mapping[str, object], lane: str, number: int, as_of: int) -> Steering:
        """What a generation of a style with these parameters asks for; they are the style's own."""
        temperature, length = parameters.get(_TEMPERATURE.get(style, "")), parameters.get(_LENGTH)
        level, adapt = self.level(as_of), self._policy.adapt if has_list(style) else ()
        return Steering(
            as_of=as_of,
            temperature=temperature_at(level, float(temperature))
            if level and "temperature" in adapt and isinstance(temperature, int | float)
            else None,
            list_length=list_length_at(level, length)
            if level and "list_length" in adapt and isinstance(length, int)
            else None,
            hint_ids=tuple(row.id for row in self.hints(lane, number, as_of)),
        )
