"""A scorer at a completion endpoint that returns log-probabilities of prompts, such as vLLM's.

One scoring is one HTTP request with a list of prompts (`prompt_form`), each answered with one token, since servers
generate at least one. Errors are those of `producers.backends.openai`.
"""

from typing import Any

import msgspec

from infra.models.templates import Template
from infra.settings import Settings
from producers.backends.base import Answer, EndpointRefused, Request, Scoring
from producers.backends.openai import OpenAIBackend, json_of
from producers.documents.scoring.logprobs import prompts_in, segment_values
from producers.documents.scoring.options import VERSION, ScorerOptions
from producers.documents.scoring.prompt_form import ScoringPrompts, scoring_prompts
from schemas.events import Usage
from schemas.segments import Scorer, SegmentScores


class EndpointScorer(OpenAIBackend):
    """One endpoint and model. The key of the settings goes to the endpoint of the settings only."""

    local = False

    def __init__(self, settings: Settings, options: ScorerOptions, tokenizer: Any | None = None) -> None:
        """`tokenizer`: the model's; needed for the template `chat`."""
        own = options.base_url is None or options.base_url == settings.base_url
        key = settings.api_key.get_secret_value() if settings.api_key and own else None
        super().__init__(
            model=options.model,
            base_url=options.base_url or settings.base_url,
            api_key=key,
            timeout_s=settings.request_timeout_s,
            name="endpoint-scorer",
            max_answer_bytes=settings.max_answer_bytes,
        )
        self._options = options
        self._template: Template = options.template or "alpaca"
        self._tokenizer = tokenizer
        self._scorer = Scorer(
            backend="endpoint", model=options.model, sha256=None, template=self._template, version=VERSION
        )

    def most_usage(self, scoring: Scoring) -> Usage | None:
        """The tokens of the prompts, and one after each; None without a tokenizer."""
        if self._tokenizer is None or not scoring.segment.strip():
            return None
        prompts = self._prompts(Request(scoring=scoring)).prompts
        return Usage(prompt_tokens=sum(map(len, prompts)), completion_tokens=len(prompts))

    def _accept(self, request: Request) -> None:
        if request.scoring is None:
            raise EndpointRefused(f"The scorer {self.model} scores segments only. Send prompts to the lane's backend.")

    async def _send(self, request: Request) -> Any:
        echoes = self._options.form == "echo"
        options: dict[str, Any] = {"echo": True, "logprobs": 1} if echoes else {"extra_body": {"prompt_logprobs": 0}}
        prompt: Any = self._prompts(request).sent
        return await self.client.completions.create(
            model=self.model, prompt=prompt, max_tokens=1, temperature=0.0, **options
        )

    def _answer(self, request: Request, body: Any, usage: Usage | None, latency_s: float) -> Answer:
        asked = self._prompts(request)
        number = len(asked.sent)
        generated = 1 if usage is None else usage.completion_tokens // number
        found = prompts_in(json_of(body), number, generated)
        bare = None if asked.bare is None else found.pop(0)
        tokens, sums = segment_values(found, bare, asked.tokens, self._options.max_tokens)
        scores = SegmentScores(
            scorer=self._scorer,
            tokens=tokens,
            unconditional=sums[0],
            candidates=tuple(None if place is None else sums[place] for place in asked.candidates),
        )
        model = getattr(body, "model", None)
        return Answer(
            raw=msgspec.json.encode(scores).decode(),
            finish_reason="stop",
            usage=usage,
            model=model if isinstance(model, str) and model else self.model,
            latency_s=latency_s,
        )

    def _prompts(self, request: Request) -> ScoringPrompts:
        scoring = request.scoring or Scoring("", ())
        return scoring_prompts(scoring, self._template, self._tokenizer, max_tokens=self._options.max_tokens)
