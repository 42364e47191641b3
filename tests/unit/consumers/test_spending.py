"""What a run's answers were for, and what answering kept instructions alone saves."""

import msgspec

from consumers.folds.spending import SpendingFold
from schemas import ids
from schemas.events import (
    CallAnswered,
    CallFailed,
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
from streams.core.ledger import Ledger
from streams.core.preview import preview_lane
from streams.core.spent import Spent


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
        assert found.spent["lists"] == Spent(calls=1, prompt_tokens=10, completion_tokens=1, known_cost_usd=0.5)
        assert found.spent["answers"] == Spent(calls=2, prompt_tokens=20 + 40, completion_tokens=2, known_cost_usd=1.0)
        assert found.spent["answers_rejected"] == Spent(
            calls=1, prompt_tokens=30, completion_tokens=1, known_cost_usd=0.5
        )
        saving = found.saving()
        assert saving is not None and not saving.estimated
        assert (saving.instructions, saving.calls, saving.tokens, saving.usd) == (1, 1.0, 31.0, 0.5)
        assert saving.share_of_calls == 1 / 4 and saving.share_of_tokens == 31 / 104


def test_money_is_the_same_in_whatever_order_it_is_summed_up() -> None:
    costs = (0.1, 0.2, 0.3)
    assert sum(costs) != sum(reversed(costs))
    paid = []
    for place, usd in enumerate(costs):
        event, id = answered(place)
        paid.append((msgspec.structs.replace(event, answers=(answer(id, 0, 1, usd),)), id))
    for order in (paid, paid[::-1]):
        found = fold(*order, policy=Policy(answer="kept"))
        assert found.by_purpose(0)["answers"].known_cost_usd == 0.6


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


def failed(attempt: int, usage: Usage | None = None, *, perhaps_paid: bool = False) -> tuple[CallFailed, str]:
    event = CallFailed(
        request_id=ids.request_id(ids.generation_id("main", 0), 0),
        attempt=attempt,
        error="no",
        status=500,
        retry=True,
        usage=usage,
        cost_usd=None if usage is None else 0.25,
        perhaps_paid=perhaps_paid,
    )
    return event, f"failed/{attempt}"


def test_the_purposes_together_are_the_ledger() -> None:
    """An answer that nothing uses yet, a repeated one, a failure that took tokens, and one perhaps paid for."""
    event, id = generated("two-step", 4)
    again = msgspec.structs.replace(event.answers[0], attempt=3)
    later = answer(ids.generation_id("main", 1), 0, 70)
    calls: list[tuple[Event, str]] = [(each, f"{each.request_id}/1") for each in (*event.answers, again, later)]
    calls += [failed(1, Usage(prompt_tokens=5, completion_tokens=1, cached_tokens=4)), failed(2)]
    undecided = [*calls, (event, id)]
    for found in (undecided, [*undecided, rejected(1)], [*undecided, rejected(1), failed(4, perhaps_paid=True)]):
        ledger, spending = Ledger(), fold(*found)
        for each, name in found:
            ledger.apply(each, name)
        total, by_purpose = Spent(), spending.by_purpose(lost=2)
        for purpose, spent in by_purpose.items():
            if purpose != "lost":
                total.merge(spent)
        assert total == Spent(**{name: getattr(ledger, name) for name in Spent.__struct_fields__})
        assert (total.tokens, total.cost_usd) == (ledger.tokens, ledger.cost_usd)
        assert (by_purpose["unwritten"].calls, by_purpose["unwritten"].known_tokens) == (2, 11 + 71)
        assert by_purpose["failed"].cached_tokens == 4
        lost = by_purpose["lost"]
        assert (lost.calls, lost.tokens, lost.cost_usd) == (2, None, None), "nobody knows what they took"
    assert ledger.tokens is None and ledger.cost_usd is None, "one part is not known, so the sum is not"
    assert spending.by_purpose(0)["undecided"].calls == 0
    assert fold(*undecided).by_purpose(0)["undecided"].calls == 3


def test_a_saving_whose_answers_do_not_say_what_they_took_is_unknown_and_no_zero() -> None:
    event, id = answered(0)
    silent = msgspec.structs.replace(event.answers[0], usage=None, cost_usd=None)
    unknown = msgspec.structs.replace(event, answers=(silent,)), id
    saving = fold(generated("two-step", 1), rejected(1, 2), unknown, policy=Policy(answer="kept")).saving()
    assert saving is not None
    assert (saving.calls, saving.tokens, saving.usd, saving.share_of_tokens) == (2.0, None, None, None)


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
    assert found.spent["preview"] == Spent(calls=1, prompt_tokens=10, completion_tokens=1, known_cost_usd=0.5)
    assert found.spent["lists"].calls == 0
