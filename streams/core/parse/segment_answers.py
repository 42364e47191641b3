"""Parses the answers of a generation from a segment: candidates, scores, a rewrite (`streams.core.steps`).

The place of an instruction is its place among the candidates that were read, not its step: an answer that was refused,
has no instruction (`streams.core.parse.candidates`) or has that of an earlier one (`repeated`) gives no place, so that
the scores have one value for each instruction. The output of all is the segment's text; a rewrite replaces that of the
instruction it was made for.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from schemas.events import CallAnswered, Instruction, InstructionsGenerated, Unparsed
from schemas.segments import SegmentScores
from streams.core.parse.candidates import parse_candidate
from streams.core.steps import rewrite_step, scoring_step

WITHDRAWN = "withdrawn"
"""The reason for which a generation is empty: its document was withdrawn after the generation began."""


class AnswerSeen(NamedTuple):
    """The text of an answer to parse, whether it was truncated, and the removed parts."""

    text: str
    cut: bool
    removed: tuple[Unparsed, ...] = ()


See = Callable[[CallAnswered], AnswerSeen]


class SegmentForm(NamedTuple):
    """How to parse a generation from a segment.

    candidates   that were asked for
    output       the segment's text
    rewritten    place of the instruction that the rewrite was made for; None: there is none
    """

    candidates: int
    output: str
    rewritten: int | None = None


class SegmentAnswers(NamedTuple):
    """The parsed answers.

    steps   that the instructions were read from, [instructions]
    """

    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]
    cut: tuple[int, ...]
    steps: tuple[int, ...]
    scores: SegmentScores | None


def read_segment(form: SegmentForm, answers: Mapping[int, CallAnswered], see: See) -> SegmentAnswers:
    """What the answers by step hold; any of them may be missing."""
    found: list[Instruction] = []
    steps: list[int] = []
    cut: list[int] = []
    unparsed: list[Unparsed] = []
    for step in range(form.candidates):
        if step not in answers:
            continue
        seen = see(answers[step])
        unparsed += seen.removed
        candidate = parse_candidate(seen.text)
        if candidate.task is None and seen.removed and not seen.text.strip():
            continue  # refused, or nothing but reasoning: that is said already
        unparsed += candidate.unparsed
        if candidate.task is None:
            continue
        task = msgspec.structs.replace(candidate.task, output=form.output)
        if task in found:
            unparsed.append(Unparsed(reason="repeated", text=task.instruction))
            continue
        if seen.cut and not candidate.complete and all(part.reason != "after_end_mark" for part in seen.removed):
            cut.append(len(found))
        found.append(task)
        steps.append(step)
    scores, left = _scores(answers.get(scoring_step(form.candidates)), len(found))
    unparsed += left
    place = form.rewritten
    rewrite = answers.get(rewrite_step(form.candidates))
    if place is not None and rewrite is not None and place < len(found):
        seen = see(rewrite)
        unparsed += seen.removed
        if seen.text.strip():
            found[place] = msgspec.structs.replace(found[place], output=seen.text.strip())
            cut += [place] if seen.cut and place not in cut else []
        else:
            unparsed.append(Unparsed(reason="empty_rewrite", text=""))
    return SegmentAnswers(tuple(found), tuple(unparsed), tuple(sorted(cut)), tuple(steps), scores)


def is_withdrawn(event: InstructionsGenerated) -> bool:
    """Whether a generation is empty because its document was withdrawn; it may have answers all the same."""
    empty = not event.instructions and event.scores is None
    return empty and any(part.reason == WITHDRAWN for part in event.unparsed)


def _scores(answer: CallAnswered | None, instructions: int) -> tuple[SegmentScores | None, tuple[Unparsed, ...]]:
    """The scores in an answer; None, and left unparsed, if they are not those of so many instructions."""
    if answer is None:
        return None, ()
    try:
        scores = msgspec.json.decode(answer.raw, type=SegmentScores)
    except msgspec.MsgspecError:
        scores = None
    if scores is not None and _fit(scores, instructions):
        return scores, ()
    return None, (Unparsed(reason="unreadable_scores", text=answer.raw),)


def _fit(scores: SegmentScores, instructions: int) -> bool:
    sums = (scores.unconditional, *scores.candidates, *scores.heads)
    return (
        len(scores.candidates) == instructions
        and len(scores.heads) in (0, instructions)
        and all(found is None or math.isfinite(found) for found in sums)
    )
