"""Parsing the answers of a recorded generation again gives the recorded instructions."""

from schemas import ids
from schemas.events import CallAnswered, Instruction, InstructionsGenerated, KeptShown
from streams.core.parse.answers import by_step, form_of, read

GENERATION = ids.generation_id("main", 7)


def answered(step: int, raw: str, finish_reason: str = "stop") -> CallAnswered:
    return CallAnswered(
        request_id=ids.request_id(GENERATION, step),
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


def event(style: str, answers: list[CallAnswered], instructions: int, **others: object) -> InstructionsGenerated:
    fields: dict[str, object] = {"parameters": {"most": 2}, "kept_shown": None} | others
    return InstructionsGenerated(
        lane="main",
        number=7,
        style=style,
        parser="strict",
        backend="recorded",
        model="m",
        seed_ids=("s1", "s2", "s3"),
        seed_commands_offset=-1,
        answers=tuple(answers),
        instructions=(Instruction(instruction="what was read is not looked at"),) * instructions,
        unparsed=(),
        cost_usd=None,
        **fields,  # type: ignore[arg-type]
    )


def again(made: InstructionsGenerated) -> tuple[list[tuple[str, str, str]], list[str]]:
    instructions, unparsed, _ = read(form_of(made), by_step(made))
    return [(one.instruction, one.input, one.output) for one in instructions], [part.reason for part in unparsed]


def test_a_list_gives_as_many_as_are_taken_and_one_without_an_answer_has_no_output() -> None:
    listed = answered(0, "4. Name a city.\n5. Add two numbers.\n6. Name a colour.")
    assert again(event("two-step", [listed, answered(2, " 4 ")], 2)) == (
        [("Name a city.", "", ""), ("Add two numbers.", "", "4")],
        ["over_the_limit"],
    )


def test_numbers_of_an_answer_go_on_from_the_seeds_and_the_kept_that_were_shown() -> None:
    raw = " Sing.\n7. Sum up.\n8. Count to three."  # of five tasks shown, so its first is the sixth
    made = event("self-instruct", [answered(0, raw)], 2, kept_shown=KeptShown(as_of=3, ids=("a", "b")))
    assert [text for text, _, _ in again(made)[0]] == ["Sing.", "Sum up."]


def test_an_instance_is_read_by_what_was_said_of_its_instruction() -> None:
    listed = answered(0, "4. Is the word a fruit?\n5. Write a greeting.")
    answers = [
        listed,
        answered(1, "Yes"),
        answered(2, "Class label: fruit\nWord: pear"),
        answered(3, "perhaps"),
        answered(4, "Output: Good day."),
    ]
    read_again, left = again(event("self-instruct", answers, 2))
    assert read_again == [("Is the word a fruit?", "Word: pear", "fruit"), ("Write a greeting.", "", "Good day.")]
    assert left == ["neither_yes_nor_no"]


def test_a_cut_answer_loses_its_last_task_and_json_is_read_where_it_was_asked_for() -> None:
    raw = " Name a city.\n4. Output:\nParis.\n###\n5. Instruction: Sing.\n5. Output:\nLa"
    assert again(event("alpaca", [answered(0, raw, "length")], 1)) == ([("Name a city.", "", "Paris.")], ["cut"])
    tasks = '{"tasks": [{"instruction": "Sing.", "input": "", "output": "La."}]}'
    made = event("alpaca", [answered(0, tasks)], 1, parameters={"api": "structured"})
    assert again(made) == ([("Sing.", "", "La.")], [])


def test_an_answer_to_another_generations_request_is_no_answer_of_this_one() -> None:
    stray = answered(1, "Paris.")
    stray = CallAnswered(
        **{name: getattr(stray, name) for name in stray.__struct_fields__}
        | {"request_id": ids.request_id(ids.generation_id("main", 8), 1)}
    )
    made = event("two-step", [answered(0, "4. Name a city."), stray], 1)
    assert again(made)[0] == [("Name a city.", "", "")]
