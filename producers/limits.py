"""When a generator must stop, and when it must wait: decided from the run's log alone.

Limits are of the run, not of the process: they hold across restarts and over several generators, each of which may
exceed them by the calls it has in flight.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from producers.progress import Progress
from schemas.errors import ConfigurationError
from schemas.policy import Policy


@dataclass(frozen=True)
class Limits:
    """None is no limit.

    max_kept          instructions kept
    max_calls         attempts started, whatever became of them
    max_usd           what the answers cost together
    max_generations   generations written
    max_filter_lag    generations written and not yet decided, above which generators wait
    max_ahead         instructions that the trainer could take now in whole batches, above which generators wait
    """

    max_kept: int | None = None
    max_calls: int | None = None
    max_usd: float | None = None
    max_generations: int | None = None
    max_filter_lag: int | None = None
    max_ahead: int | None = None

    def check(self, policy: Policy, *, priced: bool) -> None:
        """Raise ConfigurationError for limits that could not be held or would hold for ever."""
        if self.max_usd is not None and not priced:
            raise ConfigurationError(
                f"--max-usd is {self.max_usd}, but what a call costs is not known. Set SEDI_USD_PER_1M_PROMPT_TOKENS "
                "and SEDI_USD_PER_1M_COMPLETION_TOKENS, or limit by --max-calls."
            )
        window = policy.window_steps * policy.batch_size
        if self.max_ahead is not None and self.max_ahead < window:
            raise ConfigurationError(
                f"--max-ahead is {self.max_ahead}, but the trainer tells of its progress only every {window} rows "
                f"({policy.window_steps} steps of {policy.batch_size}). Give {window} or more."
            )

    def reached(self, progress: Progress) -> str | None:
        """The limit that no further call may be made under, as a sentence, or None."""
        ledger = progress.ledger
        if self.max_kept is not None and progress.kept_total >= self.max_kept:
            return f"{progress.kept_total} instructions are kept (--max-kept {self.max_kept})"
        if self.max_calls is not None and ledger.started >= self.max_calls:
            return f"{ledger.started} calls were made (--max-calls {self.max_calls})"
        if self.max_usd is not None:
            if ledger.known_cost_usd >= self.max_usd:
                return f"{ledger.known_cost_usd:.4f} USD were spent (--max-usd {self.max_usd})"
            if ledger.without_cost:
                return (
                    f"what {ledger.without_cost} answers cost is not known, because the endpoint reports no usage or "
                    f"they were made without prices, so --max-usd {self.max_usd} cannot be held; limit by --max-calls"
                )
        return None

    def complete(self, progress: Progress, begun: int) -> str | None:
        """Why no further generation may begin once the lane has begun the numbers below `begun`, or None."""
        others = progress.generations - progress.next_number
        if self.max_generations is not None and others + begun >= self.max_generations:
            return f"{others + begun} generations are written (--max-generations {self.max_generations})"
        return None

    def wait(self, progress: Progress, kept_ends: Mapping[int, int] | None) -> str | None:
        """Why no further generation may begin yet: `filter` or `trainer` is behind, or None."""
        if self.max_filter_lag is not None and progress.filter_lag > self.max_filter_lag:
            return "filter"
        if self.max_ahead is not None and kept_ends is not None and ahead(progress, kept_ends) > self.max_ahead:
            return "trainer"
        return None


def ahead(progress: Progress, kept_ends: Mapping[int, int]) -> int:
    """Rows that the trainer could take now in whole batches, one row from each cluster.

    Rows left over in fuller clusters do not count: the trainer waits for the emptiest one, and if the generator waited
    for the trainer then, both would wait for ever.
    """
    left = [max(0, end - progress.trained.get(cluster, 0)) for cluster, end in kept_ends.items()]
    return min(left, default=0) * len(left)
