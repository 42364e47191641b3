"""What both similarity indexes, the reference and the compiled one, take and refuse."""

from collections.abc import Container, Iterable

from schemas.errors import ConfigurationError, SediError

Position = tuple[int, int]
"""An item's position in the log: (offset, place)."""


def checked(threshold: float) -> float:
    """The threshold. Raises ConfigurationError unless 0 <= threshold < 1."""
    if not 0.0 <= threshold < 1.0:
        raise ConfigurationError(f"threshold is {threshold!r}; it must be at least 0 and below 1.")
    return threshold


def known(id: str) -> SediError:
    """The error of adding an id that is there."""
    return SediError(f"The similarity index holds {id!r} already; add an item once.")


def unknown(id: str) -> SediError:
    """The error of removing an id that is not there."""
    return SediError(f"The similarity index does not hold {id!r}; only what was added can be removed.")


def check_new(index: Container[str], items: Iterable[tuple[str, str, Position]]) -> None:
    """Raises SediError for an item whose id is in the index, or in the items, already."""
    seen = set()
    for id, _, _ in items:
        if id in index or id in seen:
            raise known(id)
        seen.add(id)
