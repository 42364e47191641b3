"""Options of the commands that call an LLM, `generate` and `judge`: which backend, how fast, and how much at most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi.options import cluster_of

if TYPE_CHECKING:
    from infra.settings import Settings

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


def call_fields(
    *,
    max_calls: int | None,
    max_tokens: int | None,
    max_usd: float | None,
    forever: bool,
    rpm: float | None,
    tpm: float | None,
    in_flight: int | None,
) -> dict[str, Any]:
    """Fields of `CallOptions`, from the flags for how much and how fast."""
    from producers.calls.limits import Limits
    from producers.calls.rate_control import RateOptions
    from producers.calls.retries import Retries

    return {
        "limits": Limits(max_calls=max_calls, max_tokens=max_tokens, max_usd=max_usd),
        "retries": Retries(forever=forever),
        "rate": RateOptions(rpm=rpm, tpm=tpm),
        "in_flight": in_flight,
    }


def llm_settings(
    bootstrap_servers: str | None,
    state_dir: Path | None,
    *,
    backend: str | None,
    recorded: Path | None,
    **flags: object,
) -> Settings:
    """The settings of a command that calls an LLM; `--recorded` implies the backend of that name."""
    return cluster_of(bootstrap_servers, state_dir, backend="recorded" if recorded else backend, **flags)
