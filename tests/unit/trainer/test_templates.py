"""A row as tokens: where the response begins, what is cut from a row that is too long, what a blank output gives."""

import pytest

from consumers.trainer.templates import choose_template, encode
from schemas.errors import TrainerError
from tests.unit.trainer.tiny import kept, tokenizer

CHAT, PLAIN = tokenizer(chat=True), tokenizer(chat=False)


def parts(encoded, reader) -> tuple[str, str]:
    return reader.decode(encoded.tokens[: encoded.prompt]), reader.decode(encoded.tokens[encoded.prompt :])


def test_chat_shows_instruction_and_input_and_learns_output_and_end_mark() -> None:
    row = kept(3, 0, output="three", instruction="Name it")
    assert parts(encode(row, CHAT, "chat", 512), CHAT) == (
        "<|user|>Name it\n\nas a word<|end|>\n<|assistant|>", "three<|end|>",
    )  # fmt: skip


def test_alpaca_leaves_out_the_section_of_an_empty_input() -> None:
    prompt, response = parts(encode(kept(1, 0, output="one"), PLAIN, "alpaca", 512), PLAIN)
    assert "## Given" not in prompt
    assert prompt.endswith("## Answer\n")
    assert response == "one<|end|>"


def test_a_template_that_shows_past_answers_otherwise_still_learns_the_output() -> None:
    other = tokenizer()
    other.chat_template = "{% if add_generation_prompt %}ask {{ messages[0]['content'] }}:{% else %}past{% endif %}"
    assert parts(encode(kept(1, 0, output="one", instruction="it"), other, "chat", 512), other) == (
        "ask it:", "one<|end|>",
    )  # fmt: skip


def test_a_long_prompt_loses_its_middle_and_the_response_stays_whole() -> None:
    encoded = encode(kept(1, 0, output="yes", instruction="a" * 300 + "z" * 300), CHAT, "chat", 64)
    prompt, response = parts(encoded, CHAT)
    assert len(encoded.tokens) == 64
    assert encoded.truncated
    assert prompt.startswith("<|user|>aaa")
    assert prompt.endswith("zzz<|end|>\n<|assistant|>")
    assert response == "yes<|end|>"


def test_a_long_response_loses_its_end_only_when_the_prompt_is_down_to_a_quarter() -> None:
    encoded = encode(kept(1, 0, output="y" * 500, instruction="a" * 500), CHAT, "chat", 64)
    assert (encoded.prompt, encoded.response) == (16, 48)
    short = encode(kept(1, 0, output="y" * 500, instruction="a"), CHAT, "chat", 64)
    assert parts(short, CHAT)[0] == "<|user|>a<|end|>\n<|assistant|>"
    assert len(short.tokens) == 64


def test_a_blank_output_has_no_response() -> None:
    assert encode(kept(1, 0, output=" \n"), CHAT, "chat", 512).response == 0


def test_the_chat_template_is_taken_when_there_is_one() -> None:
    assert choose_template(CHAT, None) == "chat"
    assert choose_template(CHAT, "alpaca") == "alpaca"
    assert choose_template(PLAIN, None) == "alpaca"


def test_chat_without_a_chat_template_says_what_to_take() -> None:
    with pytest.raises(TrainerError, match="`alpaca`"):
        choose_template(PLAIN, "chat")
