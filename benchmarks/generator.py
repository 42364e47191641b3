"""`sedi generate` at a mock endpoint: calls per minute by calls in flight, with faults, and within a budget.

Broker, endpoint and generator are separate processes. Each measurement is a new run with `--forever`, ended by SIGTERM;
rates are the endpoint's own count of complete answers after the first `WARM_UP_S`. With faults, 30 % of requests are
answered 429 (with `Retry-After: 1`), 500, after three times the latency, truncated, or garbled. Two generators share
the budget at the faulty endpoint.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.endpoint import COMPLETION_TOKENS, PROMPT_TOKENS, endpoint
from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.reader import LogReader
from infra.log.writer import LogWriter
from infra.settings import Settings, environment_of, load
from schemas import ids
from schemas.events import InstructionsGenerated, RunConfigured
from schemas.policy import policy_for
from schemas.seeds import SeedTask
from streams.core.ledger import Ledger

SECONDS = 60
LATENCY_S = 2.0
FAULTS = 0.3
IN_FLIGHT = (1, 64, 256)
WARM_UP_S = 8.0
CALL_MAX_TOKENS = 100
PRICE = 1.0  # USD for a million tokens, prompt or completion
CALL_USD = (PROMPT_TOKENS + COMPLETION_TOKENS) * PRICE / 1_000_000
BUDGET_CALLS = 300

Step = Callable[..., None]


@dataclass(frozen=True)
class Rate:
    """The measurement of one generator.

    a_minute        complete answers
    most_in_flight  maximum concurrent requests at the endpoint
    connections     connections to the endpoint
    lost, missing   lost calls on the ledger; its answers that are in no generation at the end
    """

    in_flight: int
    faults: float
    seconds: float
    a_minute: float
    most_in_flight: int
    connections: int
    received: int
    answered: int
    failed: int
    lost: int
    missing: int
    cpu_s: float


@dataclass(frozen=True)
class Budget:
    """Two generators on one budget. `over_calls`: how far it was exceeded, in calls of that cost."""

    usd: float
    spent_usd: float
    over_calls: float
    generations: int
    lost: int


@dataclass(frozen=True)
class Results:
    rates: list[Rate]
    budget: Budget

    @property
    def scaling(self) -> float:
        """Calls per minute with 64 in flight, relative to one."""
        return self._of(64) / self._of(1)

    @property
    def under_faults(self) -> float:
        """Calls per minute with faults, relative to those without."""
        return next(rate.a_minute for rate in self.rates if rate.faults) / self._of(64)

    def _of(self, in_flight: int) -> float:
        return next(rate.a_minute for rate in self.rates if rate.in_flight == in_flight and not rate.faults)


def measure(seconds: float, step: Step, in_flight: tuple[int, ...] = IN_FLIGHT) -> Results:
    """Run all measurements, each about `seconds`, and one minute."""
    with (
        tempfile.TemporaryDirectory(prefix="sedi-bench-") as folder,
        temporary_broker(load(state_dir=Path(folder)), short_lived=False) as broker,
    ):
        rates = []
        for number, faults in [*((number, 0.0) for number in in_flight), (64, FAULTS)]:
            step(f"{number} in flight, {faults:.0%} faults, {seconds:.0f} s")
            rates.append(_rate(broker.settings, number, faults, seconds))
        step("two generators on one budget")
        budget = _budget(broker.settings)
    return Results(rates, budget)


def show(console: Console, found: Results) -> None:
    """The figures as text."""
    table = Table(
        "in flight",
        "faults",
        "answers/min",
        "most at once",
        "connections",
        "attempts",
        "answered",
        "failed",
        "lost",
        "missing",
        "s of processor time",
        title=f"sedi generate, {LATENCY_S:g} s latency",
    )
    for rate in found.rates:
        table.add_row(
            str(rate.in_flight),
            f"{rate.faults:.0%}",
            f"{rate.a_minute:,.1f}",
            str(rate.most_in_flight),
            str(rate.connections),
            str(rate.received),
            str(rate.answered),
            str(rate.failed),
            str(rate.lost),
            str(rate.missing),
            f"{rate.cpu_s:.1f}",
        )
    console.print(table)
    console.print(f"64 in flight: {found.scaling:.1f} times one; with faults: {found.under_faults:.1%} of without")
    budget = found.budget
    console.print(
        f"budget ${budget.usd:.4f}: ${budget.spent_usd:.4f} spent by two generators, "
        f"{budget.over_calls:+.1f} calls over, {budget.generations} generations, {budget.lost} calls lost"
    )


def write_json(path: Path, found: Results) -> None:
    """All results."""
    document = {**asdict(found), "scaling": found.scaling, "under_faults": found.under_faults}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _rate(settings: Settings, in_flight: int, faults: float, seconds: float) -> Rate:
    run = f"bench-{in_flight}-{round(100 * faults)}"
    configure(settings, run)
    with endpoint(LATENCY_S, faults) as served:
        process = start_generator(settings, run, served.url, "--forever", "--in-flight", str(in_flight))
        while served.stats()["received"] == 0:
            time.sleep(0.05)
        began = time.monotonic()
        time.sleep(WARM_UP_S)
        before = served.stats()
        time.sleep(seconds)
        after = served.stats()
        process.send_signal(signal.SIGTERM)
        cpu_s = ended(process)
        if faults:  # started generations are finished, so nothing may be missing
            unfinished = json.loads(_finish(settings, run, served.url))["unfinished"]
            assert unfinished == 0, unfinished
        stats = served.stats()
    ledger, missing = _ledger(settings, run)
    times = [at for at in after["at_s"] if at > before["at_s"][-1]]
    spent = times[-1] - before["at_s"][-1]
    return Rate(
        in_flight,
        faults,
        time.monotonic() - began,
        60 * len(times) / spent,
        after["most_under_way"],
        after["connections"],
        stats["received"],
        ledger.answered,
        ledger.failed,
        ledger.lost + ledger.open,
        missing,
        cpu_s,
    )


def _budget(settings: Settings) -> Budget:
    run, usd = "bench-budget", BUDGET_CALLS * CALL_USD
    configure(settings, run)
    with endpoint(0.2, FAULTS) as served:
        lanes = [
            start_generator(settings, run, served.url, "--in-flight", "64", "--lane", lane, "--max-usd", str(usd))
            for lane in ("one", "two")
        ]
        for process in lanes:
            ended(process)
    ledger, _ = _ledger(settings, run)
    with LogReader(settings, run, ["generated"]) as reader:
        generations = sum(1 for _ in reader.read_to_end())
    over = (ledger.known_cost_usd - usd) / CALL_USD
    return Budget(usd, ledger.known_cost_usd, over, generations, ledger.lost)


def configure(settings: Settings, run: str) -> None:
    """Configure a run with thirty seeds."""
    policy = policy_for(batch_size=2)
    apply(settings, run, policy.clusters)
    seeds = tuple(SeedTask(id=f"s{n}", instruction=f"Do thing number {n} now.", output="Done.") for n in range(30))
    with LogWriter(settings, run, "bench") as log:
        log.write(RunConfigured(run=run, policy=policy, seeds=seeds, versions={}), key=run, id=ids.run_id(run))


def start_generator(settings: Settings, run: str, url: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start `sedi generate` at an endpoint."""
    changed = settings.model_copy(
        update={
            "backend": "openai",
            "base_url": url,
            "model": "mock",
            "max_filter_lag": 1_000_000,
            "usd_per_1m_prompt_tokens": PRICE,
            "usd_per_1m_completion_tokens": PRICE,
        }
    )
    environment = {**os.environ, **environment_of(Settings(**changed.model_dump()))}
    command = [
        sys.executable,
        "-c",
        _CHILD,
        "generate",
        "--run",
        run,
        "--call-max-tokens",
        str(CALL_MAX_TOKENS),
        "--json",
        "--max-ahead",
        "none",
    ]
    return subprocess.Popen(
        [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _finish(settings: Settings, run: str, url: str) -> str:
    with LogReader(settings, run, ["calls", "generated"]) as reader:
        newest = max(getattr(record.event, "number", -1) for record in reader.read_to_end())
    limits = ("--forever", "--in-flight", "64", "--max-generations", str(newest + 1))
    process = start_generator(settings, run, url, *limits)
    out, _ = process.communicate(timeout=120)
    return out[: out.rindex("}") + 1]


def ended(process: "subprocess.Popen[str]") -> float:
    """Seconds of processor time of a generator that ends by itself."""
    out, _ = process.communicate(timeout=120)
    if process.returncode:
        raise RuntimeError(f"a generator ended with {process.returncode}: {out}")
    return float(out.splitlines()[-1])


def _ledger(settings: Settings, run: str) -> tuple[Ledger, int]:
    """The run's ledger, and the number of answered requests that are in no generation."""
    ledger, answered, written = Ledger(), set(), set()
    with LogReader(settings, run, ["calls", "generated"]) as reader:
        for record in reader.read_to_end():
            if isinstance(record.event, InstructionsGenerated):
                written.update(answer.request_id for answer in record.event.answers)
            elif record.event is not None:
                ledger.apply(record.event, record.id)
                if type(record.event).__name__ == "CallAnswered":
                    answered.add(record.key)
    return ledger, len(answered - {id.encode() for id in written})


_CHILD = """
import resource, sys
from sedi.main import main
code = main(sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime)
sys.exit(code)
"""
