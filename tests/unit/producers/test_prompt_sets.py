"""Sets of prompts are read in the forms of the published ones, and no row is left out in silence."""

from pathlib import Path

import msgspec
import pytest

from producers.evaluation.answer_files import AnswerFile
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet, read_prompt_file
from schemas.errors import ConfigurationError
from tests.conftest import DATA

OPEN = DATA / "eval_open"
OUTPUTS = DATA / "model_outputs" / "self_instruct_252"


def file(folder: Path, rows: list[dict[str, object]], name: str = "made.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return path


def test_each_published_form_gives_id_prompt_group_and_references(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question_id": 7, "category": "maths", "turns": ["First?", "Then?"]},
        {"id": "k1", "prompt": "Tell me."},
        {
            "id": "u1",
            "motivation_app": "Mail",
            "instruction": "Shorten.",
            "instances": [{"input": "Long.", "output": "S."}, {"input": "Other.", "output": "O."}],
        },
        {"dataset": "helpful_base", "instruction": "Help.", "output": "Yes.", "generator": "x"},
        {"idx": 3, "Skill": "Law", "Difficulty": 2, "Instruction": "Plead."},
        {"question": "Who?", "references": ["I", "", "me"]},
        {"id": "n", "question": "How many?", "references": [42, 1.50], "output": "Many."},
        {"question": "Which?", "references": "This.", "output": "That."},
        {"instruction": "Add.", "instances": [{"input": "1 1", "output": 2}]},
    ]
    (made,) = read_prompt_file(file(tmp_path, rows)).sets
    assert made.name == "made"
    assert made.prompts == (
        EvaluationPrompt("7", "First?", group="maths"),
        EvaluationPrompt("k1", "Tell me."),
        EvaluationPrompt("u1", "Shorten.", "Long.", "Mail", ("S.", "O.")),
        EvaluationPrompt("4", "Help.", group="helpful_base", references=("Yes.",)),
        EvaluationPrompt("3", "Plead.", group="Law"),
        EvaluationPrompt("6", "Who?", references=("I", "me")),
        EvaluationPrompt("n", "How many?", references=("42", "1.5")),
        EvaluationPrompt("8", "Which?", references=("This.",)),
        EvaluationPrompt("9", "Add.", "1 1", references=("2",)),
    )


def test_a_row_without_a_prompt_is_named_and_a_file_without_any_or_with_an_id_twice_is_an_error(tmp_path: Path) -> None:
    found = read_prompt_file(file(tmp_path, [{"prompt": " "}, {"prompt": "Go."}, {"turns": []}, {"text": "x"}]), "mine")
    assert found.skipped == ("line 1", "line 3", "line 4")
    assert found.sets == (PromptSet("mine", (EvaluationPrompt("2", "Go."),)),)
    with pytest.raises(ConfigurationError, match="holds no prompt"):
        read_prompt_file(file(tmp_path, [{"text": "x"}]))
    with pytest.raises(ConfigurationError, match="line 2: the id 'a' is a duplicate"):
        read_prompt_file(file(tmp_path, [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}]))


def test_a_file_may_be_split_by_its_datasets_which_keep_their_rows_numbers(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"dataset": "koala", "instruction": "1"},
        {"dataset": "helpful_base", "instruction": "2"},
        {"dataset": "koala", "instruction": "3"},
    ]
    found = read_prompt_file(file(tmp_path, rows), "*")
    assert [(each.name, [prompt.id for prompt in each.prompts]) for each in found.sets] == [
        ("koala", ["1", "3"]),
        ("helpful", ["2"]),
    ]
    with pytest.raises(ConfigurationError, match="names no `dataset`"):
        read_prompt_file(file(tmp_path, [{"instruction": "1"}]), "*")


def test_a_sets_digest_follows_its_prompts_and_not_its_name() -> None:
    one = EvaluationPrompt("a", "x")
    assert PromptSet("n", (one,)).sha256 == PromptSet("m", (one,)).sha256
    others = [
        (one, EvaluationPrompt("b", "x")),
        (EvaluationPrompt("b", "x"),),
        (EvaluationPrompt("a", "x", "y"),),
        (EvaluationPrompt("a", "x", "", "", ("y",)),),
    ]
    assert len({PromptSet("n", prompts).sha256 for prompts in [(one,), *others]}) == 5
    with pytest.raises(ConfigurationError, match="the id 'a'"):
        PromptSet("n", (one, one))


@pytest.mark.skipif(not OPEN.is_dir(), reason="the public data is not here")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("vicuna_80.jsonl", {"vicuna_80": 80}),
        ("koala_180_part.jsonl", {"koala_180_part": 135}),
        ("oasst_prompt_lottery_250_part.jsonl", {"oasst_prompt_lottery_250_part": 188}),
        ("self_instruct_user_oriented_252.jsonl", {"self_instruct_user_oriented_252": 252}),
        ("*alpaca_eval_part.json", {"helpful": 97, "koala": 119, "oasst": 141, "selfinstruct": 252, "vicuna": 80}),
    ],
)
def test_the_published_sets_are_read_whole(name: str, sizes: dict[str, int]) -> None:
    found = read_prompt_file(OPEN / name.lstrip("*"), "*" if name.startswith("*") else "")
    assert {each.name: len(each.prompts) for each in found.sets} == sizes
    assert not found.skipped


@pytest.mark.skipif(not OUTPUTS.is_dir(), reason="the public data is not here")
def test_the_published_predictions_answer_every_user_oriented_task() -> None:
    (asked,) = read_prompt_file(OPEN / "self_instruct_user_oriented_252.jsonl").sets
    assert all(len(prompt.references) == 1 for prompt in asked.prompts)
    for path in sorted(OUTPUTS.iterdir()):
        assert all(AnswerFile(path).answers(asked.prompts))
    (split,) = (
        each for each in read_prompt_file(OPEN / "alpaca_eval_part.json", "*").sets if each.name == "selfinstruct"
    )
    whole = AnswerFile(OUTPUTS / "text-davinci-001_predictions.jsonl.gz").answers(split.prompts)
    assert sum(text is not None for text in whole) == 252, "with the input in the prompt or apart"


def test_prompts_of_the_same_text_take_their_answers_in_order(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"prompt": "Go.", "output": "1"}, {"prompt": "Go. ", "output": "2"}]
    asked = tuple(EvaluationPrompt(str(n), text) for n, text in enumerate(["Go.", "Stay.", "Go.", "Go."]))
    assert AnswerFile(file(tmp_path, rows)).answers(asked) == ("1", None, "2", "2")


@pytest.mark.parametrize("row", [{"prompt": "Go.", "text": "1"}, {"prompt": "Go.", "output": None}])
def test_a_file_without_any_answer_is_an_error_and_not_a_set_of_empty_ones(
    tmp_path: Path, row: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError, match="Fields of the first: `prompt`, `"):
        AnswerFile(file(tmp_path, [row, row]))
    assert AnswerFile(file(tmp_path, [row, {"prompt": "Go.", "output": "1"}])).answers(
        (EvaluationPrompt("a", "Go."), EvaluationPrompt("b", "Go."))
    ) == ("", "1")
