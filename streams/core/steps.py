"""Which request of a generation is about which instruction, by the style: request 0 is about all of them.

`alpaca` makes no other request. `two-step` asks one more for each instruction; `self-instruct` two: whether it is a
classification task, and for instances.
"""

_REQUESTS_EACH = {"two-step": 1, "self-instruct": 2}


def steps_of(style: str, place: int) -> tuple[int, ...]:
    """The steps that are about the place-th instruction alone, in the order asked; the last gives it its output."""
    each = _REQUESTS_EACH.get(style, 0)
    return tuple(range(1 + each * place, 1 + each * (place + 1)))


def place_of(style: str, step: int) -> int | None:
    """The instruction that a step is about alone; None when it is about all of them."""
    each = _REQUESTS_EACH.get(style, 0)
    return (step - 1) // each if each and step else None
