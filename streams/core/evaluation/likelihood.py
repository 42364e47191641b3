"""The verdict on a multiple-choice question: which choice a model finds most likely."""

from collections.abc import Sequence


def chosen(loglikelihoods: Sequence[float], choices: Sequence[str]) -> tuple[int, int]:
    """Places of the likeliest choice, and of the likeliest per character of the choice; the first of equals.

    A choice without characters is as one of one character.
    """
    per_character = [value / max(1, len(choice)) for value, choice in zip(loglikelihoods, choices, strict=True)]
    return _first_largest(loglikelihoods), _first_largest(per_character)


def _first_largest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
