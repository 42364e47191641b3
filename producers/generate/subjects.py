"""What the generations of a lane are about: seeds, or segments of documents (`producers.documents.segment_subjects`).

A generation's subject is fixed by its first call: the call's `CallStarted` names the event or segment that caused it.
So a generation that was begun by a generator that died has the same subject again, and its recorded answers fit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from infra.settings import Settings
from producers.backends.base import Backend, Request
from producers.calls.caller import CallCause, Caller
from producers.generate.kept_reader import KeptReader
from producers.generate.steering_reader import SteeringReader
from producers.generate.styles import UNSTEERED, SeedStyle, Style, StyleResult
from schemas.events import CallAnswered, KeptShown, RunConfigured, Steering
from schemas.segments import Segment
from streams.core.kept_so_far import ShownRows, beside
from streams.core.steering import steers


class AskWith(Protocol):
    """Asks the step-th request of a generation; of another backend than the lane's, if one is named."""

    def __call__(self, step: int, request: Request, backend: Backend | None = None) -> Awaitable[CallAnswered]: ...

    async def has_answer(self, step: int) -> bool:
        """Whether the ledger has that request's answer already."""
        ...


@dataclass(frozen=True)
class GenerationCalls:
    """The calls of one generation."""

    caller: Caller
    cause: CallCause

    def __call__(self, step: int, request: Request, backend: Backend | None = None) -> Awaitable[CallAnswered]:
        return self.caller.ask(self.cause, step, request, backend)

    async def has_answer(self, step: int) -> bool:
        return await self.caller.has_answer(self.cause, step)


@dataclass(frozen=True, kw_only=True)
class GenerationSubject:
    """What one generation is about.

    causation_id   of its calls, and of its event if it makes none
    make           makes the generation. Raises CallsHalted, or the CallFailure of a call that it cannot do without
    """

    causation_id: str
    make: Callable[[AskWith], Awaitable[StyleResult]]
    seed_ids: tuple[str, ...] = ()
    seed_commands_offset: int = -1
    kept_shown: KeptShown | None = None
    segment: Segment | None = None
    steering: Steering | None = None


@dataclass(frozen=True)
class Supply:
    """Which generations have a subject.

    end     the number after the last that has one now; None: all have
    ended   why no further one will have one; None: more may come
    """

    end: int | None = None
    ended: str | None = None


class Subjects(Protocol):
    """The subjects of a lane, by number. `most_kept`: the most instructions of a generation that the filter keeps."""

    @property
    def style(self) -> Style: ...

    @property
    def most_kept(self) -> int: ...

    async def supply(self, end: int) -> Supply:
        """Find the subjects of the numbers below `end`, as far as there are any now."""
        ...

    async def subject(self, number: int) -> GenerationSubject:
        """The subject of a number that `supply` has found; once for each number, in order."""
        ...

    async def close(self) -> None:
        """Close what subjects ask beside the lane's backend."""
        ...


class SeedSubjects:
    """Each generation is about seeds of the run, and shows kept rows beside them if its style does.

    steering   where the policy steers requests; else seeds are drawn uniformly
    """

    def __init__(
        self, style: SeedStyle, caller: Caller, kept: KeptReader | None = None, steering: SteeringReader | None = None
    ) -> None:
        self.style = style
        self.most_kept = style.candidates
        self._caller = caller
        self._kept = kept
        self._steering = steering

    async def supply(self, end: int) -> Supply:
        return Supply()

    async def close(self) -> None:
        pass

    async def subject(self, number: int) -> GenerationSubject:
        steering, request, choose = None, UNSTEERED, None
        if (reader := self._steering) is not None:
            begun = await self._caller.query(lambda progress: progress.steerings.get(number))
            steering, request = await asyncio.to_thread(
                reader.steer, number, self.style.name, self.style.parameters, begun
            )
            choose = partial(reader.choose, number=number, as_of=steering.as_of)
        seeds, offset, causation_id = await self._caller.query(lambda progress: progress.seeds_of(number, choose))
        shown = ShownRows() if self._kept is None else await asyncio.to_thread(self._kept.shown, number)
        seeds = beside(seeds, len(shown.kept))
        return GenerationSubject(
            causation_id=causation_id,
            make=lambda ask: self.style.generate(seeds, ask, shown.kept, request),
            seed_ids=tuple(seed.id for seed in seeds),
            seed_commands_offset=offset,
            kept_shown=shown.recorded,
            steering=steering,
        )


@contextmanager
def opened_seed_subjects(
    style: SeedStyle, settings: Settings, configured: RunConfigured, lane: str
) -> Iterator[Callable[[Caller], SeedSubjects]]:
    """The subjects of a lane, once its caller is there, with what they read of the log."""
    kept_reader = closing(KeptReader(settings, configured, lane)) if style.shows_kept else nullcontext()
    steered = closing(SteeringReader(settings, configured, lane)) if steers(configured.policy) else nullcontext()
    with kept_reader as kept, steered as steering:
        yield lambda caller: SeedSubjects(style, caller, kept, steering)
