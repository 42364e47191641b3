"""The instructions kept so far, in the order they were kept, as any verdict left them; and a generation's draw of them.

Self-Instruct shows the LLM some of its own instructions beside the seeds. Which, is a pure function of what was kept by
the verdict on some record of `generated` and of the generation's lane and number: so a draw can be made again from
that offset, and checked.

`KeptSoFar` is a fold of `generated` and `rejected`, which may be read in any order between them: what is kept is what
was generated and not rejected. It holds the texts of all kept instructions, about 150 bytes each.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from schemas import ids
from schemas.events import InstructionsGenerated, InstructionsRejected, KeptShown
from streams.core.seeds import sampled

T = TypeVar("T")

_SHARE = 4


def most_shown(seeds_per_request: int) -> int:
    """Kept instructions among `seeds_per_request` that are shown: a quarter, as 2 of 8 in Self-Instruct."""
    return seeds_per_request // _SHARE


def drawn(size: int, seeds_per_request: int, rng_seed: int, lane: str, number: int) -> list[int]:
    """Which of the `size` instructions kept by then a generation is shown: uniform, each at most once.

    The draws are others than those of the generation's seeds.
    """
    return sampled(size, most_shown(seeds_per_request), rng_seed, f"{lane}/kept", number)


def beside(sample: tuple[T, ...], kept: int) -> tuple[T, ...]:
    """The seeds that are shown, of a sample of the pool, when `kept` instructions take the last places of it."""
    return sample[: max(0, len(sample) - kept)]


@dataclass(frozen=True)
class KeptText:
    """A kept instruction as it is shown."""

    id: str
    instruction: str


@dataclass(frozen=True)
class ShownRows:
    """What a generation is shown beside its seeds, and how its events tell of it; None when it shows seeds only."""

    kept: tuple[KeptText, ...] = ()
    told: KeptShown | None = None


@dataclass
class KeptSoFar:
    """The fold. `as_of` is the last offset of `generated` whose verdict is in it, -1 for none."""

    as_of: int = -1
    _kept: list[KeptText] = field(default_factory=list)
    _offsets: list[int] = field(default_factory=list)  # of `generated`, one for each kept
    _generated: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _verdicts: deque[InstructionsRejected] = field(default_factory=deque)
    _last_verdict: int = -1

    def generated(self, offset: int, generation_id: str, event: InstructionsGenerated) -> None:
        """Take in the generation at an offset."""
        if offset > self.as_of:
            self._generated[offset] = generation_id, tuple(task.instruction for task in event.instructions)
            self._settle()

    def rejected(self, event: InstructionsRejected) -> None:
        """Take in the verdict on a generation; a repeat of one changes nothing."""
        if event.generated_offset > self._last_verdict:
            self._last_verdict = event.generated_offset
            self._verdicts.append(event)
            self._settle()

    def shown(
        self, seeds_per_request: int, rng_seed: int, lane: str, number: int, as_of: int | None = None
    ) -> ShownRows:
        """What the number-th generation of a lane is shown, of what was kept by the verdict on `as_of`: now by default.

        Raises ValueError for an `as_of` whose verdict has not been taken in.
        """
        at = self.as_of if as_of is None else as_of
        if at > self.as_of:
            raise ValueError(f"the verdict on {at} has not been taken in; the last is that on {self.as_of}")
        size = bisect_right(self._offsets, at)
        kept = tuple(self._kept[place] for place in drawn(size, seeds_per_request, rng_seed, lane, number))
        return ShownRows(kept, KeptShown(as_of=at, ids=tuple(one.id for one in kept)))

    def _settle(self) -> None:
        """Take the verdicts whose generation is there, in order. One that kept nothing needs none."""
        while self._verdicts:
            verdict = self._verdicts[0]
            offset = verdict.generated_offset
            if verdict.kept and offset not in self._generated:
                return
            self._verdicts.popleft()
            generation_id, texts = self._generated.pop(offset, ("", ()))
            if verdict.kept:
                self._keep(offset, generation_id, texts, {rejection.place for rejection in verdict.rejections})
            self.as_of = offset

    def _keep(self, offset: int, generation_id: str, texts: Sequence[str], rejected: set[int]) -> None:
        for place, text in enumerate(texts):
            if place not in rejected:
                self._kept.append(KeptText(ids.instruction_id(generation_id, place), text))
                self._offsets.append(offset)
