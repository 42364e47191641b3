"""A kept row as tokens: what the model is shown (prompt) and what it learns to say (response).

Prompt and response are tokenised apart, as they are when the model is asked later, so the border between them is exact.
`chat` uses the tokenizer's own chat template (`turns`) and learns its end-of-turn mark; `alpaca` is a plain text in
sections and learns the end-of-text token. Special tokens come from the template alone: their names in a row are text
(`special_tokens`). A row that is too long loses prompt tokens first, from the prompt's middle, so that the
head of the instruction and the mark before the answer stay; only when the prompt is down to a quarter of the limit does
the response lose its end. A row with a blank output has no response: it is kept in its batch and weighs nothing.
"""

from dataclasses import dataclass
from typing import Any

from consumers.trainer.options import Template
from infra.special_tokens import hide, token_ids
from infra.turns import exchange
from schemas.errors import TrainerError
from schemas.events import Instruction, InstructionKept

Shown = InstructionKept | Instruction


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of a row; the response is what comes after the first `prompt` of them."""

    tokens: tuple[int, ...]
    prompt: int
    truncated: bool

    @property
    def response(self) -> int:
        """Number of response tokens."""
        return len(self.tokens) - self.prompt


def choose_template(tokenizer: Any, wanted: Template | None) -> Template:
    """The template to use; raises TrainerError for `chat` with a tokenizer that has no chat template."""
    has_chat = bool(getattr(tokenizer, "chat_template", None))
    if wanted == "chat" and not has_chat:
        raise TrainerError("The model's tokenizer has no chat template. Take the template `alpaca`.")
    return wanted or ("chat" if has_chat else "alpaca")


def texts(row: Shown, tokenizer: Any, template: Template) -> tuple[str, str]:
    """Prompt and response as they are tokenised."""
    return _chat(row, tokenizer) if template == "chat" else _alpaca(row, tokenizer)


def encode(row: Shown, tokenizer: Any, template: Template, max_length: int) -> EncodedRow:
    """The row's tokens, at most `max_length`."""
    hidden = Instruction(**{name: hide(tokenizer, getattr(row, name)) for name in ("instruction", "input", "output")})
    prompt_text, response_text = texts(hidden, tokenizer, template)
    prompt = token_ids(tokenizer, prompt_text)
    if template == "alpaca" and tokenizer.bos_token_id is not None:
        prompt = [tokenizer.bos_token_id, *prompt]
    response = token_ids(tokenizer, response_text) if row.output.strip() else []
    return _fit(prompt, response, max_length)


def _fit(prompt: list[int], response: list[int], max_length: int) -> EncodedRow:
    if len(prompt) + len(response) <= max_length:
        return EncodedRow((*prompt, *response), len(prompt), False)
    room = min(len(prompt), max(max_length - len(response), max_length // 4))
    head = (room + 1) // 2
    shorter = (*prompt[:head], *prompt[len(prompt) - (room - head) :])
    return EncodedRow((*shorter, *response[: max_length - room]), room, True)


def _chat(row: Shown, tokenizer: Any) -> tuple[str, str]:
    asked = f"{row.instruction}\n\n{row.input}" if row.input.strip() else row.instruction
    return exchange(tokenizer, asked, row.output)


def _alpaca(row: Shown, tokenizer: Any) -> tuple[str, str]:
    given = f"\n\n## Given\n{row.input}" if row.input.strip() else ""
    prompt = f"Do the following task and write down the answer.\n\n## Task\n{row.instruction}{given}\n\n## Answer\n"
    return prompt, row.output + (tokenizer.eos_token or "")
