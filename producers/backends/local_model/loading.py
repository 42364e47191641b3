"""Loads a causal LM and its tokenizer for generation: from a folder, by a hub name, or the built-in model.

A model that cannot be loaded or used is a ConfigurationError that says what to do. A name that looks like a path is
never looked up on a hub. No code that comes with a model is run: weights are read from safetensors only, never
unpickled.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from infra.models.model_info import read_model_info
from infra.models.precision import choose
from infra.models.special_tokens import decoded, hide, plain_ids, token_ids
from infra.models.templates import Template, alpaca_prompt, end_tokens, prompt_tokens
from infra.models.turns import prompt_of, thought_begun
from infra.models.weights import SAFE
from infra.settings import Settings
from infra.visible import first_line
from producers.backends.base import EndpointRefused, Request, RequestRefused
from schemas.errors import ConfigurationError
from schemas.events import Instruction

BUILTIN = "builtin"
"""The built-in model's name in the settings."""

_CONTEXT_TOKENS = 8  # last tokens of a prompt that generated ones are decoded after
_ENDLESS = 2**31
_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True)
class LocalModel:
    """A loaded model.

    ends             tokens that end an answer
    context          most tokens of prompt and answer together
    keeps_logits     whether its forward pass can compute logits of the last position only
    takes_positions  whether its forward pass takes position ids
    trained          the template that it was trained with, which its prompts then follow to the token; None: not known
    """

    name: str
    model: Any
    tokenizer: Any
    device: str
    ends: frozenset[int]
    context: int
    keeps_logits: bool
    takes_positions: bool
    trained: Template | None = None

    def tokenize(self, request: Request) -> tuple[list[int], str]:
        """The tokens of a prompt, or of a chat by the model's template; and the opening of the answer's text.

        The opening is the reasoning block that the template opens, if any. Names of special tokens in the request are
        plain text.

        Raises RequestRefused for a chat that the template does not accept, EndpointRefused without a template.
        """
        if self.trained == "alpaca" and (prompt := _alpaca_prompt(request)) is not None:
            return prompt_tokens(self.tokenizer, hide(self.tokenizer, prompt), "alpaca"), ""
        if request.prompt is not None:
            return plain_ids(self.tokenizer, request.prompt), ""
        if not self.tokenizer.chat_template:
            raise EndpointRefused(
                f"{self.name} has no chat template, so it cannot be used in chat. Set SEDI_API=completion."
            )
        from jinja2 import TemplateError

        messages = [
            {"role": message.role, "content": hide(self.tokenizer, message.content)} for message in request.messages
        ]
        try:
            if self.trained == "chat":
                text = prompt_of(self.tokenizer, messages)
            else:
                text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except (TemplateError, ValueError) as error:
            raise RequestRefused(f"The chat template of {self.name} does not take the request: {error}") from error
        return token_ids(self.tokenizer, text), thought_begun(self.tokenizer, text)

    def text_of(self, prompt: Sequence[int], generated: Sequence[int]) -> str:
        """The text of generated tokens. They are decoded after the prompt's last ones, on which the first character
        may depend."""
        before = list(prompt[-_CONTEXT_TOKENS:])
        return decoded(self.tokenizer, [*before, *generated])[len(decoded(self.tokenizer, before)) :]


def _alpaca_prompt(request: Request) -> str | None:
    """The request as a prompt for a model of the template `alpaca`: a completion as it is, or a chat's only message."""
    if request.prompt is not None or len(request.messages) != 1:
        return request.prompt
    return alpaca_prompt(Instruction(instruction=request.messages[0].content))


def named(model: LocalModel, name: str, trained: Template | None) -> LocalModel:
    """The model under another name; with `trained`, asked in that template and ended by its end tokens."""
    ends = model.ends if trained is None else model.ends | set(end_tokens(model.tokenizer, trained))
    return replace(model, name=name, ends=ends, trained=trained)


def load_model(settings: Settings, notify: Callable[[str], None]) -> LocalModel:
    """The model that the settings name. Raises ConfigurationError."""
    source, name = _source(settings, notify)
    notify(f"loading {name}")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # has an effect only if torch is not imported yet

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = _device(settings.transformers_device)
    wanted = settings.transformers_dtype
    dtype = getattr(torch, _DTYPES[choose(device, training=False).precision] if wanted == "auto" else wanted)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, **SAFE)
        model = model.to(device).eval()
    except Exception as error:  # transformers, tokenizers and safetensors raise errors of many kinds
        raise ConfigurationError(
            f"The model {settings.model!r} cannot be loaded on {device}: {first_line(error)} Set SEDI_MODEL to a "
            "folder that transformers loads as a causal LM, to a hub's name for one, or to `builtin`."
        ) from error
    loaded = local_model(name, model, tokenizer, device)
    info = read_model_info(Path(source))
    if info is None or info.task == "follow":
        return loaded
    return named(loaded, name, info.template)  # an instruction generator is asked in the very tokens it was trained on


def local_model(name: str, model: Any, tokenizer: Any, device: str = "cpu") -> LocalModel:
    """A model that is in memory. Raises ConfigurationError for a kind of model that cannot be batched."""
    from transformers import DynamicCache

    config = model.config.get_text_config()
    kinds = {type(layer).__name__ for layer in DynamicCache(config=model.config).layers}
    if model.config.is_encoder_decoder or not kinds <= {"DynamicLayer", "DynamicSlidingWindowLayer"}:
        raise ConfigurationError(
            f"{name} ({type(model).__name__}) has a state beyond a key-value cache ({', '.join(sorted(kinds))}), which "
            "the transformers backend cannot batch. Serve it with vLLM or llama.cpp and set "
            "SEDI_BACKEND=openai (docs/local-models.md)."
        )
    ends = model.generation_config.eos_token_id
    forward = inspect.signature(model.forward).parameters
    return LocalModel(
        name=name,
        model=model,
        tokenizer=tokenizer,
        device=device,
        ends=frozenset(
            token
            for token in (*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id)
            if token is not None
        ),
        context=getattr(config, "max_position_embeddings", None) or _ENDLESS,
        keeps_logits="logits_to_keep" in forward,
        takes_positions="position_ids" in forward,
    )


def _source(settings: Settings, notify: Callable[[str], None]) -> tuple[str, str]:
    """Where the model is loaded from, and its name in events: of a folder, the last part."""
    if settings.model is None:
        raise ConfigurationError(
            "No model is named for the transformers backend. Set SEDI_MODEL to a folder, to a hub's name, or to "
            "`builtin`."
        )
    if settings.model == BUILTIN:
        from producers.backends.builtin.model import MODEL_NAME, safetensors_folder

        return str(safetensors_folder(settings.cache_dir, notify)), MODEL_NAME
    path = Path(settings.model).expanduser()
    if not (path.exists() or settings.model.startswith((".", "/", "~")) or settings.model.count("/") > 1):
        return settings.model, settings.model
    if not (path / "config.json").is_file():
        raise ConfigurationError(
            f"SEDI_MODEL is {settings.model!r}, and there is no model there: a folder with config.json, weights and "
            "tokenizer is needed, as transformers saves it."
        )
    return str(path), path.resolve().name


def _device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("SEDI_TRANSFORMERS_DEVICE is 'cuda', and torch finds no GPU. Set it to cpu or auto.")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
