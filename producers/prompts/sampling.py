"""A style's sampling parameters with the user's changes."""

from dataclasses import replace

from producers.backends.base import Sampling


def overlaid(defaults: Sampling, changes: Sampling | None) -> Sampling:
    """The defaults, overridden by every parameter that `changes` sets."""
    return defaults if changes is None else replace(defaults, **changes.given())
