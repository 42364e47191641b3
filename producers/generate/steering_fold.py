"""What the requests of a lane follow, as a fold of `generated`, `rejected` and, where the policy has hints, `kept`."""

from collections import deque

from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected
from schemas.policy import Policy
from streams.core.kept_so_far import KeptText
from streams.core.scores import uncounted
from streams.core.steering import SteeringHistory


class SteeringFold:
    """A fold of three topics into a `SteeringHistory`; they may interleave in any order.

    The history goes up to the last verdict whose generation and kept rows are read too.
    """

    def __init__(self, policy: Policy) -> None:
        self.history = SteeringHistory(policy)
        self._policy = policy
        self._generated: dict[int, tuple[str, int, tuple[str, ...]]] = {}
        self._rows: dict[int, dict[int, InstructionKept]] = {}
        self._verdicts: deque[InstructionsRejected] = deque()
        self._last_verdict = -1

    def apply(self, record: Record) -> None:
        """Apply one record; a repeat changes nothing."""
        match record.event:
            case InstructionsGenerated() as event if record.offset > self.history.as_of:
                is_own = record.id == ids.generation_id(event.lane, event.number)
                self._generated[record.offset] = event.lane, event.number if is_own else -1, event.seed_ids
            case None if record.topic == "generated" and record.offset > self.history.as_of:
                self._generated[record.offset] = "", -1, ()
            case InstructionsRejected() as event if event.generated_offset > self._last_verdict:
                self._last_verdict = event.generated_offset
                self._verdicts.append(event)
            case InstructionKept() as row if self._policy.hints and row.generated_offset > self.history.as_of:
                self._rows.setdefault(row.generated_offset, {}).setdefault(row.place, row)
            case _:
                return
        self._settle()

    def _settle(self) -> None:
        while self._verdicts:
            verdict = self._verdicts[0]
            offset = verdict.generated_offset
            if offset not in self._generated:
                return
            if self._policy.hints and len(self._rows.get(offset, ())) < verdict.kept:
                return
            self._verdicts.popleft()
            lane, number, seed_ids = self._generated.pop(offset)
            rows = sorted(self._rows.pop(offset, {}).values(), key=lambda row: row.place)
            self.history.decide(
                offset,
                lane,
                number if verdict.generation_id else -1,  # the filter could not read it
                seed_ids,
                generated=verdict.generated,
                uncounted=uncounted(self._policy, verdict.rejections),
                kept=verdict.kept,
                rows=[(row.cluster, KeptText(row.id, row.instruction)) for row in rows],
            )
