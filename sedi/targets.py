"""How far a run is towards each of its targets and budgets: rate, and time left.

Rates are of the last minutes of this command, so that a pause before it does not count. The time left until so many are
kept follows the yield as it falls (`consumers.estimate.left`), for all others the rate as it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.folds.verdicts import VerdictFold
    from consumers.status import Status
    from sedi.run_options import RunOptions

_RATE_S = 300.0
_LEAST_S = 3.0  # of a rate; less shows nothing
_ESTIMATE_S = 20.0


@dataclass(frozen=True)
class Target:
    """A target or a budget.

    unit       what is counted, `$` for money and `s` for time
    per_s      rate; None: not known yet
    left_s     seconds left at that rate; None: not known, or it never comes
    """

    unit: str
    done: float
    total: float
    per_s: float | None
    left_s: float | None

    @property
    def share(self) -> float:
        """Done of it, at most 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0


@dataclass
class Targets:
    """The targets of a run by repeated looks at its status.

    windows_before   windows that were closed before this command
    """

    options: RunOptions
    windows_before: int = 0
    clock: Callable[[], float] = time.monotonic
    _samples: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    _estimated: tuple[float, int, float | None] | None = None

    def see(self, status: Status, elapsed_s: float, verdicts: VerdictFold) -> tuple[Target, ...]:
        """The targets now, `elapsed_s` after the start of this command."""
        now = self.clock()
        generated = self._rate("generated", now, status.generated)
        found = []
        for unit, done, total in self._wanted(status):
            per_s = self._rate(unit, now, done)
            left = max(0.0, total - done)
            if unit == "kept" and left:
                left_s = self._until_kept(now, int(total), status, generated, verdicts)
            else:
                left_s = 0.0 if not left else left / per_s if per_s else None
            found.append(Target(unit, done, total, per_s, left_s))
        if (limit := self.options.time_limit_s) is not None:
            found.append(Target("s", elapsed_s, limit, None, max(0.0, limit - elapsed_s)))
        return tuple(found)

    def windows(self, status: Status) -> int:
        """Training windows that were closed since the start of this command."""
        return status.windows - self.windows_before

    def _wanted(self, status: Status) -> Iterator[tuple[str, float, float]]:
        """Unit, number so far and number wanted of each target that the options name."""
        options, tokens = self.options, status.tokens
        if options.windows is not None:
            yield "windows", self.windows(status), options.windows
        if options.max_kept is not None:
            yield "kept", status.kept, options.max_kept
        if options.max_candidates is not None:
            yield "generated", status.generated, options.max_candidates
        if options.max_calls is not None:
            yield "calls", status.calls.started, options.max_calls
        if options.max_tokens is not None:
            yield "tokens", (tokens.prompt or 0) + (tokens.completion or 0), options.max_tokens
        if options.max_usd is not None:
            yield "$", status.cost.known_usd, options.max_usd

    def _rate(self, unit: str, now: float, done: float) -> float | None:
        """Per second over the last minutes; None before there is one."""
        samples = self._samples.setdefault(unit, deque())
        if not samples or samples[-1][0] < now:
            samples.append((now, done))
        while now - samples[0][0] > _RATE_S:
            samples.popleft()
        since, before = samples[0]
        return (done - before) / (now - since) if now - since >= _LEAST_S and done > before else None

    def _until_kept(
        self, now: float, target: int, status: Status, per_s: float | None, verdicts: VerdictFold
    ) -> float | None:
        """Seconds until so many are kept; estimated anew now and then, and counted down by what was generated since."""
        if not per_s:
            return None
        if self._estimated is None or now - self._estimated[0] >= _ESTIMATE_S:
            from consumers.estimate.left import candidates_left

            self._estimated = now, status.generated, candidates_left(verdicts, target)
        _, generated, left = self._estimated
        if left is None or not isfinite(left):
            return None
        return max(0.0, left - (status.generated - generated)) / per_s
