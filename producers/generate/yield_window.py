"""What the last generations were worth: yield and tokens per kept row over a window of generations, from the log.

The filter's word on a generation holds the run's totals up to it, so the difference between the newest and the one
`window` generations before is the window's. Tokens are those of the generations' answers, up to the same places.
Verdicts and generations may be read in any order among themselves. It holds one entry a generation of the window, and
of those that are not decided yet; of a log whose generations are read first, at most `_WAITING` more.
"""

import msgspec

from schemas.events import InstructionsGenerated, InstructionsRejected

_WAITING = 4096  # generations that are written and not decided, above which the oldest are not looked at
_FEW = 20  # generations whose average is worth little


class RunningTotals(msgspec.Struct, frozen=True, array_like=True):
    """The run's totals up to a decided generation."""

    offset: int
    generated_total: int
    kept_total: int


class YieldWindow(msgspec.Struct):
    """The state. `tokens` by offset of `generated` are of that generation alone; None: its answers do not say."""

    window: int
    verdicts: list[RunningTotals] = []
    tokens: dict[int, int | None] = {}

    def generate(self, event: InstructionsGenerated, offset: int) -> None:
        """Take a generation into account, in log order."""
        known = [answer.usage for answer in event.answers]
        spent = None if None in known else sum(u.prompt_tokens + u.completion_tokens for u in known if u is not None)
        if not self.verdicts or offset > self.verdicts[0].offset:
            self.tokens[offset] = spent
        while len(self.tokens) > self.window + _WAITING:
            del self.tokens[next(iter(self.tokens))]

    def decide(self, event: InstructionsRejected) -> None:
        """Take a verdict into account; they come in the order of their offsets, repeats dropped."""
        self.verdicts.append(RunningTotals(event.generated_offset, event.generated_total, event.kept_total))
        if len(self.verdicts) > self.window + 1:
            del self.verdicts[0]
        first = self.verdicts[0].offset
        while self.tokens and (oldest := next(iter(self.tokens))) <= first:
            del self.tokens[oldest]

    @property
    def full(self) -> bool:
        """Whether a whole window was decided."""
        return len(self.verdicts) > self.window

    @property
    def kept(self) -> int:
        """Instructions kept in the window."""
        return self.verdicts[-1].kept_total - self.verdicts[0].kept_total

    def share_kept(self) -> float | None:
        """Kept of those generated, in the window; 0 when nothing was generated, None before the window is full."""
        if not self.full:
            return None
        generated = self.verdicts[-1].generated_total - self.verdicts[0].generated_total
        return self.kept / generated if generated else 0.0

    def kept_per_generation(self) -> float | None:
        """Instructions kept of a generation, in the window or in as much of it as was decided; None of too few."""
        decided = len(self.verdicts) - 1
        return self.kept / decided if decided >= _FEW else None

    def tokens_per_kept(self) -> float | None:
        """Tokens for each kept row of the window; infinite when none was kept, None when it is not known."""
        if not self.full:
            return None
        last = self.verdicts[-1].offset
        spent = [tokens for offset, tokens in self.tokens.items() if offset <= last]
        if not spent or None in spent:
            return None
        total = sum(tokens for tokens in spent if tokens is not None)
        return total / self.kept if self.kept else float("inf")
