"""Kept instructions whose answer is not used, and that therefore block no similar ones (policy `failed_answer`).

When an answer comes is not in the log of the filter's causes, so what is released when is an event of its own,
`InstructionsReleased`. Before the filter decides on every `RELEASE_EVERY`-th record of `generated` there is one on
`run`, also when it releases nothing. The first one for an offset counts. `run` has one partition, so all readers agree
on which that is, and no worker decides past such an offset without knowing it: not after a crash, and not while it does
not know yet that another worker has taken over. So decisions follow from the logs alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import InstructionsReleased
from schemas.policy import Policy
from streams.core.decider import FilterState

RELEASE_EVERY = 8


def releases(policy: Policy) -> bool:
    """Whether kept instructions can be released in a run with this policy."""
    return policy.failed_answer == "releases" and policy.answer == "kept"


def release_due(policy: Policy, offset: int) -> bool:
    """Whether there is an InstructionsReleased before the decision on an offset of `generated`."""
    return releases(policy) and offset > 0 and offset % RELEASE_EVERY == 0


def due_release(state: FilterState, offset: int, failed: Iterable[str]) -> InstructionsReleased:
    """The release before the decision on `offset`, when the answers of the rows `failed` are known not to be used."""
    rows = [state.kept[id] for id in failed if id in state.kept and id not in state.released]
    rows.sort(key=lambda row: (row.generated_offset, row.place))
    return InstructionsReleased(from_offset=offset, ids=tuple(row.id for row in rows))


def release(state: FilterState, event: InstructionsReleased) -> FilterState:
    """The state (the same object) in which candidates are not compared with these rows any more.

    They stay kept in all else. Ids of rows that are not kept here change nothing, nor does an event that is not due.
    """
    if release_due(state.policy, event.from_offset):
        for id in event.ids:
            if id in state.kept and id not in state.released:
                state.released[id] = event.from_offset
                if id in state.index:  # else it is noted only, and will not be indexed
                    state.index.remove(id)
    return state


@dataclass
class RecordedReleases:
    """The releases on `run`, by the offset from which each is in force; the first one counts."""

    by_offset: dict[int, InstructionsReleased] = field(default_factory=dict)

    def apply(self, event: object) -> bool:
        """Take an event of `run` into account. False when it is none that counts."""
        fresh = isinstance(event, InstructionsReleased) and event.from_offset not in self.by_offset
        if fresh and isinstance(event, InstructionsReleased):
            self.by_offset[event.from_offset] = event
        return fresh

    def through(self, offset: int) -> list[InstructionsReleased]:
        """Those in force for the decision on an offset, in order."""
        return [self.by_offset[at] for at in sorted(self.by_offset) if at <= offset]

    def of_rows(self, policy: Policy) -> dict[str, int]:
        """From which offset on each released row is not compared with, by its id."""
        found: dict[str, int] = {}
        for at in sorted(self.by_offset):
            if release_due(policy, at):
                found |= {id: at for id in self.by_offset[at].ids if id not in found}
        return found


def recorded_releases(events: Iterable[object]) -> RecordedReleases:
    """The releases among the events of `run`, in log order."""
    found = RecordedReleases()
    for event in events:
        found.apply(event)
    return found
