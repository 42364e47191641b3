"""Generated answers through the whole pipeline: the backend, the parser, the filter, and the audit.

    python -m tests.conformance.fuzz --answers 20000 --seed 1

The answers of `tests.conformance.hostile` come over HTTP into the real backend. Its results become calls and
generations, as a generator writes them, on logs in memory of `ANSWERS_A_LOG` answers each, with each of the `WAYS` in
turn; the real worker decides on them, and the audit decides again. Nothing may raise or diverge, every task must be
kept or rejected, and the tokens on the ledger must equal the server's own books. Exits with 1 otherwise.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from consumers.replay import audit
from infra.settings import Settings
from producers.backends.base import CallFailure, CallPlace, Request, RequestRefused, too_large
from producers.backends.openai import OpenAIBackend
from producers.calls.cost import Prices
from producers.calls.ledger_events import CallCause, LedgerEvents
from producers.generate.progress import LaneProgress
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.styles import Style, StyleResult
from schemas import ids
from schemas.events import CallAnswered, Event, InstructionsGenerated, InstructionsRejected, RunConfigured, Unparsed
from schemas.policy import policy_for
from streams.core.decider import first_classifier
from streams.core.ledger import Ledger
from streams.core.parse.answers import READING
from tests.conformance.faults import Line, side_by_side
from tests.conformance.forms import LARGEST_ANSWER
from tests.conformance.hostile import Hostile
from tests.conformance.server import Books, served
from tests.harness.memory_log import MemoryLog
from tests.harness.memory_worker import Changelogs, Process
from tests.unit.core.answer_forms import TASKS, score
from tests.unit.core.answer_forms import forms as dresses
from tests.unit.core.conftest import own_seeds

ANSWERS_A_LOG = 500
WAYS: tuple[tuple[StyleInUse, str], ...] = (
    (StyleInUse(), "chat"),
    (StyleInUse(), "completion"),
    (StyleInUse(), "structured"),
    (StyleInUse(parser="faithful"), "chat"),
    (StyleInUse(style="two-step", most=6), "chat"),
)
"""The style and API of each log, in turn."""

_MOST_ATTEMPTS = 20
_PRICES = Prices(prompt=0.15, completion=0.60)
_DRESSES = {form.text for form in dresses()}
_SHOWN = 12


@dataclass
class Found:
    """The results of all logs so far. `faults`: unexpected errors."""

    answers: int = 0
    generations: int = 0
    tasks: int = 0
    kept: int = 0
    rejected: int = 0
    divergences: int = 0
    undecided: int = 0
    known_tasks: int = 0
    known_tasks_right: int = 0
    ledger: list[Ledger] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def lines(self, books: Books) -> list[Line]:
        ledgers = self.ledger
        return [
            Line("answers made", self.answers, len(books.entries)),
            Line("tasks kept or rejected", self.kept + self.rejected, self.tasks),
            Line("tasks of known answers", self.known_tasks_right, self.known_tasks),
            Line("divergences", self.divergences, 0),
            Line("undecided", self.undecided, 0),
            Line("usable answers", sum(each.answered for each in ledgers), books.answered),
            Line("prompt tokens", sum(each.prompt_tokens for each in ledgers), books.prompt_tokens),
            Line("completion tokens", sum(each.completion_tokens for each in ledgers), books.completion_tokens),
            Line(
                "calls of unknown usage", sum(each.without_usage + each.perhaps_paid for each in ledgers), books.unknown
            ),
        ]


class Run:
    """One log, and a generator that makes generations until it has had its number of answers.

    Temporary errors are retried at once. A refused key does not end the generator here.
    """

    def __init__(self, number: int, backend: OpenAIBackend, settings: Settings, found: Found) -> None:
        asking, _ = WAYS[number % len(WAYS)]
        seeds, policy = own_seeds(), policy_for(batch_size=2, rng_seed=number)
        self.configured = RunConfigured(run=f"fuzz-{number}", policy=policy, seeds=seeds, versions={})
        self.log = MemoryLog(self.configured, first_classifier(policy, seeds))
        self._found, self._backend, self._settings = found, backend, settings
        self._events = LedgerEvents(backend, _PRICES, self._write)
        self._style: Style = style_of(asking, settings)
        self._seeds = LaneProgress("main", self.configured)
        self._asked = 0
        self._is_known = number % len(WAYS) == 0

    async def play(self, answers: int) -> None:
        number = 0
        while self._asked < answers:
            event = await self._generation(number)
            id = ids.generation_id(event.lane, number)
            await self._write(event, key=id, id=id, causation_id=ids.run_id(self.configured.run))
            number += 1
        worker = Process(self.log, Changelogs(), lambda _: None, self._settings)
        await worker.take_over()
        for record in self.log.records("generated"):
            await worker.deliver(record)

    async def _generation(self, number: int) -> InstructionsGenerated:
        seeds, offset, causation_id = self._seeds.seeds_of(number)
        cause = CallCause("main", number, ids.generation_id("main", number), causation_id)
        try:
            made = await self._style.generate(seeds, lambda step, request: self._ask(cause, step, request))
        except RequestRefused as refusal:
            made = StyleResult((), (), (Unparsed(reason=refusal.reason, text=str(refusal)),))
        if self._is_known:
            self._check(made)
        return InstructionsGenerated(
            lane="main",
            number=number,
            style=self._style.name,
            parser=self._style.parser,
            backend=self._backend.name,
            model=made.answers[0].model if made.answers else self._backend.model,
            parameters=self._style.parameters,
            seed_ids=tuple(seed.id for seed in seeds),
            seed_commands_offset=offset,
            answers=made.answers,
            instructions=made.instructions,
            unparsed=made.unparsed,
            cost_usd=None,
            reading=READING,
            cut=made.cut,
        )

    async def _ask(self, cause: CallCause, step: int, request: Request) -> CallAnswered:
        request_id, attempt = ids.request_id(cause.generation_id, step), 0
        while True:
            attempt += 1
            await self._events.started(cause, step, request_id, attempt)
            place = CallPlace(cause.lane, cause.number, step, attempt, request_id)
            self._asked += 1
            self._found.answers += 1
            try:
                answer = await self._backend.complete(request, place)
                if (size := len(answer.raw.encode())) > LARGEST_ANSWER:
                    raise too_large(LARGEST_ANSWER, size, answer.usage)
                return await self._events.answered(place, answer)
            except CallFailure as failure:
                again = attempt < _MOST_ATTEMPTS and not isinstance(failure, RequestRefused)
                await self._events.failed(place, failure, again)
                if not again:
                    raise

    def _check(self, made: StyleResult) -> None:
        """Count the tasks of a known answer, all of which must be parsed."""
        for answer in made.answers:
            if answer.raw in _DRESSES and answer.finish_reason == "stop":
                self._found.known_tasks += len(TASKS)
                self._found.known_tasks_right += score(made.instructions)["right"]

    async def _write(self, event: Event, *, key: str, id: str, causation_id: str) -> None:
        self.log.write(event, key=key, id=id, causation_id=causation_id)


def play(answers: int, seed: int, say: Callable[[str], None] = lambda _: None) -> tuple[Found, Books]:
    """Process so many answers, and a few more where the last generation of a log needs them."""
    found, began = Found(), time.monotonic()
    with served(Hostile(seed)) as (url, books):
        settings = Settings(backend="openai", base_url=url, model="tiny-1", max_answer_bytes=LARGEST_ANSWER)
        for number, start in enumerate(range(0, answers, ANSWERS_A_LOG)):
            _, api = WAYS[number % len(WAYS)]
            chosen = Settings(**{**settings.model_dump(), "api": api})
            _play_log(number, min(ANSWERS_A_LOG, answers - start), chosen, found)
            say(
                f"{time.monotonic() - began:6.1f} s  {found.answers} answers, {found.tasks} tasks, {found.kept} kept, "
                f"{len(found.faults)} faults"
            )
    found.faults += books.faults
    found.seconds = time.monotonic() - began
    return found, books


def _play_log(number: int, answers: int, settings: Settings, found: Found) -> None:
    async def whole() -> MemoryLog:
        backend = OpenAIBackend.of(settings)
        try:
            run = Run(number, backend, settings, found)
            await run.play(answers)
            return run.log
        finally:
            await backend.close()

    try:
        log = asyncio.run(whole())
        _account(log, found)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        found.faults.append(f"log {number}, answer {found.answers}: {type(error).__name__}: {error}"[:500])


def _account(log: MemoryLog, found: Found) -> None:
    """Audit a log, and add up what is on it."""
    audited, ledger = audit(log), Ledger()
    found.divergences += audited.divergences
    found.undecided += audited.undecided + audited.pending
    if audited.first is not None:
        found.faults.append(f"{log.name}: {audited.first.what}")
    if audited.unreadable:
        found.faults.append(f"{log.name}: {audited.unreadable} cannot be read")
    for record in log.records("calls"):
        ledger.apply(cast(Event, record.event), record.id)
    found.ledger.append(ledger)
    generated = [cast(InstructionsGenerated, record.event) for record in log.records("generated")]
    found.generations += len(generated)
    found.tasks += sum(len(event.instructions) for event in generated)
    verdicts = [cast(InstructionsRejected, record.event) for record in log.records("rejected")]
    found.rejected += sum(len(verdict.rejections) for verdict in verdicts)
    found.kept += audited.checked["kept"]


def table(found: Found, books: Books) -> str:
    """The outcome as text."""
    rows = [
        *side_by_side(found.lines(books), "found", "due"),
        "",
        f"generations {found.generations:,}, tasks kept {found.kept:,}, rejected {found.rejected:,}",
        f"faults: {len(found.faults)}; seconds: {found.seconds:.1f}",
        *found.faults[:_SHOWN],
        "all is well" if is_good(found, books) else "SOMETHING IS WRONG",
    ]
    return "\n".join(rows)


def is_good(found: Found, books: Books) -> bool:
    return not found.faults and all(line.agrees for line in found.lines(books))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found, books = play(given.answers, given.seed, say=lambda text: sys.stderr.write(text + "\n") and None)
    sys.stdout.write(table(found, books) + "\n")
    return 0 if is_good(found, books) else 1


if __name__ == "__main__":
    sys.exit(main())
