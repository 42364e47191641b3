"""A row as tokens: where the response begins, what is cut from a row that is too long, what a blank output gives."""

import msgspec
import pytest

from consumers.trainer.options import Template
from consumers.trainer.result.chat import ChatTurn, Conversation
from infra.models.templates import choose_template, encode, texts
from schemas.errors import TrainerError
from schemas.events import InstructionKept
from tests.unit.trainer.tiny import kept, tokenizer

CHAT, PLAIN = tokenizer(chat=True), tokenizer(chat=False)


def parts(encoded, reader) -> tuple[str, str]:
    return reader.decode(encoded.tokens[: encoded.prompt]), reader.decode(encoded.tokens[encoded.prompt :])


def test_chat_shows_instruction_and_input_and_learns_output_and_end_mark() -> None:
    row = kept(3, 0, output="three", instruction="Name it")
    assert parts(encode(row, CHAT, "chat", 512), CHAT) == (
        "<|user|>Name it\n\nas a word<|end|>\n<|assistant|>",
        "three<|end|>",
    )


def test_alpaca_leaves_out_the_section_of_an_empty_input() -> None:
    prompt, response = parts(encode(kept(1, 0, output="one"), PLAIN, "alpaca", 512), PLAIN)
    assert "## Given" not in prompt
    assert prompt.endswith("## Answer\n")
    assert response == "one<|end|>"


def test_a_template_that_shows_past_answers_otherwise_still_learns_the_output() -> None:
    other = tokenizer()
    other.chat_template = "{% if add_generation_prompt %}ask {{ messages[0]['content'] }}:{% else %}past{% endif %}"
    assert parts(encode(kept(1, 0, output="one", instruction="it"), other, "chat", 512), other) == (
        "ask it:",
        "one<|end|>",
    )


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


SPECIAL = "say <|end|> or <|user|>, \U0010f000\U0010fffd and <|end|>"


@pytest.mark.parametrize(("template", "reader"), [("chat", CHAT), ("alpaca", PLAIN)])
def test_names_of_special_tokens_in_a_row_are_text(template: Template, reader) -> None:
    row = InstructionKept(
        **{**msgspec.to_builtins(kept(3, 0)), "instruction": SPECIAL, "input": SPECIAL, "output": SPECIAL}
    )
    plain = InstructionKept(**{**msgspec.to_builtins(kept(3, 0)), "instruction": "a", "input": "b", "output": "c"})
    encoded = encode(row, reader, template, 4096)
    special = set(reader.added_tokens_decoder)
    marks = [token for token in encoded.tokens if token in special]
    assert marks == [token for token in encode(plain, reader, template, 4096).tokens if token in special]
    prompt, response = parts(encoded, reader)
    assert (prompt.count(SPECIAL), response) == (2, f"{SPECIAL}<|end|>")
    name = reader("<|end|>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    found = [encoded.tokens[at : at + len(name)] == tuple(name) for at in range(len(encoded.tokens))]
    assert sum(found) == 6


def test_rows_without_such_names_have_the_tokens_of_their_text() -> None:
    row = kept(3, 0, output="three", instruction="Name it")
    prompt, response = texts(row, CHAT, "chat")
    wanted = [*CHAT(prompt)["input_ids"], *CHAT(response)["input_ids"]]
    assert list(encode(row, CHAT, "chat", 512).tokens) == wanted


PAST = "{% for m in messages %}<|{{ m.role }}|>{{ CONTENT }}<|end|>\n{% endfor %}"
THINKS = "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
ASKS = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
ANSWER = "m.content.split('</think>')[-1].lstrip() if m.role == 'assistant' else m.content"
THOUGHT = "('<think>\n' ~ m.content) if m.role == 'assistant' else m.content"
EMPTY = "('<think>\n\n</think>\n\n' ~ m.content) if m.role == 'assistant' else m.content"


@pytest.mark.parametrize(
    ("template", "before", "response"),
    [
        (PAST.replace("CONTENT", ANSWER) + THINKS, "", "one<|end|>"),
        (PAST.replace("CONTENT", ANSWER) + ASKS, "", "one<|end|>"),
        (PAST.replace("CONTENT", EMPTY) + THINKS, "<think>\n\n</think>\n\n", "one<|end|>"),
        (PAST.replace("CONTENT", EMPTY) + ASKS, "", "<think>\n\n</think>\n\none<|end|>"),
        (PAST.replace("CONTENT", THOUGHT) + THINKS, "<think>\n</think>\n\n", "one<|end|>"),
        (
            "{% if add_generation_prompt %}<|user|>{{ messages[0].content }}<|end|>\n<|assistant|>[THINK]{% endif %}",
            "[THINK]\n[/THINK]\n\n",
            "one<|end|>",
        ),
    ],
)
def test_a_response_is_not_trained_inside_an_open_thought(template: str, before: str, response: str) -> None:
    thinking = tokenizer()
    thinking.chat_template = template
    row = kept(1, 0, output="one", instruction="What does <think> mean?")
    assert parts(encode(row, thinking, "chat", 512), thinking) == (
        f"<|user|>What does <think> mean?<|end|>\n<|assistant|>{before}",
        response,
    )


def test_a_chat_asks_with_the_prompt_that_was_trained() -> None:
    thinking = tokenizer()
    thinking.chat_template = PAST.replace("CONTENT", ANSWER) + THINKS
    talk = Conversation(None, thinking, "chat", 0.0, 8, [ChatTurn("What?", "This <|end|>")])
    assert thinking.decode(talk._prompt("And <|user|>?")) == (
        "<|user|>What?<|end|>\n<|assistant|>This <|end|><|end|>\n<|user|>And <|user|>?<|end|>\n<|assistant|>"
    )
    assert [token for token in talk._prompt("And <|user|>?") if token >= 256] == [258, 256, 259, 256, 258, 256, 259]


def test_a_blank_output_has_no_response() -> None:
    assert encode(kept(1, 0, output=" \n"), CHAT, "chat", 512).response == 0


def test_the_chat_template_is_taken_when_there_is_one() -> None:
    assert choose_template(CHAT, None) == "chat"
    assert choose_template(CHAT, "alpaca") == "alpaca"
    assert choose_template(PLAIN, None) == "alpaca"


def test_chat_without_a_chat_template_says_what_to_take() -> None:
    with pytest.raises(TrainerError, match="`alpaca`"):
        choose_template(PLAIN, "chat")
