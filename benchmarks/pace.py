"""Adaptive against fixed concurrency, at servers of 1, 8 and 64 slots.

Each measurement is a new run at a mock endpoint with that many slots, `LATENCY_S` per request; other requests wait.
Rates are the endpoint's own count of complete answers from the first call on, so the search is included. `found again`
is the next start at the same endpoint, with the concurrency found before.
"""

import json
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.endpoint import endpoint
from benchmarks.generator import Step, configure, ended, start_generator
from infra.local_broker.temporary_broker import free_port, temporary_broker
from infra.settings import Settings, load

SECONDS = 60
LATENCY_S = 1.0
SLOTS = (1, 8, 64)
GIVEN = (1, 8, 64)


@dataclass(frozen=True)
class Rate:
    """One run. `in_flight`: the fixed number, or `found` or `found again`; `most`: the maximum at once."""

    slots: int
    in_flight: str
    a_minute: float
    most: int


@dataclass(frozen=True)
class Results:
    rates: list[Rate]

    def of_best(self, rate: Rate) -> float:
        """A rate relative to that of the best fixed number at the same server."""
        return rate.a_minute / max(r.a_minute for r in self.rates if r.slots == rate.slots and r.in_flight.isdecimal())


def measure(seconds: float, step: Step, given: Sequence[int] = GIVEN, slots_of: Sequence[int] = SLOTS) -> Results:
    """Run all measurements: each takes `seconds`, and some for its start. `given`: the fixed numbers."""
    rates = []
    with (
        tempfile.TemporaryDirectory(prefix="sedi-bench-") as folder,
        temporary_broker(load(state_dir=Path(folder)), short_lived=False) as broker,
    ):
        for slots in slots_of:
            settings = broker.settings.model_copy(update={"state_dir": Path(folder) / f"slots-{slots}"})
            port = free_port()  # one for all: the found concurrency is stored by the endpoint's address
            for name in (*map(str, given), "found", "found again"):
                step(f"{slots} slots, {name} in flight, {seconds:.0f} s")
                rates.append(_rate(settings, slots, name, seconds, port))
    return Results(rates)


def show(console: Console, found: Results) -> None:
    """The figures as text."""
    table = Table("slots", "in flight", "answers/min", "of the best given", "most at once", title="calls in flight")
    for rate in found.rates:
        table.add_row(
            str(rate.slots), rate.in_flight, f"{rate.a_minute:,.1f}", f"{found.of_best(rate):.1%}", str(rate.most)
        )
    console.print(table)


def write_json(path: Path, found: Results) -> None:
    """All results."""
    rates = [{**asdict(rate), "of_best": found.of_best(rate)} for rate in found.rates]
    path.write_text(json.dumps({"rates": rates}, indent=2) + "\n", encoding="utf-8")


def _rate(settings: Settings, slots: int, name: str, seconds: float, port: int) -> Rate:
    run = f"bench-{slots}-{name.replace(' ', '-')}"
    configure(settings, run)
    given = ("--in-flight", name) if name.isdecimal() else ()
    with endpoint(LATENCY_S, slots=slots, port=port) as served:
        process = start_generator(settings, run, served.url, "--forever", *given)
        while served.stats()["received"] == 0:
            time.sleep(0.05)
        before, began = len(served.stats()["given"]), time.monotonic()
        time.sleep(seconds)
        stats, spent = served.stats(), time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        ended(process)
    return Rate(slots, name, 60 * (len(stats["given"]) - before) / spent, stats["most_under_way"])
