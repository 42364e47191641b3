"""Which scorer, and how it scores."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from infra.models.device import Device
from infra.models.precision import Precision
from infra.models.templates import Template
from schemas.errors import ConfigurationError

VERSION = 2
"""Of the scoring: raised whenever the same model would give another value."""


@dataclass(frozen=True, kw_only=True)
class ScorerOptions:
    """Options of a scorer; those of one kind are ignored by the other.

    model         local: `builtin`, a folder or a hub name; endpoint: its name there
    max_tokens    of a segment that are scored, from its beginning
    template      the prompt's form; None: as the model was trained, else its tokenizer's chat template if it has one
                  (local), or `alpaca` (endpoint)
    head_tokens   local: first score all candidates on so many tokens; 0: no such stage
    head_margin   and go on with those at most so many nats a token worse than the best
    device, precision, threads    local: see `infra.models.likelihood.engine`
    base_url      endpoint: None: that of the settings
    form          endpoint: ask for vLLM's `prompt_logprobs`, or for the `echo` of the prompt with its log-probabilities
    tokenizer     endpoint: folder or hub name of the model's; prompts are then sent as its tokens. `chat` needs it
    """

    backend: Literal["local", "endpoint"] = "local"
    model: str = "builtin"
    max_tokens: int = 1024
    template: Template | None = None
    head_tokens: int = 0
    head_margin: float = 0.75
    device: Device = "auto"
    precision: Precision | None = None
    threads: int | None = None
    base_url: str | None = None
    form: Literal["prompt_logprobs", "echo"] = "prompt_logprobs"
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigurationError(f"max_tokens of the scorer is {self.max_tokens}; it must be 1 or more.")
        if not 0 <= self.head_tokens < self.max_tokens:
            raise ConfigurationError(
                f"head_tokens of the scorer is {self.head_tokens}; it must be from 0 (no first stage) to below "
                f"max_tokens, which is {self.max_tokens}."
            )
        if not (isfinite(self.head_margin) and self.head_margin >= 0):
            raise ConfigurationError(
                f"head_margin of the scorer is {self.head_margin}; it must be a number of nats a token, such as 0.5."
            )
        if self.backend == "endpoint" and self.model == "builtin":
            raise ConfigurationError(
                "The scorer at an endpoint has no model. Name one that the endpoint has, or score with a local model."
            )
        if self.backend == "endpoint" and self.head_tokens:
            raise ConfigurationError(
                "head_tokens is for a local scorer: an endpoint scores whole segments. Leave it 0."
            )
        if self.backend == "endpoint" and self.template == "chat" and self.tokenizer is None:
            raise ConfigurationError(
                "At an endpoint the template `chat` needs the model's tokenizer: name its folder or hub name, or take "
                "the template `alpaca`."
            )
