"""Numbers and names of an evaluation as texts, for tables and drawings."""

from collections.abc import Mapping

from consumers.evaluation.results import Interval


def percent(part: float | None) -> str:
    """A share as a percentage; None as a dash."""
    return "–" if part is None else f"{100 * part:.1f} %"


def interval_in_percent(found: Interval) -> str:
    """A share with its bounds, in per cent without the sign."""
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def percent_interval(found: Interval | None) -> str:
    """A share with its bounds."""
    return "–" if found is None else f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def number_interval(found: Interval) -> str:
    """A number with its bounds."""
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def contender(names: Mapping[str, str], model: str, system: str, conditions: str = "") -> str:
    """A model's label, with its system prompt if it has one, and with the other conditions if they are given."""
    label = names.get(model, model)
    label = f"{label}, system prompt {shortened(system)!r}" if system else label
    return f"{label}, {conditions}" if conditions else label


def shortened(text: str, longest: int = 40) -> str:
    """The text in one line of at most so many characters."""
    words = " ".join(text.split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"
