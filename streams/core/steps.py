"""The requests (steps) of a generation, by prompt style. Step 0 asks for all instructions.

`alpaca` has no other step. `two-step` has one more for each instruction; `self-instruct` two: whether it is a
classification task, and its instances.
"""

_REQUESTS_EACH = {"two-step": 1, "self-instruct": 2}


def steps_of(style: str, place: int) -> tuple[int, ...]:
    """The steps of the place-th instruction, in order; the last one asks for its output."""
    each = _REQUESTS_EACH.get(style, 0)
    return tuple(range(1 + each * place, 1 + each * (place + 1)))


def place_of(style: str, step: int) -> int | None:
    """The place of a step's instruction; None for the step about all of them."""
    each = _REQUESTS_EACH.get(style, 0)
    return (step - 1) // each if each and step else None
