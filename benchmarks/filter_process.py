"""A filter's process, from outside: when it is active, what it has written, and what it takes of the machine."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from kafka import KafkaConsumer, TopicPartition

from benchmarks.filter_sides import ACTIVE, Job
from benchmarks.trainer import PACKAGES
from infra.cluster.connection import connection
from infra.settings import Settings, environment_of

STANDBY = "standing by"
_MB = 1e6
_POLL_S = 0.05
_LONGEST_S = 3600.0
_END_S = 30.0


@dataclass(frozen=True)
class Use:
    """Seconds of processor time, with those of children that have ended; resident MB now, and at most."""

    cpu_s: float
    mb: float
    peak_mb: float


class FilterProcess:
    """One side at work. `started` and `times` are seconds since 1970; `times` by the line that was waited for."""

    def __init__(self, side: str, job: Job, settings: Settings, log: Path, *, standbys: int = 0) -> None:
        paths = [str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
        paths += [] if side == "worker" else [str(PACKAGES.resolve())]
        environment = {
            **os.environ,
            **environment_of(settings),
            "SEDI_STANDBY_REPLICAS": str(standbys),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        self.side = side
        self.started = time.time()
        self.times: dict[str, float] = {}
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.filter_sides", side, job.text()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._log.open("a", encoding="utf-8") as log:
            for line in self._process.stderr:
                log.write(line)
                log.flush()
                for awaited in (ACTIVE, STANDBY):
                    if awaited in line:
                        self.times.setdefault(awaited, time.time())

    def wait(self, awaited: str) -> float:
        """Wait for a line; returns when it came. Raises SystemExit if the process ends before."""
        deadline = time.monotonic() + _LONGEST_S
        while awaited not in self.times:
            self.require()
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.side} did not write {awaited!r} in an hour; see {self._log}.")
            time.sleep(_POLL_S)
        return self.times[awaited]

    def require(self) -> None:
        """Raises SystemExit if it has ended."""
        if self._process.poll() is not None:
            raise SystemExit(f"{self.side} ended with {self._process.returncode}; see {self._log}.")

    def use(self) -> Use:
        process = psutil.Process(self._process.pid)
        times, memory = process.cpu_times(), process.memory_info()
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
        cpu_s = times.user + times.system + times.children_user + times.children_system
        return Use(cpu_s, memory.rss / _MB, peak / _MB)

    def kill(self) -> float:
        """SIGKILL; returns when."""
        at = time.time()
        self._process.kill()
        self._process.wait()
        return at

    def end(self) -> None:
        """SIGTERM, and SIGKILL if it does not end."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()


class Verdicts:
    """The end of a topic of verdicts, with one partition."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._partition = TopicPartition(topic, 0)
        self._consumer = KafkaConsumer(
            **connection(settings, "bench"), enable_auto_commit=False, allow_auto_create_topics=False
        )
        self._consumer.assign([self._partition])

    def end(self) -> int:
        """The number of records; 0 if the topic is not there yet."""
        if not self._consumer.partitions_for_topic(self._partition.topic):
            self._consumer.topics()
            return 0
        return int(self._consumer.end_offsets([self._partition])[self._partition])

    def wait(self, count: int, process: FilterProcess) -> float:
        """Wait for so many records; returns when the last one was seen, in seconds since 1970."""
        deadline = time.monotonic() + _LONGEST_S
        while (end := self.end()) < count:
            process.require()
            if time.monotonic() > deadline:
                raise SystemExit(f"{process.side} has written {end} of {count} verdicts in an hour.")
            time.sleep(_POLL_S)
        return time.time()

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def verdicts(settings: Settings, topic: str) -> Iterator[Verdicts]:
    found = Verdicts(settings, topic)
    try:
        yield found
    finally:
        found.close()
