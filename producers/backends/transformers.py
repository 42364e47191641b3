"""Answers from a causal LM that transformers runs in this process, without a server.

Requests in flight are answered by continuous batching (`producers.backends.local_model.batcher`) in a thread, so that
the event loop stays free. An answer depends on the request and on the seed (`Sampling.seed`, or else the request's id),
and not on the rest of the batch, up to the rounding of the logits. Token counts are exact: the prompt's without
padding, and all generated ones, including the end token and those of a stop text.

A parameter that is not given is 1 (temperature, top_p) or 0 (penalties), whatever the model's own configuration says.
An answer that reaches the end of the context ends with `length`. Structured output is not supported.
"""

import asyncio
import time
from collections.abc import Callable

from infra.settings import Settings
from producers.backends.base import Answer, CallFailure, CallPlace, EndpointRefused, Request, generates_only
from producers.backends.local_model.batcher import BatchedAnswer, Batcher
from producers.backends.local_model.loading import LocalModel, load_model
from schemas.errors import ConfigurationError
from schemas.events import Usage

_NO_SCHEMA = (
    "The transformers backend cannot hold an answer to a JSON schema. Set SEDI_API to chat or completion, or serve the "
    "model with vLLM or llama.cpp and set SEDI_BACKEND=openai (docs/local-models.md)."
)


class TransformersBackend:
    """One model; at most `batch` requests are answered at once."""

    name = "transformers"

    def __init__(self, model: LocalModel, batch: int, notify: Callable[[str], None] = lambda _: None) -> None:
        self.model = model.name
        self._batcher = Batcher(model, batch, notify)

    @classmethod
    def of(cls, settings: Settings, notify: Callable[[str], None]) -> "TransformersBackend":
        """The model that the settings name, loaded. Raises ConfigurationError if it cannot be used, or the API form."""
        if settings.api == "structured":
            raise ConfigurationError(_NO_SCHEMA)
        return cls(load_model(settings, notify), settings.transformers_batch, notify)

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """Generate one answer. Raises CallFailure. If cancelled, the request leaves the batch."""
        generates_only(self.name, request)
        if request.json_schema is not None:
            raise EndpointRefused(_NO_SCHEMA)
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[BatchedAnswer | CallFailure] = loop.create_future()

        def set_outcome(result: BatchedAnswer | CallFailure) -> None:
            if not outcome.done():
                outcome.set_result(result)

        def done(result: BatchedAnswer | CallFailure) -> None:
            if not loop.is_closed():  # a closed loop has no waiters
                loop.call_soon_threadsafe(set_outcome, result)

        seed = place.request_id if request.sampling.seed is None else str(request.sampling.seed)
        queued = self._batcher.submit(request, seed, done)
        try:
            result = await outcome
        finally:
            queued.abandoned = True
        if isinstance(result, CallFailure):
            raise result
        return Answer(
            raw=result.text,
            finish_reason=result.finish_reason,
            usage=Usage(prompt_tokens=result.prompt_tokens, completion_tokens=result.completion_tokens),
            model=self.model,
            latency_s=time.monotonic() - started,
        )

    async def close(self) -> None:
        """End the thread after its current step; waiting requests fail."""
        await asyncio.to_thread(self._batcher.stop)

    def stop(self) -> None:
        """As `close`, without an event loop."""
        self._batcher.stop()
