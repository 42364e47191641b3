"""A conversation with a trained model, whose answers are streamed.

The prompt uses the template that the model was trained with, which its folder names (`sedi.json`). For any other model
it is the tokenizer's chat template, or Alpaca's form without one. Alpaca's form has no conversations: earlier tasks and
answers are put before the next task.

Closing the iterator of an answer stops generation after the current token. The text so far stays in the conversation.
"""

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.trainer.options import PrecisionChoice
from consumers.trainer.result.model_export import MODEL
from infra.models import cpu
from infra.models.device import Device, pick_device
from infra.models.loading import load_model, load_tokenizer
from infra.models.model_info import read_model_info
from infra.models.precision import Precision, choose
from infra.models.special_tokens import hide, token_ids
from infra.models.templates import Template, choose_template, encode, end_tokens
from infra.models.turns import prompt_of
from schemas.errors import TrainerError
from schemas.events import Instruction

_TIMEOUT_S = 600.0  # for the next piece of an answer
_UNLIMITED = 10**9


@dataclass(frozen=True)
class ChatTurn:
    """A question and its answer."""

    question: str
    answer: str


@dataclass
class Conversation:
    """A conversation with a loaded model. temperature 0: greedy decoding."""

    model: Any
    tokenizer: Any
    template: Template
    temperature: float
    max_tokens: int
    turns: list[ChatTurn] = field(default_factory=list)

    def answer(self, question: str) -> Generator[str, None, None]:
        """The answer, piece by piece. Raises TrainerError when the conversation exceeds the model's context."""
        import torch
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        prompt = self._prompt(question)
        max_tokens = self._tokens_left(len(prompt))
        stopped = threading.Event()
        failed: list[BaseException] = []
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, timeout=_TIMEOUT_S, skip_special_tokens=True)
        sampling = {"do_sample": True, "temperature": self.temperature} if self.temperature else {"do_sample": False}

        def stop(input_ids: Any, scores: Any, **_: Any) -> Any:
            return torch.full((input_ids.shape[0],), stopped.is_set(), dtype=torch.bool, device=input_ids.device)

        def generate() -> None:
            tokens = torch.tensor([prompt], device=self.model.device)
            try:
                with torch.inference_mode():
                    self.model.generate(
                        input_ids=tokens,
                        attention_mask=torch.ones_like(tokens),
                        max_new_tokens=min(self.max_tokens, max_tokens),
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([stop]),
                        **sampling,
                    )
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for the answer
                failed.append(error)
                streamer.end()  # type: ignore[no-untyped-call]

        thread = threading.Thread(target=generate, name="answer", daemon=True)
        thread.start()
        pieces: list[str] = []
        try:
            for piece in streamer:
                pieces.append(piece)
                if piece:
                    yield piece
        finally:
            stopped.set()
            thread.join()
            self.turns.append(ChatTurn(question, "".join(pieces)))
        if failed:
            raise TrainerError(f"The model could not answer: {failed[0]}. Ask for less, or free memory.") from failed[0]

    def _prompt(self, question: str) -> list[int]:
        if self.template == "chat":
            messages = [
                {"role": role, "content": hide(self.tokenizer, content)}
                for turn in [*self.turns, ChatTurn(question, "")]
                for role, content in (("user", turn.question), ("assistant", turn.answer))
            ][:-1]
            return token_ids(self.tokenizer, prompt_of(self.tokenizer, messages))
        tokens: list[int] = []
        for row in [Instruction(instruction=turn.question, output=turn.answer) for turn in self.turns]:
            tokens += encode(row, self.tokenizer, self.template, _UNLIMITED).tokens
        last = encode(Instruction(instruction=question), self.tokenizer, self.template, _UNLIMITED)
        return [*tokens, *last.tokens]

    def _tokens_left(self, used: int) -> int:
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if context is None:
            return self.max_tokens
        if used >= context:
            raise TrainerError(
                f"The conversation has {used:,} tokens, and the model's context {context:,}. Begin a new one (`/new`)."
            )
        return int(context) - used


def model_of_run(state_dir: Path, run: str) -> Path:
    """The folder of the model that was trained on a run. Raises TrainerError when there is none yet."""
    folder = state_dir / run / MODEL
    if not folder.is_dir():
        has_checkpoints = any((state_dir / run / "checkpoints").glob("step-*"))
        remedy = (
            "Its training has checkpoints: resume it with `sedi train`. It writes the model when it ends; give "
            "--max-steps or --until-end."
            if has_checkpoints
            else f"Train one with `sedi train --run {run}`, or give the folder of a model."
        )
        raise TrainerError(f"There is no model of run {run!r} yet: {folder} does not exist. {remedy}")
    return folder


def load(
    folder: str,
    *,
    device: Device,
    threads: int | None,
    temperature: float,
    max_tokens: int,
    template: Template | None,
    precision: PrecisionChoice = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> Conversation:
    """A conversation with the model of a folder or hub name. `say` reports the precision that `auto` takes.

    Raises TrainerError when the model cannot be loaded.
    """
    cpu.passive_threads()
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if threads is not None:
        torch.set_num_threads(threads)
    info = read_model_info(Path(folder))
    tokenizer = load_tokenizer(folder)
    target = pick_device(device)
    resolved: Precision | None = None if precision == "auto" else precision
    if resolved is None:
        found = choose(target, training=False)
        say(f"Answering in {found.precision}: {found.reason}.")
        resolved = found.precision
    model = load_model(folder, resolved, None).eval().to(target)
    model.config.use_cache = True
    chosen = choose_template(tokenizer, template or (None if info is None else info.template))
    if model.generation_config.pad_token_id is None:
        model.generation_config.pad_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = end_tokens(tokenizer, chosen) or None
    return Conversation(model, tokenizer, chosen, temperature, max_tokens)
