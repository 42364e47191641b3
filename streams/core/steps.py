"""The requests (steps) of a generation, by prompt style.

Where a generation comes from seeds, step 0 asks for all instructions. `alpaca` has no other step. `two-step` has one
more for each instruction; `self-instruct` two: whether it is a classification task, and its instances.

Where it comes from a segment (`documents`), each of the first steps asks for one candidate, the next one for the scores
of the candidates that were read, and the last, if there is one, for a rewrite of the output.

In a run that answers kept instructions alone (policy `answer`), a generation makes step 0 only, and the requests about
one instruction are steps of its answer.
"""

DOCUMENTS = "documents"
"""The style of generations from segments of documents."""

_REQUESTS_EACH = {"two-step": 1, "self-instruct": 2}


def steps_of(style: str, place: int) -> tuple[int, ...]:
    """The steps of the place-th instruction, in order; the last one asks for its output. None in `documents`: which
    step gave an instruction depends on the answers (`streams.core.parse.segment_answers.SegmentAnswers`)."""
    each = _REQUESTS_EACH.get(style, 0)
    return tuple(range(1 + each * place, 1 + each * (place + 1)))


def asks_apart(style: str) -> bool:
    """Whether instructions and their answers are asked for in requests of their own."""
    return style in _REQUESTS_EACH


def answer_steps(style: str) -> int:
    """How many requests the answer to one kept instruction takes, where it is asked for alone: steps 0, 1, ..."""
    return _REQUESTS_EACH.get(style, 0)


def place_of(style: str, step: int) -> int | None:
    """The place of a step's instruction; None for the step about all of them, and in `documents`."""
    each = _REQUESTS_EACH.get(style, 0)
    return (step - 1) // each if each and step else None


def scoring_step(candidates: int) -> int:
    """The step that asks for the scores, in a generation that asks for so many candidates."""
    return candidates


def rewrite_step(candidates: int) -> int:
    """The step that asks for a rewrite of the output, in a generation that asks for so many candidates."""
    return candidates + 1
