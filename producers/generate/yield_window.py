"""Yield and tokens per kept row over a window of the last generations, from the log.

A verdict has the run's totals up to its generation, so the difference between the newest verdict and the one `window`
generations before belongs to the window. Tokens are those of the same generations' answers. Verdicts and generations
may interleave in any order. Memory: one entry for each generation of the window and each undecided one, of the latter
at most `_WAITING` when all generations are read first.
"""

import msgspec

from schemas.events import InstructionsGenerated, InstructionsRejected

_WAITING = 4096  # undecided generations, beyond which the tokens of the oldest are dropped
_FEW = 20  # generations, below which no average is given


class RunningTotals(msgspec.Struct, frozen=True, array_like=True):
    """The run's totals up to a decided generation."""

    offset: int
    generated_total: int
    kept_total: int


class YieldWindow(msgspec.Struct):
    """The state. `tokens`: those of each generation, by its offset on `generated`; None: not reported."""

    window: int
    verdicts: list[RunningTotals] = []
    tokens: dict[int, int | None] = {}

    def generate(self, event: InstructionsGenerated, offset: int) -> None:
        """Add a generation, in log order."""
        known = [answer.usage for answer in event.answers]
        spent = None if None in known else sum(u.prompt_tokens + u.completion_tokens for u in known if u is not None)
        if not self.verdicts or offset > self.verdicts[0].offset:
            self.tokens[offset] = spent
        while len(self.tokens) > self.window + _WAITING:
            del self.tokens[next(iter(self.tokens))]

    def decide(self, event: InstructionsRejected) -> None:
        """Add a verdict. They must come deduplicated, in the order of their offsets."""
        self.verdicts.append(RunningTotals(event.generated_offset, event.generated_total, event.kept_total))
        if len(self.verdicts) > self.window + 1:
            del self.verdicts[0]
        first = self.verdicts[0].offset
        while self.tokens and (oldest := next(iter(self.tokens))) <= first:
            del self.tokens[oldest]

    @property
    def full(self) -> bool:
        """Whether a whole window is decided."""
        return len(self.verdicts) > self.window

    @property
    def kept(self) -> int:
        """Instructions kept in the window."""
        return self.verdicts[-1].kept_total - self.verdicts[0].kept_total

    def share_kept(self) -> float | None:
        """Share of the window's instructions that were kept; 0 if none were generated, None before it is full."""
        if not self.full:
            return None
        generated = self.verdicts[-1].generated_total - self.verdicts[0].generated_total
        return self.kept / generated if generated else 0.0

    def kept_per_generation(self) -> float | None:
        """Instructions kept per generation, in the decided part of the window; None for too few generations."""
        decided = len(self.verdicts) - 1
        return self.kept / decided if decided >= _FEW else None

    def tokens_per_kept(self) -> float | None:
        """Tokens per kept row of the window; infinite if none was kept, None if not known."""
        if not self.full:
            return None
        last = self.verdicts[-1].offset
        spent = [tokens for offset, tokens in self.tokens.items() if offset <= last]
        if not spent or None in spent:
            return None
        total = sum(tokens for tokens in spent if tokens is not None)
        return total / self.kept if self.kept else float("inf")
