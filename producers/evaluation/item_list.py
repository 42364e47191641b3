"""Items in a list that is always the same, as the queue of ordered work."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from producers.calls.ordered_work import OrderedItem
from schemas.events import Event


@dataclass
class ItemList:
    """The items that are not done.

    items     in order
    done      ids of those whose events were on the log at the start
    on_done   called with the number of items that are done, and of all
    """

    items: Sequence[OrderedItem]
    done: Collection[str]
    on_done: Callable[[int, int], None] = lambda done, of: None
    _next: int = 0
    _finished: int = field(init=False)

    def __post_init__(self) -> None:
        done = self.done = frozenset(self.done)  # the progress goes on counting in its own set
        self.items = [item for item in self.items if item.id not in done]
        self._finished = len(done)

    @property
    def ended(self) -> bool:
        return self._next >= len(self.items)

    def reached(self, items: int) -> None:
        """It has no position: what is done is left out of it at the start."""

    async def next(self) -> OrderedItem | None:
        """The next item; None at the end."""
        if self.ended:
            return None
        self._next += 1
        return self.items[self._next - 1]

    def written(self, event: Event) -> None:
        """An item's event is on the log."""
        self._finished += 1
        self.on_done(self._finished, len(self.items) + len(self.done))
