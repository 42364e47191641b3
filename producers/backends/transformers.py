"""Answers from a causal LM that transformers runs in this process: no server, no port, no other process.

Requests that are in flight are answered as one batch, which they join and leave one by one
(`producers.backends.local_model.batcher`), in a thread, so that the event loop stays free. An answer follows from the
request and from the seed, that of `Sampling` or else the request's id, and not from what else is in the batch, up to
the rounding of the logits. Tokens are counted exactly: those of the prompt without padding, and those generated, the
one that ended the answer and those of a stop text included.

A parameter that is not given is 1 (temperature, top_p) or 0 (penalties), whatever the model's own configuration says.
An answer that comes to the end of the context ends there with `length`. It has no structured output.
"""

import asyncio
import time
from collections.abc import Callable

from infra.settings import Settings
from producers.backends.base import Answer, CallFailure, CallPlace, EndpointRefused, Request
from producers.backends.local_model.batcher import BatchedAnswer, Batcher
from producers.backends.local_model.loading import LocalModel, load_model
from schemas.errors import ConfigurationError
from schemas.events import Usage

_NO_SCHEMA = (
    "The transformers backend cannot hold an answer to a JSON schema. Set SEDI_API to chat or completion, or serve the "
    "model with vLLM or llama.cpp and set SEDI_BACKEND=openai (docs/local-models.md)."
)


class TransformersBackend:
    """One model; `batch` requests are answered at once, at most."""

    name = "transformers"

    def __init__(self, model: LocalModel, batch: int, notify: Callable[[str], None] = lambda _: None) -> None:
        self.model = model.name
        self._batcher = Batcher(model, batch, notify)

    @classmethod
    def of(cls, settings: Settings, notify: Callable[[str], None]) -> "TransformersBackend":
        """The model that the settings name, loaded. Raises ConfigurationError when it or the form will not do."""
        if settings.api == "structured":
            raise ConfigurationError(_NO_SCHEMA)
        return cls(load_model(settings, notify), settings.transformers_batch, notify)

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """Generate one answer. Raises CallFailure. When it is cancelled, the batch goes on without it."""
        if request.json_schema is not None:
            raise EndpointRefused(_NO_SCHEMA)
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[BatchedAnswer | CallFailure] = loop.create_future()

        def settle(made: BatchedAnswer | CallFailure) -> None:
            if not outcome.done():
                outcome.set_result(made)

        seed = place.request_id if request.sampling.seed is None else str(request.sampling.seed)
        asked = self._batcher.submit(request, seed, lambda made: _told(loop, settle, made))
        try:
            made = await outcome
        finally:
            asked.given_up = True
        if isinstance(made, CallFailure):
            raise made
        return Answer(
            raw=made.text,
            finish_reason=made.finish_reason,
            usage=Usage(prompt_tokens=made.prompt_tokens, completion_tokens=made.completion_tokens),
            model=self.model,
            latency_s=time.monotonic() - started,
        )

    async def close(self) -> None:
        """End the thread, after the step that is under way; what waits is given up."""
        await asyncio.to_thread(self._batcher.stop)

    def stop(self) -> None:
        """As `close`, without an event loop."""
        self._batcher.stop()


def _told(
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[BatchedAnswer | CallFailure], None],
    made: BatchedAnswer | CallFailure,
) -> None:
    """Settle in the loop; one that has been closed has nobody who waits."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, made)
