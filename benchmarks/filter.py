"""The filter at the speed of the log: our worker, the same decider in Quix Streams, and no decision at all.

The same generations of the load model wait on `generated`, behind none, 10,000, 100,000 and 1,000,000 kept rows
(`benchmarks.made_log`). Each side (`benchmarks.filter_sides`) reads them from one broker, alone, in turn; its time is
from when it is about to read the first until its last verdict is on the log. Then, with our worker: the time from
its death to the next verdict, without and with a standby, and the time from a generation's write to its kept rows at
ten generations a second. The log that began with nothing is read again by `replay`, a what-if and `explain`.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from benchmarks.cpu_parts import shares
from benchmarks.filter_latency import Latency, latency
from benchmarks.filter_log import LoadGeneration, append, generate, generations_of
from benchmarks.filter_process import STANDBY, FilterProcess, Verdicts, verdicts
from benchmarks.filter_readers import Read, read_again
from benchmarks.filter_sides import ACTIVE, KEPT_PARTITIONS, Job
from benchmarks.made_log import write
from benchmarks.made_records import KEPT as KEPT_OF_A_GENERATION
from benchmarks.made_records import MadeRun
from benchmarks.trainer import PACKAGES
from infra.cluster.admin import administrator
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.source import KafkaSource
from infra.settings import Settings, load
from schemas.topics import topic_name

INSTRUCTIONS = 40_000
KEPT = (10_000, 100_000, 1_000_000)
SIDES = ("worker", "quix", "bare")
LATENCY_S = 60.0
LATENCY_A_SECOND = 10.0
_A_GENERATION = 11.4  # instructions of a generation of the load model, about
_PROBES = 5
_LOAD, _PROBE = "load", "probes"

Step = Callable[..., None]


@dataclass(frozen=True)
class Side:
    """One filter over the waiting log.

    start_s   from its process's start until it is active, tables recovered
    cpu_s     of its process while it decides
    parts     shares of its processor time; of the worker only
    """

    side: str
    instructions: int
    seconds: float
    start_s: float
    cpu_s: float
    mb: float
    peak_mb: float
    parts: dict[str, float]

    @property
    def per_second(self) -> float:
        return self.instructions / self.seconds


@dataclass(frozen=True)
class Size:
    """All that was measured behind so many kept rows.

    kept, kept_after   rows, before the waiting log and after it
    recovery_s         from the worker's death to the next verdict, `without` and `with` a standby
    """

    kept: int
    kept_after: int
    sides: tuple[Side, ...]
    recovery_s: dict[str, float]
    latency: Latency | None

    def ratio(self, side: str) -> float:
        """Our worker's speed relative to that side's."""
        ours, theirs = (next(each for each in self.sides if each.side == name) for name in ("worker", side))
        return ours.per_second / theirs.per_second


@dataclass(frozen=True)
class Filters:
    instructions: int
    generations: int
    sizes: tuple[Size, ...]
    readers: tuple[Read, ...]


def measure(
    instructions: int, kept: Sequence[int], latency_s: float, out: Path, step: Step, sides: Sequence[str] = SIDES
) -> Filters:
    """Measure every size. Raises SystemExit when Quix Streams is not there, or a side fails."""
    if not (PACKAGES / "quixstreams").is_dir():
        raise SystemExit(f"Quix Streams is not in {PACKAGES}. `make bench filter` puts it there.")
    out.mkdir(parents=True, exist_ok=True)
    probes = round(latency_s * LATENCY_A_SECOND) + _PROBES
    with tempfile.TemporaryDirectory(prefix="sedi-bench-") as name:
        settings = load(state_dir=Path(name), cache_dir=Path(".cache").resolve())
        with temporary_broker(settings, short_lived=False) as broker:
            bench = _Bench(broker.settings, sides, latency_s, out, step)
            step("writing the load")
            generate(broker.settings, _LOAD, round(instructions / _A_GENERATION))
            generate(broker.settings, _PROBE, probes)
            bench.load = generations_of(broker.settings, _LOAD)
            bench.probes = generations_of(broker.settings, _PROBE)
            sizes = [bench.size(each) for each in (0, *kept)]
    return Filters(bench.instructions, len(bench.load), tuple(sizes), tuple(bench.readers))


class _Bench:
    """One broker, its load and its probes."""

    def __init__(self, settings: Settings, sides: Sequence[str], latency_s: float, out: Path, step: Step) -> None:
        self._settings = settings
        self._sides = sides
        self._latency_s = latency_s
        self._out = out
        self._step = step
        self.load: list[LoadGeneration] = []
        self.probes: list[LoadGeneration] = []
        self.readers: list[Read] = []

    @property
    def instructions(self) -> int:
        """That wait on the log."""
        return sum(len(each.event.instructions) for each in self.load)

    def size(self, kept: int) -> Size:
        """Make a run with so many kept rows, put the load behind them, and measure all sides."""
        run, base = (f"kept{kept}" if kept else _LOAD), -(-kept // KEPT_OF_A_GENERATION)
        if kept:
            self._step(f"{kept:,} kept: making the log")
            write(self._settings, MadeRun(rows=kept, run=run), self._step)
            append(self._settings, run, self.load)
        found = [self._side("worker", Job(run, base, 0.0, 0, 0, str(self._out / f"parts-{kept}.json")))]
        rows, kept_bytes, verdict_bytes = _outputs(self._settings, run, base)
        job = Job(run, base, rows / len(self.load), kept_bytes, verdict_bytes, "")
        found += [self._side(side, job) for side in self._sides if side != "worker"]
        if not kept:
            self._step("reading again")
            self.readers = read_again(self._settings, run, self.instructions)
        recovery, waited = self._probed(job)
        return Size(kept, kept + rows, tuple(found), recovery, waited)

    def _side(self, side: str, job: Job) -> Side:
        self._step(f"{job.run}: {side}")
        topic = topic_name(job.run, "rejected") if side == "worker" else job.topic(side, "rejected")
        if side != "worker":
            self._prepare(side, job)
        through = len(self.load) + (job.base if side == "worker" else 0)
        process = self._process(side, job)
        try:
            active = process.wait(ACTIVE)
            before = process.use()
            with verdicts(self._settings, topic) as written:
                done = written.wait(through, process)
            after = process.use()
        finally:
            process.end()
        parts = shares(Path(job.parts), active, done) if side == "worker" else {}
        cpu_s = after.cpu_s - before.cpu_s
        start_s = active - process.started
        return Side(side, self.instructions, done - active, start_s, cpu_s, after.mb, after.peak_mb, parts)

    def _process(self, side: str, job: Job, standbys: int = 0) -> FilterProcess:
        log = self._out / f"{job.run}-{side}.log"
        return FilterProcess(side, job, self._settings, log, standbys=standbys)

    def _prepare(self, side: str, job: Job) -> None:
        """Output topics, and the group's place at the first record that waits."""
        place = TopicPartition(topic_name(job.run, "generated"), 0)
        with administrator(self._settings) as admin:
            topics = {job.topic(side, "kept"): KEPT_PARTITIONS, job.topic(side, "rejected"): 1}
            for name, partitions in topics.items():
                admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}})
            admin.wait_for_topics(list(topics))
            admin.alter_group_offsets(job.group(side), {place: OffsetAndMetadata(job.base, "", -1)})

    def _probed(self, job: Job) -> tuple[dict[str, float], Latency | None]:
        """Recovery and latency of our worker."""
        recovery: dict[str, float] = {}
        probes = iter(self.probes)
        with verdicts(self._settings, topic_name(job.run, "rejected")) as written:
            process = self._process("worker", job, standbys=1)
            try:
                process.wait(ACTIVE)
                waited = None
                self._verdict_after(next(probes), job.run, written, process)  # it is past all that comes once
                if self._latency_s:
                    self._step(f"{job.run}: latency")
                    count = len(self.probes) - _PROBES
                    waited = latency(self._settings, job.run, [next(probes) for _ in range(count)], LATENCY_A_SECOND)
                self._step(f"{job.run}: recovery")
                killed = process.kill()
                process = self._process("worker", job, standbys=1)
                recovery["without"] = self._verdict_after(next(probes), job.run, written, process) - killed
                standby = self._process("worker", job, standbys=1)
                try:
                    standby.wait(STANDBY)
                    self._verdict_after(next(probes), job.run, written, process)
                    killed = process.kill()
                    recovery["with"] = self._verdict_after(next(probes), job.run, written, standby) - killed
                finally:
                    standby.end()
            finally:
                process.end()
        return recovery, waited

    def _verdict_after(self, probe: LoadGeneration, run: str, written: Verdicts, process: FilterProcess) -> float:
        offset = append(self._settings, run, [probe])
        return written.wait(offset + 1, process)


def _outputs(settings: Settings, run: str, base: int) -> tuple[int, int, int]:
    """Kept rows from an offset of `generated` on, and the bytes of one, and of a verdict, on average."""
    rows, sizes = 0, {"kept": [0, 0], "rejected": [0, 0]}
    with KafkaSource(settings, run).open(list(sizes)) as reading:
        for record in reading.rest():
            if getattr(record.event, "generated_offset", -1) >= base:
                rows += record.topic == "kept"
                sizes[record.topic][0] += 1
                sizes[record.topic][1] += len(record.value or b"")
    kept, verdict = (total // max(1, count) for count, total in sizes.values())
    return rows, kept, verdict
