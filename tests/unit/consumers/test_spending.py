"""What a run's answers were for, and what answering kept instructions alone saves."""

import msgspec

from consumers.folds.spending import SpendingFold, Spent
from schemas import ids
from schemas.events import (
    CallAnswered,
    CallStarted,
    Event,
    Instruction,
    InstructionAnswered,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Rejection,
    Usage,
)
from schemas.policy import Policy
from streams.core.preview import preview_lane


def answer(item: str, step: int, tokens: int, usd: float | None = 0.5) -> CallAnswered:
    return CallAnswered(
        request_id=ids.request_id(item, step),
        attempt=1,
        model="m",
        raw="",
        finish_reason="stop",
        usage=Usage(prompt_tokens=tokens, completion_tokens=1),
        cost_usd=usd,
        latency_s=0.0,
    )


def generated(style: str, steps: int, instructions: int = 3) -> tuple[InstructionsGenerated, str]:
    id = ids.generation_id("main", 0)
    event = InstructionsGenerated(
        lane="main",
        number=0,
        style=style,
        parser="strict",
        backend="b",
        model="m",
        parameters={},
        seed_ids=(),
        seed_commands_offset=-1,
        answers=tuple(answer(id, step, 10 * (step + 1)) for step in range(steps)),
        instructions=(Instruction(instruction="Do it."),) * instructions,
        unparsed=(),
        cost_usd=None,
    )
    return event, id


def rejected(*places: int) -> tuple[InstructionsRejected, str]:
    found = tuple(Rejection(id="", place=place, reason="similar") for place in places)
    id = ids.generation_id("main", 0)
    return (
        InstructionsRejected(
            generation_id=id,
            generated_offset=0,
            rejections=found,
            generated=3,
            kept=3 - len(found),
            generated_total=3,
            kept_total=3 - len(found),
        ),
        "verdict",
    )


def answered(place: int, reason: str | None = None, tokens: int = 20) -> tuple[InstructionAnswered, str]:
    generation = ids.generation_id("main", 0)
    id = ids.instruction_id(generation, place)
    row = InstructionKept(
        id=id,
        instruction="Do it.",
        input="",
        output="Done.",
        generation_id=generation,
        generated_offset=0,
        place=place,
        cluster=0,
        classifier_offset=0,
    )
    event = InstructionAnswered(
        row=row,
        style="two-step",
        backend="b",
        model="m",
        parameters={},
        answers=(answer(ids.answered_id(id), 0, tokens),),
        unparsed=(),
        reason=reason,
        cost_usd=0.5,
    )
    return event, ids.answered_id(id)


def fold(*found: tuple[Event, str], policy: Policy = Policy()) -> SpendingFold:  # noqa: B008 - it is frozen
    made = SpendingFold(policy)
    for event, id in found:
        made.apply(event, id)
    return made


def test_answers_to_rejected_instructions_are_what_the_other_order_would_have_saved() -> None:
    for order in ([generated("two-step", 4), rejected(1)], [rejected(1), generated("two-step", 4)]):
        found = fold(*order)
        assert found.spent["lists"] == Spent(calls=1, prompt_tokens=10, completion_tokens=1, usd=0.5)
        assert found.spent["answers"] == Spent(calls=2, prompt_tokens=20 + 40, completion_tokens=2, usd=1.0)
        assert found.spent["answers_rejected"] == Spent(calls=1, prompt_tokens=30, completion_tokens=1, usd=0.5)
        saving = found.saving()
        assert saving is not None and not saving.estimated
        assert (saving.instructions, saving.calls, saving.tokens, saving.usd) == (1, 1.0, 31.0, 0.5)
        assert saving.share_of_calls == 1 / 4 and saving.share_of_tokens == 31 / 104


def test_what_was_saved_is_as_many_mean_answers() -> None:
    events = generated("two-step", 1), rejected(1), answered(0), answered(2, "cut_output", tokens=40)
    found = fold(*events, policy=Policy(answer="kept"))
    assert found.spent["answers"].calls == found.spent["answers_unused"].calls == 1
    saving = found.saving()
    assert saving is not None and saving.estimated
    assert (saving.instructions, saving.calls, saving.tokens, saving.usd) == (1, 1.0, 31.0, 0.5)
    assert saving.share_of_calls == 1 / 4


def test_a_style_that_asks_for_all_at_once_has_lists_and_no_saving() -> None:
    found = fold(generated("alpaca", 1), rejected(0, 1, 2))
    assert found.spent["lists"].calls == 1 and found.saving() is None and found.rejected_unanswered == 0
    assert not found._early and not found._undecided


def test_both_steps_of_self_instruct_are_of_their_instruction() -> None:
    found = fold(generated("self-instruct", 7), rejected(0, 2))
    assert (found.spent["answers"].calls, found.spent["answers_rejected"].calls) == (2, 4)


def test_what_is_not_known_is_counted() -> None:
    event, id = generated("alpaca", 0)
    unknown = CallAnswered(
        request_id=ids.request_id(id, 0),
        attempt=1,
        model="m",
        raw="",
        finish_reason=None,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )
    found = fold((msgspec.structs.replace(event, answers=(unknown,)), id))
    assert found.spent["lists"] == Spent(calls=1, without_usage=1, without_cost=1)


def test_answers_of_a_preview_are_told_from_those_of_the_run_by_their_lane() -> None:
    def started(lane: str) -> tuple[CallStarted, str]:
        item = ids.generation_id(lane, 0)
        start = CallStarted(
            request_id=ids.request_id(item, 0),
            attempt=1,
            generation_id=item,
            lane=lane,
            number=0,
            step=0,
            backend="b",
            model="m",
        )
        return start, ids.child(start.request_id, "started/1")

    lanes = "main", preview_lane(("two-step", "m"))
    calls = [(answer(ids.generation_id(lane, 0), 0, 10), "answered") for lane in lanes]
    found = fold(*map(started, lanes), *calls)
    assert found.spent["preview"] == Spent(calls=1, prompt_tokens=10, completion_tokens=1, usd=0.5)
    assert found.spent["lists"].calls == 0
