"""Talking to a trained model: its folder, the conversation so far, and an answer that comes word by word.

The conversation is put to the model in the template that it was trained with, which the folder names (`sedi.json`); of
any other model it is the tokenizer's chat template, or Alpaca's form where there is none. In Alpaca's form, which knows
no conversation, the tasks and answers so far simply stand before the next task.

An answer can be stopped: closing the iterator ends the generation after the token it is at. What was said until then
stays in the conversation.
"""

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.trainer.data.templates import choose_template, encode
from consumers.trainer.engine import cpu
from consumers.trainer.engine.model import load_model_and_tokenizer, load_tokenizer
from consumers.trainer.engine.step import pick_device
from consumers.trainer.options import Device, PrecisionChoice, Template
from consumers.trainer.result.model_export import MODEL, end_tokens, read_model_info
from infra.precision import Precision, choose
from infra.special_tokens import hide, token_ids
from infra.turns import prompt_of
from schemas.errors import TrainerError
from schemas.events import Instruction

_PATIENCE_S = 600.0  # for the next piece of an answer


@dataclass(frozen=True)
class ChatTurn:
    """One turn: what was asked and what was answered."""

    asked: str
    answered: str


@dataclass
class Conversation:
    """A conversation with a loaded model. temperature 0: always the likeliest token."""

    model: Any
    tokenizer: Any
    template: Template
    temperature: float
    max_tokens: int
    said: list[ChatTurn] = field(default_factory=list)

    def answer(self, asked: str) -> Generator[str, None, None]:
        """The answer, piece by piece. Raises TrainerError when the conversation is longer than the model can read."""
        import torch
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        prompt = self._prompt(asked)
        room = self._room(len(prompt))
        stopped = threading.Event()
        failed: list[BaseException] = []
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, timeout=_PATIENCE_S, skip_special_tokens=True)
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
                        max_new_tokens=min(self.max_tokens, room),
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([stop]),
                        **sampling,
                    )
            except BaseException as error:  # noqa: BLE001 - told by the thread that waits for the answer
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
            self.said.append(ChatTurn(asked, "".join(pieces)))
        if failed:
            raise TrainerError(f"The model could not answer: {failed[0]}. Ask for less, or free memory.") from failed[0]

    def _prompt(self, asked: str) -> list[int]:
        if self.template == "chat":
            turns = [*self.said, ChatTurn(asked, "")]
            messages = [
                {"role": role, "content": hide(self.tokenizer, content)}
                for turn in turns
                for role, content in (("user", turn.asked), ("assistant", turn.answered))
            ][:-1]
            return token_ids(self.tokenizer, prompt_of(self.tokenizer, messages))
        tokens: list[int] = []
        for turn in self.said:
            tokens += encode(Instruction(instruction=turn.asked, output=turn.answered), *self._as_asked).tokens
        return [*tokens, *encode(Instruction(instruction=asked), *self._as_asked).tokens]

    @property
    def _as_asked(self) -> tuple[Any, Template, int]:
        return self.tokenizer, self.template, 10**9

    def _room(self, used: int) -> int:
        longest = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if longest is None:
            return self.max_tokens
        if used >= longest:
            raise TrainerError(
                f"The conversation has {used:,} tokens, and the model reads {longest:,}. Begin a new one (`/new`)."
            )
        return int(longest) - used


def model_of_run(state_dir: Path, run: str) -> Path:
    """The folder of the model that was trained on a run. Raises TrainerError when there is none yet."""
    folder = state_dir / run / MODEL
    if not folder.is_dir():
        begun = any((state_dir / run / "checkpoints").glob("step-*"))
        why = (
            "Its training has checkpoints and goes on with `sedi train`; it writes the model when it ends, for which "
            "--max-steps or --until-end can be given."
            if begun
            else f"Train one with `sedi train --run {run}`, or give the folder of a model."
        )
        raise TrainerError(f"There is no model of run {run!r} yet: {folder} is not there. {why}")
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
    """A conversation with the model in a folder, or of a hub name. `say` is told which precision `auto` takes, and why.
    Raises TrainerError when the model cannot be loaded."""
    cpu.passive_threads()
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if threads is not None:
        torch.set_num_threads(threads)
    told = read_model_info(Path(folder))
    tokenizer = load_tokenizer(folder)
    where = pick_device(device)
    model = load_model_and_tokenizer(folder, _precision(precision, where, say), None).eval().to(where)
    model.config.use_cache = True
    chosen = choose_template(tokenizer, template or (None if told is None else told.template))
    if model.generation_config.pad_token_id is None:
        model.generation_config.pad_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = end_tokens(tokenizer, chosen) or None
    return Conversation(model, tokenizer, chosen, temperature, max_tokens)


def _precision(wanted: PrecisionChoice, device: str, say: Callable[[str], None]) -> Precision:
    if wanted != "auto":
        return wanted
    found = choose(device, training=False)
    say(f"Answering in {found.precision}: {found.reason}.")
    return found.precision
