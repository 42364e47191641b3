"""The instructions kept as of any verdict, and the sample of them that a generation is shown.

Self-Instruct shows the LLM some of its own instructions beside the seeds. The sample is a pure function of the
instructions kept by the verdict on a record of `generated`, and of the generation's lane and number. So it can be drawn
again from that offset, and checked.

`KeptSoFar` is a fold of `generated` and `rejected`, interleaved in any order: kept is what was generated and not
rejected. It holds the texts of all kept instructions, about 150 bytes each.
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
    """How many of `seeds_per_request` shown tasks are kept instructions: a quarter, as 2 of 8 in Self-Instruct."""
    return seeds_per_request // _SHARE


def drawn(size: int, seeds_per_request: int, rng_seed: int, lane: str, number: int) -> list[int]:
    """The indices of the instructions, of `size` kept ones, that a generation is shown: uniform, without replacement.

    Independent of the sample of its seeds.
    """
    return sampled(size, most_shown(seeds_per_request), rng_seed, f"{lane}/kept", number)


def beside(sample: tuple[T, ...], kept: int) -> tuple[T, ...]:
    """The seeds of a sample that are shown when `kept` instructions take its last places."""
    return sample[: max(0, len(sample) - kept)]


@dataclass(frozen=True)
class KeptText:
    """A kept instruction with its id."""

    id: str
    instruction: str


@dataclass(frozen=True)
class ShownRows:
    """The kept instructions that a generation is shown, and their record in its events; None when it shows none."""

    kept: tuple[KeptText, ...] = ()
    recorded: KeptShown | None = None


@dataclass
class KeptSoFar:
    """The fold. `as_of` is the last offset of `generated` whose verdict is applied, -1 for none."""

    as_of: int = -1
    _kept: list[KeptText] = field(default_factory=list)
    _offsets: list[int] = field(default_factory=list)  # of `generated`, one for each kept
    _generated: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _verdicts: deque[InstructionsRejected] = field(default_factory=deque)
    _last_verdict: int = -1

    def generated(self, offset: int, generation_id: str, event: InstructionsGenerated) -> None:
        """Apply the generation at an offset."""
        if offset > self.as_of:
            self._generated[offset] = generation_id, tuple(task.instruction for task in event.instructions)
            self._settle()

    def rejected(self, event: InstructionsRejected) -> None:
        """Apply the verdict on a generation; a duplicate changes nothing."""
        if event.generated_offset > self._last_verdict:
            self._last_verdict = event.generated_offset
            self._verdicts.append(event)
            self._settle()

    def shown(
        self, seeds_per_request: int, rng_seed: int, lane: str, number: int, as_of: int | None = None
    ) -> ShownRows:
        """What the number-th generation of a lane is shown of the instructions kept by the verdict on `as_of`.

        None: the last verdict. Raises ValueError for an `as_of` whose verdict has not been applied.
        """
        at = self.as_of if as_of is None else as_of
        if at > self.as_of:
            raise ValueError(f"the verdict on {at} has not been applied; the last is that on {self.as_of}")
        size = bisect_right(self._offsets, at)
        kept = tuple(self._kept[place] for place in drawn(size, seeds_per_request, rng_seed, lane, number))
        return ShownRows(kept, KeptShown(as_of=at, ids=tuple(one.id for one in kept)))

    def _settle(self) -> None:
        """Apply the verdicts whose generation has been read, in order. One that kept nothing needs none."""
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
