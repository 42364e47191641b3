"""Which generations of a lane begin now: decided from limits, backpressure and the stall guard."""

import asyncio
from collections.abc import Sequence

from producers.calls.limits import Behind
from producers.generate.lane_parts import GeneratorState, LaneOptions, LaneServices
from producers.generate.progress import LaneProgress
from producers.generate.subjects import Supply
from schemas import ids
from schemas.events import GenerationHalted
from streams.core.ledger import WINDOW

_POLL_S = 0.2  # between two reads of the log while the filter or the trainer is behind
_AHEAD = 4  # times `concurrency`: generations behind a slow one are held in memory


class Admission:
    """Hands out the numbers of a lane's generations. It moves `state.next_to_begin`, and may halt the caller."""

    def __init__(self, options: LaneOptions, services: LaneServices, state: GeneratorState) -> None:
        self._options = options
        self._services = services
        self._state = state
        self._limits = options.limits
        self._caller = services.caller
        self._subjects = services.subjects
        self._candidates = services.subjects.style.candidates
        self._most_kept = services.subjects.most_kept
        self._supply = Supply(end=state.next_to_begin)

    async def next_numbers(self, in_progress: int) -> Sequence[int]:
        """The numbers of the generations that begin now; none when no more may begin, or there is no room."""
        state = self._state
        concurrency = self._options.concurrency or 2 * self._caller.in_flight_limit
        # The others must not run far ahead of a slow one, nor further than the ledger remembers.
        ahead = min(_AHEAD * concurrency, WINDOW - 1) - (state.next_to_begin - state.next_to_write)
        room = min(concurrency - in_progress, ahead)
        if self._limits.spending and state.next_to_write < state.resumed_end:
            room = min(room, state.resumed_end - state.next_to_begin)
        if room <= 0 or not await self._may_begin(room):
            return ()
        progress, first = await self._caller.query(lambda progress: progress), state.next_to_begin
        while state.next_to_begin < first + room:
            begun = state.next_to_begin
            if self._limits.generation_limit(progress, begun, self._candidates) is not None:
                break
            if begun > first and self._limits.target_expected(progress, begun, self._most_kept):
                break
            if not self._has_subject(begun):
                break
            state.next_to_begin += 1
        return range(first, state.next_to_begin)

    def _has_subject(self, number: int) -> bool:
        return self._supply.end is None or number < self._supply.end

    async def _may_begin(self, room: int) -> bool:
        """Wait until the next generation may begin; False when none may. `room`: so many may begin together."""
        state = self._state
        while self._caller.halted is None:
            progress = await self._caller.refresh()
            reached = self._limits.generation_limit(progress, state.next_to_begin, self._candidates)
            if reached is None:
                self._supply = await self._subjects.supply(state.next_to_begin + room)
                reached = None if self._has_subject(state.next_to_begin) else self._supply.ended
            if reached is not None:
                if state.next_to_begin == state.next_to_write:
                    self._caller.halt(reached)
                return False
            limits = self._limits.without_spending if state.next_to_begin < state.resumed_end else self._limits
            reached = limits.reached(progress)
            if reached is not None:
                self._caller.halt(reached)
                return False
            if await self._stalled(progress):
                return False
            ahead = await self._rows_ahead()
            unanswered = await self._rows_unanswered(progress)
            behind: Behind | None = self._limits.waits_for(progress, ahead, self._most_kept, unanswered)
            if behind is None and self._limits.target_expected(progress, state.next_to_begin, self._most_kept):
                behind = "target"
            if behind is None and not self._has_subject(state.next_to_begin):
                behind = "documents"
            self._services.backpressure.update(behind, self._limits, progress, ahead)
            if behind is None:
                return True
            await self._caller.pause(_POLL_S)
        return False

    async def _rows_ahead(self) -> int | None:
        """Kept rows not trained yet; None without a limit. Counted only if the upper bound exceeds the limit."""
        most, backlog = self._limits.max_ahead, self._services.backlog
        if most is None or backlog is None:
            return None
        at_most, trained, trained_to = await self._caller.query(
            lambda progress: (progress.untrained_at_most, dict(progress.trained), dict(progress.trained_to))
        )
        return at_most if at_most <= most else await asyncio.to_thread(backlog.count, trained, trained_to)

    async def _rows_unanswered(self, progress: LaneProgress) -> int | None:
        """Kept rows without an answer; None without a limit."""
        backlog = self._services.unanswered
        if self._limits.max_unanswered is None or backlog is None:
            return None
        return await asyncio.to_thread(backlog.count, progress.kept_total)

    async def _stalled(self, progress: LaneProgress) -> bool:
        """Whether the stall guard halts the lane. If so, that is written as an event caused by the latest verdict."""
        found = self._options.guard.stalled(progress.rolling)
        if found is None:
            return False
        last = progress.rolling.verdicts[-1]
        event = GenerationHalted(
            lane=self._options.name,
            reason=found.reason,
            rule=found.rule,
            value=found.value,
            floor=found.floor,
            generated_total=last.generated_total,
            kept_total=last.kept_total,
        )
        cause = ids.verdict_id(last.offset)
        id = ids.child(cause, f"halted/{self._options.name}/{found.rule}/{found.floor}")
        await self._caller.write(event, key=self._options.run, id=id, causation_id=cause)
        self._state.stalled = found
        self._caller.halt(found.reason)
        return True
