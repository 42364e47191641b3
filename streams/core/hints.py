"""Instructions that a prompt asks the LLM not to repeat: a sample of the fullest cluster's.

The fullest cluster is the one with the most kept instructions by a verdict, the first on ties. The sample follows from
them, the rng seed, the lane and the generation's number. So it can be drawn again, and checked.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from streams.core.kept_so_far import KeptText
from streams.core.seeds import sampled


@dataclass
class _Rows:
    """Kept instructions of a cluster, with their offsets of `generated`."""

    offsets: list[int] = field(default_factory=list)
    texts: list[KeptText] = field(default_factory=list)


class KeptByCluster:
    """The instructions kept as of any verdict, by cluster; holds their texts."""

    def __init__(self) -> None:
        self._rows: dict[int, _Rows] = {}

    def keep(self, cluster: int, offset: int, row: KeptText) -> None:
        """An instruction that was kept, after those before it in the run's total order."""
        rows = self._rows.setdefault(cluster, _Rows())
        rows.texts.append(row)
        rows.offsets.append(offset)

    def hints(self, count: int, as_of: int, rng_seed: int, lane: str, number: int) -> tuple[KeptText, ...]:
        """Up to `count` of those kept by the verdict on `as_of`, for the number-th generation of a lane."""
        sizes = {cluster: bisect_right(rows.offsets, as_of) for cluster, rows in self._rows.items()}
        if not sizes:
            return ()
        fullest = max(sizes, key=lambda cluster: (sizes[cluster], -cluster))
        rows = self._rows[fullest].texts
        return tuple(rows[place] for place in sampled(sizes[fullest], count, rng_seed, f"{lane}/hints", number))

    def texts_of(self, ids: tuple[str, ...]) -> tuple[KeptText, ...]:
        """The instructions of these ids that were kept, in this order. It searches all of them."""
        found = {row.id: row for rows in self._rows.values() for row in rows.texts if row.id in ids}
        return tuple(found[id] for id in ids if id in found)
