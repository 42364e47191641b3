"""A run against a server with every fault after which a generator continues; then both sides' books are compared.

    python -m tests.conformance.faults --generations 1000 --seed 1

A temporary broker, the server of `tests.conformance.server` and the real generator. Each kind of fault or odd answer
has the same probability. The run must finish, and the ledger of its `calls` topic must equal the server's books: the
tokens that the server reported, and the number of calls with unknown usage. Exits with 1 on any difference.
"""

import argparse
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from infra.local_broker.temporary_broker import temporary_broker
from infra.settings import Settings
from producers.calls.cost import Prices
from producers.calls.limits import Limits
from producers.calls.rate_control import RateOptions
from producers.calls.retries import Retries
from producers.generate.generator import GenerateOptions, generate
from schemas.errors import BackendError
from streams.core.ledger import Ledger
from tests.conformance.dialects import SERVERS
from tests.conformance.forms import LARGEST_ANSWER
from tests.conformance.server import Books, Disturbed, served
from tests.conftest import ROOT
from tests.integration.producers.driver import Rig

PRICES = Prices(prompt=0.15, completion=0.60, cached=0.075)
_MOST_STARTS = 5
_SHOWN = 12


@dataclass(frozen=True)
class Line:
    """A figure from the log, and from the server's books."""

    name: str
    log: float
    books: float

    @property
    def agrees(self) -> bool:
        return math.isclose(self.log, self.books, rel_tol=1e-9, abs_tol=1e-12)


@dataclass
class Outcome:
    """The result of a run. `ended`: the errors that ended a generator, after each of which another one was started."""

    lines: list[Line]
    kinds: Counter[str]
    seconds: float
    ended: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.faults and all(line.agrees for line in self.lines)


def play(
    settings: Settings,
    run: str,
    folder: Path,
    plan: Disturbed,
    generations: int,
    timeout_s: float,
    api: str = "chat",
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run so many generations on the cluster of `settings`."""
    options = GenerateOptions(
        run=run,
        limits=Limits(max_generations=generations),
        retries=Retries(first_pause_s=0.05, longest_pause_s=1.0),
        rate=RateOptions(start=16, breaker_first_s=0.2, breaker_longest_s=1.0),
        concurrency=32,
        in_flight=16,
    )
    written, began, ended = 0, time.monotonic(), list[str]()
    with served(plan) as (url, books):
        chosen = {
            "backend": "openai",
            "base_url": url,
            "model": "tiny-1",
            "api": api,
            "request_timeout_s": timeout_s,
            "max_answer_bytes": LARGEST_ANSWER,
            "max_filter_lag": 10 * generations,
            "usd_per_1m_prompt_tokens": PRICES.prompt,
            "usd_per_1m_completion_tokens": PRICES.completion,
            "usd_per_1m_cached_tokens": PRICES.cached,
        }
        rig = Rig(Settings(**{**settings.model_dump(), **chosen}), run, folder)
        rig.configure()

        def count(_: object) -> None:
            nonlocal written
            written += 1
            if written % 100 == 0:
                say(f"{time.monotonic() - began:6.1f} s  {written} generations, {len(books.entries)} requests")

        for _ in range(_MOST_STARTS):
            try:
                generate(options, rig.settings, on_generation=count)
                break
            except BackendError as error:
                ended.append(str(error))
                say(f"{time.monotonic() - began:6.1f} s  ended, starting again: {error}")
    seconds = time.monotonic() - began
    return Outcome(compared(rig, books, generations), books.by_kind(), seconds, ended, books.faults)


def compared(rig: Rig, books: Books, generations: int) -> list[Line]:
    """The log's figures compared with those of the books."""
    ledger: Ledger = rig.ledger()
    numbers = [generation.number for generation in rig.generations()]
    full, cached = books.prompt_tokens - books.cached_tokens, books.cached_tokens
    spend = (full * 0.15 + cached * 0.075 + books.completion_tokens * 0.60) / 1_000_000
    return [
        Line("generations on the log", len(numbers), generations),
        Line("of these in their place", sum(number == place for place, number in enumerate(numbers)), generations),
        Line("calls made", ledger.started, len(books.entries)),
        Line("calls without an outcome", ledger.lost + ledger.open, 0),
        Line("answers", ledger.answered, books.answered),
        Line("answers paid for twice", ledger.repeated, 0),
        Line("prompt tokens", ledger.prompt_tokens, books.prompt_tokens),
        Line("of these cached", ledger.cached_tokens, books.cached_tokens),
        Line("completion tokens", ledger.completion_tokens, books.completion_tokens),
        Line("spend, USD", ledger.known_cost_usd, spend),
        Line("calls of unknown usage", ledger.without_usage + ledger.perhaps_paid, books.unknown),
    ]


def side_by_side(lines: Iterable[Line], left: str, right: str) -> list[str]:
    """A header, and a row for each line, which marks differences."""
    rows = [f"{'':26}{left:>16}{right:>16}"]
    for line in lines:
        log, books = (f"{value:,.6f}" if "USD" in line.name else f"{value:,}" for value in (line.log, line.books))
        rows.append(f"{line.name:26}{log:>16}{books:>16}  {'' if line.agrees else 'DIFFERS'}".rstrip())
    return rows


def table(outcome: Outcome) -> str:
    """The outcome as text."""
    rows = side_by_side(outcome.lines, "log", "server")
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(outcome.kinds.items()))
    rows += ["", f"requests by kind: {kinds}", f"seconds: {outcome.seconds:.1f}"]
    rows += [f"a generator ended, and another went on: {error}" for error in outcome.ended]
    rows += [f"a fault of the server itself: {fault}" for fault in outcome.faults[:_SHOWN]]
    rows.append("the books agree" if outcome.good else "THE BOOKS DIFFER")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of what the server answers")
    parser.add_argument("--rate", type=float, default=0.03, help="probability of each kind of fault")
    parser.add_argument("--server", choices=SERVERS, help="whose forms are sent first; default: everybody's")
    parser.add_argument("--api", choices=("chat", "completion"), default="chat")
    parser.add_argument("--timeout", type=float, default=4.0, help="seconds that the client waits for an answer")
    parser.add_argument("--state-dir", type=Path, default=ROOT / "var" / "conformance")
    given = parser.parse_args()
    given.state_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(state_dir=given.state_dir, cache_dir=ROOT / ".cache")
    plan = Disturbed(given.seed, given.rate, given.server)
    with temporary_broker(settings) as broker, tempfile.TemporaryDirectory(dir=given.state_dir) as folder:
        outcome = play(
            broker.settings,
            "faults",
            Path(folder),
            plan,
            given.generations,
            given.timeout,
            given.api,
            say=lambda text: sys.stderr.write(text + "\n") and None,
        )
    sys.stdout.write(table(outcome) + "\n")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
