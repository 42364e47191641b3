"""A style's sampling with the user's changes laid over it."""

from dataclasses import replace

from producers.backends.base import Sampling


def overlaid(defaults: Sampling, changes: Sampling | None) -> Sampling:
    """The defaults, with every parameter that `changes` sets."""
    return defaults if changes is None else replace(defaults, **changes.given())
