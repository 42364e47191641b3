"""Answers from a file, for tests and what-if runs, with optional injected faults.

The file is JSON Lines, one answer a line: `{"raw": ..., "finish_reason": "stop", "usage": {...}}`, the last two
optional.

A call's answer depends only on its place: a generator that restarts gets the same answers, and each of several lanes
gets the answers that it would get alone. In the `alpaca` style the number-th generation gets the number-th line. In
`two-step` a generation takes `per_generation` lines: line number × per_generation + step. A fault depends only on the
request id, the attempt and `seed`: a retry may succeed, a repeated run has the same faults.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from producers.backends.base import Answer, CallPlace, EndpointRefused, FailureKind, Request, Transient
from schemas.errors import ConfigurationError
from schemas.events import Usage


class RecordedAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the file."""

    raw: str
    finish_reason: str | None = "stop"
    usage: Usage | None = None


@dataclass(frozen=True)
class Faults:
    """Shares of attempts that fail, or whose answer is damaged; together at most 1.

    time_out, rate_limited (429), server_error (500)   the attempt fails; a retry may succeed
    cut       the answer ends half-way with finish reason `length`
    garbled   a third of the answer's characters are replaced
    """

    time_out: float = 0.0
    rate_limited: float = 0.0
    server_error: float = 0.0
    cut: float = 0.0
    garbled: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = [self.time_out, self.rate_limited, self.server_error, self.cut, self.garbled]
        if min(shares) < 0 or sum(shares) > 1:
            raise ConfigurationError(f"Fault shares are {shares}; each must be 0 or more, and their sum at most 1.")

    def drawn(self, request_id: str, attempt: int) -> str | None:
        """The fault of an attempt, or None."""
        digest = hashlib.sha256(f"{self.seed}/{request_id}/{attempt}".encode()).digest()
        at = int.from_bytes(digest[:8]) / 2**64
        for name in ("time_out", "rate_limited", "server_error", "cut", "garbled"):
            share = getattr(self, name)
            if at < share:
                return name
            at -= share
        return None


@dataclass(frozen=True)
class RecordedOptions:
    """Which file, and how it is used.

    loop             start again at its end; otherwise a call beyond it is refused
    per_generation   lines of a generation: 1 for one call a generation
    latency_s        of each answer
    """

    file: Path
    loop: bool = False
    per_generation: int = 1
    latency_s: float = 0.0
    faults: Faults = Faults()


class RecordedBackend:
    """Answers of one file. Raises ConfigurationError if the file cannot be read as answers."""

    name = "recorded"

    def __init__(self, options: RecordedOptions) -> None:
        self.model = options.file.name
        self._options = options
        self._answers = read_answers(options.file)
        if options.per_generation < 1:
            raise ConfigurationError(f"per_generation is {options.per_generation}; a generation takes 1 line or more.")

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """The recorded answer of this place. Raises Transient for an injected fault, EndpointRefused at the end."""
        await asyncio.sleep(self._options.latency_s)
        fault = self._options.faults.drawn(place.request_id, place.attempt)
        if fault == "time_out":
            raise Transient("Injected fault: no answer in time.", kind=FailureKind.TIME_OUT)
        if fault == "rate_limited":
            raise Transient("Injected fault: 429, too many requests.", status=429, retry_after_s=0.0)
        if fault == "server_error":
            raise Transient("Injected fault: 500, internal error.", status=500)
        answer = self._answer(place)
        raw, reason = answer.raw, answer.finish_reason
        if fault == "cut":
            raw, reason = raw[: len(raw) // 2], "length"
        elif fault == "garbled":
            raw = "".join("\ufffd" if at % 3 == 0 else character for at, character in enumerate(raw))
        return Answer(raw, reason, answer.usage, self.model, self._options.latency_s)

    async def close(self) -> None:
        """There is nothing to close."""

    def _answer(self, place: CallPlace) -> RecordedAnswer:
        line = place.number * self._options.per_generation + place.step
        if line >= len(self._answers) and not self._options.loop:
            raise EndpointRefused(
                f"{self._options.file} holds {len(self._answers)} answers and generation {place.number} needs "
                f"number {line + 1}. Stop earlier with --max-generations, or let the file loop."
            )
        return self._answers[line % len(self._answers)]


def read_answers(file: Path) -> list[RecordedAnswer]:
    """The answers of a JSON Lines file; blank lines are skipped. Raises ConfigurationError with the line's number."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # not splitlines: a JSON text may contain U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Recorded answers cannot be read from {file}: {error}.") from error
    answers = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                answers.append(msgspec.json.decode(line, type=RecordedAnswer))
            except msgspec.MsgspecError as error:
                raise ConfigurationError(
                    f"{file}, line {number}: not a recorded answer ({error}). Each line must be a JSON object with raw "
                    "and, if known, finish_reason and usage {prompt_tokens, completion_tokens}."
                ) from error
    if not answers:
        raise ConfigurationError(f"{file} holds no recorded answer. Give a file with at least one line.")
    return answers
