"""Stops a lane that spends without result: too few rows are kept, or a kept row takes too many tokens."""

from dataclasses import dataclass
from typing import Literal

from producers.generate.progress import YIELD_WINDOW
from producers.generate.yield_window import YieldWindow
from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class Stalled:
    """The rule that was broken, the measured value (None: no row was kept), and the limit."""

    rule: Literal["min_yield", "max_tokens_per_kept"]
    value: float | None
    floor: float
    reason: str


@dataclass(frozen=True)
class StallGuard:
    """Limits on the yield of a window of decided generations; None is no limit.

    min_yield             share of the generated instructions that must be kept
    max_tokens_per_kept   prompts included; not checked while an answer of the window has no usage
    """

    min_yield: float | None = None
    max_tokens_per_kept: float | None = None
    window: int = YIELD_WINDOW

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= (self.min_yield or 0) <= 1 or (self.max_tokens_per_kept or 1) <= 0:
            raise ConfigurationError(
                f"min_yield is {self.min_yield}, max_tokens_per_kept {self.max_tokens_per_kept} and the window "
                f"{self.window} generations. Give a yield from 0 to 1, tokens above 0, and 1 generation or more."
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
