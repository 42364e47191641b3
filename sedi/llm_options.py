"""Options of the commands that call an LLM, `generate` and `judge`: which backend, how fast, and how much at most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi.options import CommonOptions

if TYPE_CHECKING:
    from infra.settings import Settings
    from producers.backends.batch.options import BatchOptions

Backend = Annotated[
    str | None, typer.Option("--backend", help="`builtin`, `openai`, `transformers`, `recorded`, `load-model`.")
]
Model = Annotated[
    str | None, typer.Option("--model", help="At the endpoint; for transformers a folder, hub name or `builtin`.")
]
Recorded = Annotated[Path | None, typer.Option("--recorded", help="JSON Lines of answers, for `recorded`.")]
RecordedLoop = Annotated[bool, typer.Option("--recorded-loop", help="Begin the file again at its end.")]

InFlight = Annotated[
    int | None,
    typer.Option(
        "--in-flight", min=1, max=256, help="Calls under way at once, at most. Default: found out, from 8 up to 64."
    ),
]
Rpm = Annotated[float | None, typer.Option("--rpm", help="Calls a minute, at most.")]
Tpm = Annotated[float | None, typer.Option("--tpm", help="Tokens a minute, at most.")]
Forever = Annotated[bool, typer.Option("--forever", help="Wait for an endpoint that is down, instead of ending.")]

MaxCalls = Annotated[int | None, typer.Option("--max-calls", min=1, help="End after so many calls of the run.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="End before the run's answers took more, prompts included.")
]
MaxUsd = Annotated[float | None, typer.Option("--max-usd", min=0, help="End when the run has spent so much.")]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much the run's calls may be in all: a group (`sedi.commands`)."""

    max_usd: MaxUsd = None
    max_calls: MaxCalls = None
    max_tokens: MaxTokens = None


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast calls are made."""

    in_flight: InFlight = None
    rpm: Rpm = None
    tpm: Tpm = None
    forever: Forever = False


@dataclass(frozen=True, kw_only=True)
class Batching:
    """Whether calls are asked in batches, and how."""

    batch_api: Annotated[
        bool, typer.Option("--batch-api", help="Ask in batches, within a day, for half the price at OpenAI.")
    ] = False
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, max=10_000, help="Requests of a batch, at most. Default: 500.")
    ] = None
    batch_linger: Annotated[
        float | None,
        typer.Option(
            "--batch-linger", help="Send a smaller batch after so many seconds without a new request. Default: 5."
        ),
    ] = None
    batch_poll: Annotated[
        float | None, typer.Option("--batch-poll", help="Seconds between two looks at a batch. Default: 30.")
    ] = None
    batch_settle: Annotated[
        float | None,
        typer.Option(
            "--batch-settle", help="Seconds after which a batch that is not listed was never created. Default: 30."
        ),
    ] = None
    batch_give_up: Annotated[
        bool, typer.Option("--batch-give-up", help="Ask requests of batches that the endpoint does not know again.")
    ] = False


_ONE_BY_ONE = Batching()


def batch_options(given: Batching) -> BatchOptions | None:
    """How calls are asked in batches; None: each is made by itself."""
    from producers.backends.batch.options import BatchOptions

    if not given.batch_api:
        return None
    named = {
        "size": given.batch_size,
        "linger_s": given.batch_linger,
        "poll_s": given.batch_poll,
        "settle_s": given.batch_settle,
    }
    chosen: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    return BatchOptions(**chosen, give_up=given.batch_give_up)


def call_fields(budget: Budget, pace: Pace, batching: Batching = _ONE_BY_ONE) -> dict[str, Any]:
    """Fields of `CallOptions`."""
    from producers.calls.limits import Limits
    from producers.calls.rate_control import RateOptions
    from producers.calls.retries import Retries

    return {
        "limits": Limits(**vars(budget)),
        "retries": Retries(forever=pace.forever),
        "rate": RateOptions(rpm=pace.rpm, tpm=pace.tpm),
        "in_flight": pace.in_flight,
        "batch": batch_options(batching),
    }


def llm_settings(common: CommonOptions, *, backend: str | None, recorded: Path | None, **flags: object) -> Settings:
    """The settings of a command that calls an LLM; `--recorded` implies the backend of that name."""
    return common.cluster(backend="recorded" if recorded else backend, **flags)
