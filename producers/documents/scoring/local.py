"""A scorer in this process: a causal LM, computed by `infra.models.likelihood.continued`.

One scoring at a time, in a thread of its own, so that the event loop stays free. The same scoring has the same bytes.
A cancelled call ends when its scoring has ended.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from infra.models.likelihood.continued import ContinuationEngine
from infra.models.likelihood.engine import LikelihoodEngine
from infra.models.templates import Template
from producers.backends.base import Answer, CallPlace, EndpointRefused, Request, RequestRefused, Scoring
from producers.documents.scoring.encoding import EncodedScoring, encoded
from producers.documents.scoring.options import VERSION, ScorerOptions
from producers.documents.scoring.stages import staged
from schemas.errors import TrainerError
from schemas.events import Usage
from schemas.segments import Scorer, SegmentScores


class LocalScorer:
    """A loaded model. `model` is its name in the events, `sha256` of its files."""

    name = "local-scorer"
    local = True

    def __init__(
        self, engine: LikelihoodEngine, options: ScorerOptions, *, model: str, sha256: str, template: Template
    ) -> None:
        self.model = model
        self.template: Template = template
        self._engine = engine
        self._continuing = ContinuationEngine(engine)
        self._options = options
        self._scorer = Scorer(backend="local", model=model, sha256=sha256, template=template, version=VERSION)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """The scores of a scoring. Raises RequestRefused for a blank segment, EndpointRefused for another request, and
        when the model cannot compute."""
        started = time.monotonic()
        try:
            scores, computed = await asyncio.get_running_loop().run_in_executor(self._thread, self.score, request)
        except TrainerError as error:
            raise EndpointRefused(f"The scorer {self.model} failed: {error}") from error
        return Answer(
            raw=msgspec.json.encode(scores).decode(),
            finish_reason="stop",
            usage=Usage(prompt_tokens=computed, completion_tokens=0),
            model=self.model,
            latency_s=time.monotonic() - started,
        )

    def score(self, request: Request) -> tuple[SegmentScores, int]:
        """The scores, and how many tokens that took. One thread at a time. Raises as `complete`, and TrainerError
        when the model cannot compute."""
        if request.scoring is None:
            raise EndpointRefused(f"The scorer {self.model} scores segments only. Send prompts to the lane's backend.")
        options, scoring = self._options, self._encoded(request.scoring)
        if not scoring.segment:
            raise RequestRefused("The segment is blank, so it has no tokens to score.")
        found = staged(self._continuing, scoring, options.head_tokens, options.head_margin)
        scores = SegmentScores(
            scorer=self._scorer,
            tokens=len(scoring.segment),
            unconditional=found.unconditional,
            candidates=found.candidates,
            head_tokens=found.head_tokens,
            heads=found.heads,
        )
        return scores, found.computed

    def most_usage(self, scoring: Scoring) -> Usage:
        """The tokens of a scoring in one stage; in two it counts no more. Any thread. Raises EndpointRefused when the
        template cannot be used."""
        try:
            return Usage(prompt_tokens=self._encoded(scoring).most_computed, completion_tokens=0)
        except TrainerError as error:
            raise EndpointRefused(f"The scorer {self.model} failed: {error}") from error

    def _encoded(self, scoring: Scoring) -> EncodedScoring:
        engine = self._engine
        return encoded(
            scoring, engine.tokenizer, self.template, context=engine.max_length, max_tokens=self._options.max_tokens
        )

    async def close(self) -> None:
        """End the thread when its scoring has ended; scorings that wait are cancelled."""
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """As `close`, without an event loop."""
        self._thread.shutdown(wait=True, cancel_futures=True)
