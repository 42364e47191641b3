"""A kept row as tokens: the prompt that the model reads and the response that it learns.

Prompt and response are tokenized separately, as at inference, so the boundary between them is exact. `chat` uses the
tokenizer's chat template (`infra.models.turns`), and the response ends with its end-of-turn token; `alpaca` is plain
text in sections, and the response ends with the end-of-text token. Special tokens come from the template alone: their
names in a row are text (`infra.models.special_tokens`).

A row that is too long loses tokens from the middle of its prompt first, so that the beginning of the instruction and
the marker before the response stay. Only when the prompt is down to a quarter of the limit does the response lose its
end. A row with a blank output has no response: it stays in its batch, with no weight in the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra.models.special_tokens import hide, token_ids
from infra.models.turns import exchange
from schemas.errors import TrainerError
from schemas.events import Instruction, InstructionKept

AnyRow = InstructionKept | Instruction
Template = Literal["chat", "alpaca"]


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of a row: `prompt` tokens, then the response. `truncated`: it was cut to the limit."""

    tokens: tuple[int, ...]
    prompt: int
    truncated: bool

    @property
    def response(self) -> int:
        """Number of response tokens."""
        return len(self.tokens) - self.prompt


def choose_template(tokenizer: Any, wanted: Template | None) -> Template:
    """The template to use. Raises TrainerError for `chat` with a tokenizer that has no chat template."""
    has_chat = bool(getattr(tokenizer, "chat_template", None))
    if wanted == "chat" and not has_chat:
        raise TrainerError("The model's tokenizer has no chat template. Take the template `alpaca`.")
    return wanted or ("chat" if has_chat else "alpaca")


def texts(row: AnyRow, tokenizer: Any, template: Template) -> tuple[str, str]:
    """Prompt and response as text."""
    if template == "chat":
        return exchange(tokenizer, chat_question(row), row.output)
    return alpaca_prompt(row), row.output + (tokenizer.eos_token or "")


def encode(row: AnyRow, tokenizer: Any, template: Template, max_length: int) -> EncodedRow:
    """The row's tokens, at most `max_length`."""
    hidden = Instruction(**{name: hide(tokenizer, getattr(row, name)) for name in ("instruction", "input", "output")})
    prompt_text, response_text = texts(hidden, tokenizer, template)
    prompt = prompt_tokens(tokenizer, prompt_text, template)
    response = token_ids(tokenizer, response_text) if row.output.strip() else []
    return _fit(prompt, response, max_length)


def chat_question(row: AnyRow) -> str:
    """The user's turn of a row in the template `chat`."""
    return f"{row.instruction}\n\n{row.input}" if row.input.strip() else row.instruction


def alpaca_prompt(row: AnyRow) -> str:
    """The prompt of a row in the template `alpaca`, as text."""
    given = f"\n\n## Given\n{row.input}" if row.input.strip() else ""
    return f"Do the following task and write down the answer.\n\n## Task\n{row.instruction}{given}\n\n## Answer\n"


def prompt_tokens(tokenizer: Any, prompt: str, template: Template) -> list[int]:
    """Token ids of a prompt of this template, with placeholders, as a model is trained on them (`encode`)."""
    tokens = token_ids(tokenizer, prompt)
    if template == "alpaca" and tokenizer.bos_token_id is not None:
        return [tokenizer.bos_token_id, *tokens]
    return tokens


def end_tokens(tokenizer: Any, template: Template) -> list[int]:
    """The tokens that end an answer: end of text, and the special token that ends a response in this template."""
    whole = encode(Instruction(instruction="Say so.", output="So."), tokenizer, template, 512).tokens
    last = tokenizer.added_tokens_decoder.get(whole[-1])
    ends = (tokenizer.eos_token_id, whole[-1] if last is not None and last.special else None)
    return list(dict.fromkeys(token for token in ends if token is not None))


def shortened(prompt: Sequence[int], room: int) -> tuple[int, ...]:
    """A prompt's tokens, at most `room`: beginning and end stay, in equal parts."""
    if len(prompt) <= room:
        return tuple(prompt)
    head = (room + 1) // 2
    return (*prompt[:head], *prompt[len(prompt) - (room - head) :])


def _fit(prompt: list[int], response: list[int], max_length: int) -> EncodedRow:
    if len(prompt) + len(response) <= max_length:
        return EncodedRow((*prompt, *response), len(prompt), False)
    room = min(len(prompt), max(max_length - len(response), max_length // 4))
    return EncodedRow((*shortened(prompt, room), *response[: max_length - room]), room, True)
