"""The metrics of calls."""

from infra.metrics import declared
from infra.metrics.meters import meters
from producers.backends.base import Answer, CallFailure
from producers.calls.call_spans import failure_kind
from producers.calls.cost import Prices
from producers.calls.rate_control import RateControl


def count_attempt(outcome: Answer | CallFailure, prices: Prices) -> None:
    """Count an attempt that has ended."""
    by = meters()
    if isinstance(outcome, Answer):
        by.add(declared.CALLS, 1, "answered")
        by.observe(declared.CALL_S, outcome.latency_s)
    else:
        by.add(declared.CALLS, 1, "failed")
        by.add(declared.CALLS_FAILED, 1, failure_kind(outcome))
    usage = outcome.usage
    if usage is not None:
        by.add(declared.TOKENS, usage.prompt_tokens - (usage.cached_tokens or 0), "prompt")
        by.add(declared.TOKENS, usage.cached_tokens or 0, "cached")
        by.add(declared.TOKENS, usage.completion_tokens, "completion")
        by.add(declared.COST, prices.cost(usage) or 0.0)


def meter_rate(rate: RateControl) -> None:
    """Let the calls in flight be read from their rate control."""
    meters().read(declared.CALLS_IN_FLIGHT, lambda: rate.in_flight)
    meters().read(declared.CALLS_LIMIT, lambda: rate.concurrency.limit)
    meters().read(declared.BREAKER_OPEN, lambda: float(rate.breaker.open))
