"""The seed pool: the seeds that the LLM may be shown, and how a generation samples them.

The pool is a fold of the run's configuration and its `ReplaceSeeds` commands, in log order: a new seed replaces its
victim in place. Sampling is a pure function of the pool, the run's rng seed and the generation's lane and number, so a
recorded sample can be checked.
"""

import hashlib
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import ReplaceSeeds
from schemas.seeds import SeedTask


@dataclass(frozen=True)
class PooledSeed:
    """A seed in the pool, and the offset of `seed-commands` that added it: -1 from the start."""

    task: SeedTask
    since_offset: int
    age: int


@dataclass(frozen=True)
class EvictedSeed:
    """A replaced seed, and the offset of `seed-commands` that replaced it."""

    seed: PooledSeed
    at: int


@dataclass
class SeedPool:
    """The active seeds, in a stable order, and the replaced ones.

    commands_offset   last record of `seed-commands` applied, -1 for none
    training_offset   last record of `training-log` that a command answered, -1 for none
    windows           (epoch, window) pairs already answered
    """

    active: list[PooledSeed]
    evicted: dict[str, EvictedSeed] = field(default_factory=dict)
    commands_offset: int = -1
    training_offset: int = -1
    windows: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def of(cls, seeds: Iterable[SeedTask]) -> "SeedPool":
        """The pool that a run starts with."""
        return cls([PooledSeed(task, -1, age) for age, task in enumerate(seeds)])

    def apply(self, command: ReplaceSeeds, offset: int) -> bool:
        """Apply the command at `offset` of `seed-commands`.

        False, without change, for an offset already applied and for a window already answered: the first counts.
        """
        if offset <= self.commands_offset:
            return False
        self.commands_offset = offset
        window = (command.epoch, command.window)
        if window in self.windows:
            return False
        self.windows.add(window)
        self.training_offset = max(self.training_offset, command.training_offset)
        slots = {seed.task.id: slot for slot, seed in enumerate(self.active)}
        age = len(self.active) + len(self.evicted)
        for replacement in command.replacements:
            slot = slots.pop(replacement.victim_id, None)  # None for a victim named twice
            if slot is None:
                continue
            self.evicted[replacement.victim_id] = EvictedSeed(self.active[slot], offset)
            self.active[slot] = PooledSeed(replacement.seed, offset, age)
            age += 1
        return True

    def get(self, seed_id: str) -> SeedTask | None:
        """A seed by id, active or evicted."""
        for seed in self.active:
            if seed.task.id == seed_id:
                return seed.task
        gone = self.evicted.get(seed_id)
        return None if gone is None else gone.seed.task

    def sample(self, count: int, rng_seed: int, lane: str, number: int) -> tuple[SeedTask, ...]:
        """`count` distinct seeds for the number-th generation of a lane; all of them if the pool is smaller."""
        return tuple(self.active[slot].task for slot in sampled(len(self.active), count, rng_seed, lane, number))


def sampled(size: int, count: int, rng_seed: int, lane: str, number: int) -> list[int]:
    """The slots of a pool of `size` that the number-th generation of a lane is shown.

    A partial Fisher-Yates shuffle driven by SHA-256 of the rng seed, the lane, the number and the draw: uniform, and
    the same on every platform and version.
    """
    picked: list[int] = []
    ascending: list[int] = []
    for draw in range(min(count, size)):
        digest = hashlib.sha256(f"{rng_seed}/{lane}/{number}/{draw}".encode()).digest()
        slot = int.from_bytes(digest) % (size - draw)  # among those that are left
        for taken in ascending:
            slot += taken <= slot
        picked.append(slot)
        insort(ascending, slot)
    return picked
