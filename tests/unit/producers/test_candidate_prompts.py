"""The request for a candidate: a trained generator is asked in its own words, any other model is told what to do."""

import pytest

from infra.models.templates import texts
from infra.models.turned_rows import question, turned
from producers.backends.base import Sampling
from producers.prompts import candidates
from producers.prompts.wording import SAFETY
from schemas.events import Instruction
from tests.unit.trainer.tiny import tokenizer

SEGMENT = "Bees store honey for the winter.\n\nThey seal each cell with wax."
ROW = Instruction(instruction="How do bees prepare for winter?", output=SEGMENT)


def test_a_trained_generator_is_asked_in_exactly_the_prompt_it_was_trained_with() -> None:
    chat, plain = tokenizer(chat=True), tokenizer(chat=False)
    asked = candidates.request(SEGMENT, "chat", trained=True, safety=True)
    (message,) = asked.messages
    shown = chat.apply_chat_template(
        [{"role": "user", "content": message.content}], tokenize=False, add_generation_prompt=True
    )
    assert shown == texts(turned(ROW), chat, "chat")[0]
    assert candidates.request(SEGMENT, "completion", trained=True).prompt == texts(turned(ROW), plain, "alpaca")[0]


def test_any_other_model_gets_the_text_once_and_the_task_in_words() -> None:
    chat = candidates.request(SEGMENT, "structured", trained=False, safety=True)
    assert [message.role for message in chat.messages] == ["system", *["user", "assistant"] * 3, "user"]
    assert chat.messages[0].content.startswith(SAFETY)
    assert chat.messages[-1].content == question(SEGMENT)
    assert chat.messages[2].content.splitlines()[1].startswith("Input: ")
    completion = candidates.request(SEGMENT, "completion", trained=False)
    assert completion.prompt is not None
    assert completion.prompt.endswith(f"Text: {SEGMENT}\nInstruction:")
    assert not any(stop in text for stop in completion.stop for text, *_ in candidates._EXAMPLES)


@pytest.mark.parametrize("trained", [True, False])
def test_sampling_parameters_are_overlaid(trained: bool) -> None:
    asked = candidates.request(SEGMENT, "chat", trained=trained, sampling=Sampling(max_tokens=9))
    assert asked.sampling == Sampling(temperature=0.7, top_p=0.95, max_tokens=9)
