"""The backends of one lane: each with its prices, its rate control, and the ledger's events that name it.

Most lanes have one. A lane that scores what it generates has a second (`producers.documents.scoring`). Rate control is
one an endpoint: where both backends ask one URL with one key, its limits hold for the calls of both together; else a
failing scorer must not hold back the generator's calls, nor its tokens count as the endpoint's. A backend that computes
in this process costs nothing and is limited to two calls, one that it works on and the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from producers.backends.base import Backend, EndpointBackend, ScorerBackend
from producers.calls.cost import FREE, Prices
from producers.calls.ledger_events import LedgerEvents
from producers.calls.rate_control import RateControl, RateOptions

_AT_ONCE = 2


@dataclass
class Channel:
    """A backend with what a call through it needs. `answered`: its calls that were answered so far."""

    backend: Backend
    events: LedgerEvents
    rate: RateControl
    answered: int = 0

    @property
    def prices(self) -> Prices:
        return self.events.prices


class Channels:
    """The lane's own channel, and those of other backends, made when they are first asked for."""

    def __init__(self, own: Channel, price_of: Callable[[Backend], Prices] | None = None) -> None:
        """`price_of`: the prices of another backend at an endpoint; None: those of the own one."""
        self.own = own
        self._price_of = price_of
        self._others: dict[int, Channel] = {}

    def of(self, backend: Backend | None) -> Channel:
        """The channel of a backend; None: the lane's own."""
        if backend is None or backend is self.own.backend:
            return self.own
        found = self._others.get(id(backend))  # the channel holds the backend, so that its id is not given to another
        if found is None:
            found = self._others[id(backend)] = self._made(backend)
        return found

    def _made(self, backend: Backend) -> Channel:
        local = isinstance(backend, ScorerBackend) and backend.local
        priced = self.own.prices if self._price_of is None else self._price_of(backend)
        prices = FREE if local else priced
        events = replace(self.own.events, backend=backend, prices=prices)
        return Channel(backend, events, RateControl(RateOptions(), _AT_ONCE) if local else self._rate(backend))

    def _rate(self, backend: Backend) -> RateControl:
        """That of the endpoint that a backend asks."""
        known = [self.own, *self._others.values()]
        found = next((each.rate for each in known if _same_endpoint(each.backend, backend)), None)
        return self.own.rate.another() if found is None else found


def _same_endpoint(one: Backend, other: Backend) -> bool:
    """Whether both ask one URL with one key."""
    return isinstance(one, EndpointBackend) and isinstance(other, EndpointBackend) and one.account == other.account
