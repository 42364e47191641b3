"""A soak: `python -m tests.harness.soak --instructions 1000000 --rate 300 --disturb-every 300`.

One run with the load model through a real broker, `sedi worker` and `sedi generate`, at a steady rate. Every few
minutes, in turn, the worker is killed, the generator is killed, the broker is stopped, and the broker is killed; what
ended is started again. Meanwhile memory, open handles, processor time and disk of each process and the lag of the
filter are sampled. It ends with an audit, which must find no divergence and nothing undecided.

The curves go to --out: soak.csv, soak.svg, soak.json. Curves of the second half are judged flat or not, by the slope of
settled lives with its 95 % interval (`tests.harness.soak_curves`). Progress goes to standard error, the result as JSON
to standard output. Ctrl-C or SIGTERM ends the load early, and what came until then is audited and judged; a second one
ends at once.

Expected to grow, all else being well: the worker by each kept row (its similarity index, its tables) and a little by
each generation (the kept table has an entry for each), the broker's disk by each record and its handles by each segment
of 64 MiB. So the worker's memory is also given as bytes a kept row. Exits with 1 when the audit finds anything, or
when handles or the memory of generator or broker are not flat.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import machine
from consumers.replay import Audit, audit
from infra.local_broker.broker_home import home, read_pid
from infra.local_broker.temporary_broker import TemporaryBroker, temporary_broker
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.machine.processes import find_process
from infra.settings import Settings
from schemas.errors import SediError
from schemas.policy import policy_for
from sedi.interrupts import SignalCounter
from streams.core.decider import first_classifier
from tests.conftest import ROOT
from tests.harness.crew import SediProcesses
from tests.harness.soak_curves import as_csv, judged, line_of, write_plot
from tests.harness.soak_samples import ProgressReader, process_of, sample
from tests.unit.core.conftest import own_seeds

RUN = "soak"
DISTURBANCES = ("kill filter", "kill generator", "stop broker", "kill broker")
_TICK_S = 0.25
_BROKER_AWAY_S = 3.0
_A_CALL = 11.0  # instructions that a call of the load model brings, on average
_REPORT_EVERY_S = 15.0
_END_S = 600.0


@dataclass
class Soak:
    """One run and what was sampled of it.

    events   (seconds since the start, disturbance)
    """

    broker: TemporaryBroker
    folder: Path
    instructions: int
    rate: float
    workers: int
    disturb_every_s: float
    sample_every_s: float
    minutes: float | None
    samples: list[dict[str, float]] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = self.broker.settings
        self.crew = SediProcesses(self.settings, RUN, self.folder)
        self._began = time.monotonic()
        self._progress = ProgressReader(self.settings, RUN)
        self._at_the_broker: threading.Thread | None = None
        self._next = {"sample": 0.0, "report": 0.0, "disturb": self.disturb_every_s}  # seconds since the start

    @property
    def processes(self) -> list[str]:
        return [*self.crew.members, "broker"]

    def play(self, signals: SignalCounter) -> float:
        """Run until all instructions are decided; the seconds of it. Raises AssertionError when that takes too long."""
        policy = policy_for()
        seeds = own_seeds()
        configure_run(
            self.settings, RUN, policy, seeds, versions={}, classifier=first_classifier(policy, seeds), component="soak"
        )
        self._began = time.monotonic()
        try:
            with self._progress:
                self._start()
                self._until(self._generated, signals)
                if self._at_the_broker is not None:
                    self._at_the_broker.join()
                self._end_generator()
                self._until(self._decided_all, signals, _END_S, disturbed=False)
                seconds = self._seconds()
                for name in list(self.crew.members):
                    self.crew.end(name)
        finally:
            self.crew.stop()
        return seconds

    def _start(self) -> None:
        for number in range(self.workers):
            name = f"filter-{number + 1}" if number else "filter"
            standbys = {"SEDI_STANDBY_REPLICAS": str(self.workers - 1)}
            self.crew.add(name, "worker", "--log-level", "WARNING", environment=standbys)
        self.crew.add(
            "generator",
            "generate",
            *("--max-ahead", "none", "--max-candidates", str(self.instructions), "--forever"),
            *("--rpm", f"{60 * self.rate / _A_CALL:.1f}"),
            environment={"SEDI_BACKEND": "load-model"},
        )

    def _until(
        self, reached: Callable[[], bool], signals: SignalCounter, within_s: float = 0.0, *, disturbed: bool = True
    ) -> None:
        began = time.monotonic()
        while not reached():
            signals.check()
            if signals.count and disturbed:
                return
            self.crew.tend()
            self._sample()
            if disturbed:
                self._disturb()
            if within_s and time.monotonic() - began > within_s:
                raise AssertionError(f"the filter has not decided all within {within_s:.0f} s: {self._progress.latest}")
            time.sleep(_TICK_S)

    def _generated(self) -> bool:
        over = self.minutes is not None and self._seconds() > 60 * self.minutes
        return over or self.crew.members["generator"].done

    def _end_generator(self) -> None:
        member = self.crew.members["generator"]
        if not member.done:
            self._report("ending the generator")
            self.crew.end("generator", 120.0)

    def _decided_all(self) -> bool:
        found = self._progress.fresh()
        return found is not None and found.all_decided

    def _sample(self) -> None:
        if self._due("sample", self.sample_every_s):
            running: dict[str, tuple[int, psutil.Process | None]] = {
                name: (member.lives, process_of(lambda member=member: member.process and member.process.pid))  # type: ignore[misc]
                for name, member in self.crew.members.items()
            }
            broker_lives = 1 + sum(what.endswith("broker") for _, what in self.events)
            running["broker"] = broker_lives, process_of(self._broker_pid)
            state = self.broker.settings.state_dir
            self.samples.append(
                sample(self._seconds(), running, self._progress.fresh(), state / "broker" / "data", self.folder)
            )
        if self._due("report", _REPORT_EVERY_S):
            found = self._progress.latest
            if found is not None:
                self._report(
                    f"{found.instructions:,} instructions decided, {found.kept:,} kept, "
                    f"lag {found.written - found.decided}"
                )

    def _broker_pid(self) -> int | None:
        saved = read_pid(home(self.settings))  # its status would ask Kafka, and wait for that
        return None if saved is None or find_process(saved[0]) is None else saved[0].pid

    def _disturb(self) -> None:
        busy = self._at_the_broker is not None and self._at_the_broker.is_alive()
        if not self.disturb_every_s or busy or not self._due("disturb", self.disturb_every_s):
            return
        what = DISTURBANCES[len(self.events) % len(DISTURBANCES)]
        self.events.append((self._seconds(), what))
        self._report(what)
        act, victim = what.split()
        if victim == "broker":
            # in a thread: what the others do meanwhile is sampled
            self._at_the_broker = threading.Thread(target=self._restart_broker, args=(act,))
            self._at_the_broker.start()
        elif not self.crew.members[victim].done:
            self.crew.kill(victim)

    def _restart_broker(self, act: str) -> None:
        self.broker.kill() if act == "kill" else self.broker.stop()
        time.sleep(_BROKER_AWAY_S)
        self.broker.restart()

    def _due(self, what: str, every_s: float) -> bool:
        now = self._seconds()
        if now < self._next[what]:
            return False
        self._next[what] = now + every_s
        return True

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _report(self, text: str) -> None:
        sys.stderr.write(f"{self._seconds():7.1f} s  {text}\n")


def result(soak: Soak, seconds: float, audited: Audit) -> dict[str, Any]:
    """The whole result, as JSON can hold it."""
    last = soak.samples[-1] if soak.samples else {}
    curves = judged(soak.samples, soak.processes)
    good = not audited.divergences and not audited.undecided and not any(each.verdict == "GROWS" for each in curves)
    return {
        "good": good,
        "machine": machine(),
        "seconds": round(seconds, 1),
        "instructions": int(last.get("instructions", 0)),
        "kept": audited.checked["kept"],
        "instructions_a_second": round(last.get("instructions", 0) / max(1e-9, last.get("seconds", 0.0)), 1),
        "disturbances": dict(Counter(what for _, what in soak.events)),
        "lives": {name: member.lives for name, member in soak.crew.members.items()},
        "ended_by_errors": soak.crew.failed,
        "audit": {
            "seconds": round(audited.seconds, 1),
            "divergences": audited.divergences,
            "first": None if audited.first is None else audited.first.what,
            "undecided": audited.undecided,
            "duplicates": audited.repeats,
        },
        "curves": [
            {"curve": each.curve, "unit": each.unit, "verdict": each.verdict, "expected": each.expected}
            | ({} if each.slope is None else asdict(each.slope))
            for each in curves
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=300.0, help="instructions a second")
    parser.add_argument("--minutes", type=float, help="end after so many, even if there are fewer instructions")
    parser.add_argument("--workers", type=int, default=1, help="the second and further are standbys")
    parser.add_argument("--disturb-every", type=float, default=15.0, help="seconds between disturbances; 0: none")
    parser.add_argument("--sample-every", type=float, default=2.0, help="seconds between samples")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "soak", help="folder of the curves")
    parser.add_argument("--state-dir", type=Path, default=ROOT / "var" / "soak")
    given = parser.parse_args()
    given.state_dir.mkdir(parents=True, exist_ok=True)
    given.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(state_dir=given.state_dir, cache_dir=ROOT / ".cache")
    with (
        temporary_broker(settings, short_lived=False) as broker,
        tempfile.TemporaryDirectory(dir=given.state_dir) as name,
    ):
        soak = Soak(
            broker,
            Path(name),
            given.instructions,
            given.rate,
            given.workers,
            given.disturb_every,
            given.sample_every,
            given.minutes,
        )
        try:
            with SignalCounter(soak.crew.stop, soak._report) as signals:
                seconds = soak.play(signals)
            soak._report("auditing")
            audited = audit(KafkaSource(soak.settings, RUN))
        except (AssertionError, SediError, KeyboardInterrupt):
            for log in Path(name).glob("*.log"):
                with suppress(OSError):
                    (given.out / log.name).write_bytes(log.read_bytes())
            raise
        finally:
            (given.out / "soak.csv").write_text(as_csv(soak.samples), encoding="utf-8")
            write_plot(given.out / "soak.svg", soak.samples, soak.processes, [at for at, _ in soak.events])
    found = result(soak, seconds, audited)
    (given.out / "soak.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for each in judged(soak.samples, soak.processes):
        sys.stderr.write(line_of(each) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if found["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
