"""When a lane that goes on would only spend: too little of what is generated is kept, or a kept row takes too much."""

from dataclasses import dataclass
from typing import Literal

from producers.generate.progress import YIELD_WINDOW
from producers.generate.yield_window import YieldWindow
from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class Stalled:
    """The rule that was broken, what was measured (None: no row was kept at all), and what it is held against."""

    rule: Literal["min_yield", "max_tokens_per_kept"]
    value: float | None
    floor: float
    reason: str


@dataclass(frozen=True)
class StallGuard:
    """What a window of decided generations must be worth; None is no rule.

    min_yield             kept of those generated
    max_tokens_per_kept   prompts included; not looked at while an answer of the window does not say
    """

    min_yield: float | None = None
    max_tokens_per_kept: float | None = None
    window: int = YIELD_WINDOW

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= (self.min_yield or 0) <= 1 or (self.max_tokens_per_kept or 1) <= 0:
            raise ConfigurationError(
                f"The yield is held above {self.min_yield} and tokens a kept row below {self.max_tokens_per_kept}, "
                f"over {self.window} generations. A yield is from 0 to 1, tokens more than 0, generations 1 or more."
            )

    def stalled(self, rolling: YieldWindow) -> Stalled | None:
        """The rule that the last whole window breaks, or None."""
        share = rolling.share_kept()
        if self.min_yield is not None and share is not None and share < self.min_yield:
            reason = (
                f"only {100 * share:.1f} % of what the last {self.window} generations wrote was kept "
                f"(--min-yield {self.min_yield}); look at why with `sedi report`, or start again with another floor"
            )
            return Stalled("min_yield", share, self.min_yield, reason)
        tokens = rolling.tokens_per_kept()
        if self.max_tokens_per_kept is not None and tokens is not None and tokens > self.max_tokens_per_kept:
            took = f"a kept row took {tokens:.0f} tokens" if rolling.kept else "no row was kept"
            reason = (
                f"{took} in the last {self.window} generations (--max-tokens-per-kept {self.max_tokens_per_kept:g}); "
                "look at why with `sedi report`, or start again with another limit"
            )
            return Stalled("max_tokens_per_kept", tokens if rolling.kept else None, self.max_tokens_per_kept, reason)
        return None
