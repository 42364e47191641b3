"""Before a program spends: whether its limits can be held, and whether what it knows of prices is old."""

from collections.abc import Callable
from datetime import date

from infra.prices import prices_in_use
from infra.settings import Settings
from producers.calls.limits import Limits
from schemas.policy import Policy


def check_spending(
    limits: Limits,
    policy: Policy,
    settings: Settings,
    notify: Callable[[str], None],
    *,
    today: Callable[[], date] = date.today,
) -> None:
    """Say it when the prices in use are from the program's table and old.

    Raises ConfigurationError for limits that cannot be enforced or would block for ever, or for a prices file that
    cannot be read.
    """
    prices = prices_in_use(settings)
    limits.check(policy, priced=prices.known)
    stale = prices.stale(today())
    if stale is not None:
        notify(stale)
