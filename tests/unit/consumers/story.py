"""Telling a run's log by hand: events in the order they are written, as records to fold or to put on a real log."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.log.record import Record
from infra.log.writer import LogWriter
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.events import (
    BatchRow,
    CallAnswered,
    CallFailed,
    CallStarted,
    Event,
    Instruction,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Rejection,
    Replacement,
    ReplaceSeeds,
    RunConfigured,
    StepLogged,
    TrainingLogged,
    Unparsed,
    Usage,
)
from schemas.policy import policy_for
from schemas.registry import spec_of
from schemas.seeds import SeedTask

START_MS = 1_800_000_000_000


def seed(number: int) -> SeedTask:
    return SeedTask(id=f"seed-{number}", instruction=f"Say the number {number} in another language", output="so")


@dataclass(frozen=True)
class Written:
    """One record as it was written, before it has an offset."""

    topic: str
    partition: int
    event: Event
    id: str
    key: str


@dataclass
class Story:
    """What happened in a run. Events are told in the order that their writers write them."""

    run: str = "demo"
    batch_size: int = 2
    written: list[Written] = field(default_factory=list)
    generations: list[InstructionsGenerated] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    rejected_offset: int = -1

    @property
    def configured(self) -> RunConfigured:
        seeds = tuple(seed(number) for number in range(4))
        return RunConfigured(run=self.run, policy=policy_for(batch_size=self.batch_size), seeds=seeds, versions={})

    def tell(self, event: Event, *, id: str, key: str, partition: int = 0) -> Written:
        entry = Written(spec_of(type(event)).topic, partition, event, id, key)
        self.written.append(entry)
        return entry

    def again(self, entry: Written) -> None:
        """The same record stands twice, as after a crash."""
        self.written.append(entry)

    def configure(self) -> None:
        self.tell(self.configured, id=ids.run_id(self.run), key=self.run)

    def call(self, number: int, attempt: int = 1) -> Written:
        request = ids.request_id(ids.generation_id("main", number), 0)
        event = CallStarted(
            request_id=request,
            attempt=attempt,
            generation_id=ids.generation_id("main", number),
            lane="main",
            number=number,
            step=0,
            backend="recorded",
            model="m",
        )
        return self.tell(event, id=ids.child(request, f"started/{attempt}"), key=request)

    def answer(
        self, number: int, attempt: int = 1, *, usage: Usage | None = None, cost: float | None = 0.5
    ) -> CallAnswered:
        request = ids.request_id(ids.generation_id("main", number), 0)
        usage = Usage(prompt_tokens=100, completion_tokens=10) if usage is None else usage
        event = CallAnswered(
            request_id=request,
            attempt=attempt,
            model="m",
            raw="...",
            finish_reason="stop",
            usage=usage,
            cost_usd=cost,
            latency_s=1.0,
        )
        self.tell(event, id=ids.child(request, f"answered/{attempt}"), key=request)
        return event

    def failure(self, number: int, attempt: int = 1) -> None:
        request = ids.request_id(ids.generation_id("main", number), 0)
        event = CallFailed(request_id=request, attempt=attempt, error="429", status=429, retry=True)
        self.tell(event, id=ids.child(request, f"failed/{attempt}"), key=request)

    def generate(
        self,
        number: int,
        seeds: tuple[str, ...] = ("seed-0", "seed-1"),
        count: int = 3,
        unparsed: int = 0,
        commands_offset: int = -1,
    ) -> Written:
        """A generation with its call."""
        self.call(number)
        answer = self.answer(number)
        event = InstructionsGenerated(
            lane="main",
            number=number,
            style="alpaca",
            parser="strict",
            backend="recorded",
            model="m",
            parameters={},
            seed_ids=seeds,
            seed_commands_offset=commands_offset,
            answers=(answer,),
            instructions=tuple(
                Instruction(instruction=f"Task {place} of {number}", output="done") for place in range(count)
            ),
            unparsed=tuple(Unparsed(reason="no_output", text="?") for _ in range(unparsed)),
            cost_usd=0.5,
        )
        self.generations.append(event)
        return self.tell(event, id=ids.generation_id("main", number), key=ids.generation_id("main", number))

    def keep(self, number: int, offset: int, place: int, cluster: int) -> Written:
        generation = ids.generation_id("main", number)
        event = InstructionKept(
            id=ids.instruction_id(generation, place),
            instruction=f"Task {place} of {number}",
            input="",
            output="done",
            generation_id=generation,
            generated_offset=offset,
            place=place,
            cluster=cluster,
            classifier_offset=0,
        )
        return self.tell(event, id=event.id, key=event.id, partition=cluster)

    def reject(
        self, number: int, offset: int, reasons: dict[int, str], *, generated: int = 3, kept: int | None = None
    ) -> Written:
        generation = ids.generation_id("main", number)
        kept = generated - len(reasons) if kept is None else kept
        if offset > self.rejected_offset:
            self.totals.update(generated=generated, kept=kept)
            self.rejected_offset = offset
        event = InstructionsRejected(
            generation_id=generation,
            generated_offset=offset,
            rejections=tuple(
                Rejection(id=ids.instruction_id(generation, place), place=place, reason=reason)
                for place, reason in reasons.items()
            ),
            generated=generated,
            kept=kept,
            generated_total=self.totals["generated"],
            kept_total=self.totals["kept"],
        )
        return self.tell(event, id=ids.child(generation, "rejected"), key=generation)

    def decide(self, number: int, offset: int, kept: dict[int, int], reasons: dict[int, str]) -> list[Written]:
        """The filter's whole word on a generation: kept places with their clusters, rejected ones with reasons."""
        rows = [self.keep(number, offset, place, cluster) for place, cluster in kept.items()]
        return [*rows, self.reject(number, offset, reasons, generated=len(kept) + len(reasons))]

    def train(self, window: int, rows: tuple[str, ...] = (), epoch: int = 1, steps: int = 10) -> Written:
        first = 10 * window + 1
        event = TrainingLogged(
            window=window,
            epoch=epoch,
            model="m",
            steps=tuple(
                StepLogged(
                    step=first + step,
                    loss=2.0,
                    loss_variance=0.1,
                    grad_norm=1.0 + step,
                    learning_rate=2e-5,
                    tokens=100,
                    seconds=1.0,
                    rows=tuple(BatchRow(id=id, slot=0, cluster=0, generated_offset=0) for id in rows),
                )
                for step in range(steps)
            ),
        )
        return self.tell(event, id=ids.window_id(epoch, window), key=ids.window_id(epoch, window))

    def replace(self, window: int, changes: dict[str, SeedTask], epoch: int = 1) -> Written:
        event = ReplaceSeeds(
            window=window,
            epoch=epoch,
            training_offset=window,
            as_of_offset=0,
            outcome="replaced" if changes else "no_candidates",
            metric="grad_norm",
            step=10 * window + 5,
            value=3.5,
            replacements=tuple(
                Replacement(victim_id=victim, victim_generated=6, victim_kept=2, seed=new)
                for victim, new in changes.items()
            ),
        )
        return self.tell(event, id=ids.child(ids.window_id(epoch, window), "seeds"), key=ids.window_id(epoch, window))

    def records(self) -> Iterator[Record]:
        """The records as a reader would find them, a second after one another."""
        ends: Counter[tuple[str, int]] = Counter()
        for place, entry in enumerate(self.written):
            partition = (entry.topic, entry.partition)
            meta = Meta(entry.id, f"/sedi/{self.run}/test", "2026-11-21T08:00:00Z")
            key, value, headers = encode(entry.event, entry.key, meta)
            yield record(
                *partition, ends[partition], START_MS + 1000 * place, key=key, value=value, headers=tuple(headers)
            )
            ends[partition] += 1

    def write(self, log: LogWriter) -> None:
        """Put it on a real log."""
        for entry in self.written:
            log.write(entry.event, key=entry.key, id=entry.id, partition=entry.partition)


def record(
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    *,
    key: bytes | None = None,
    value: bytes | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Record:
    """A record as `LogReader` makes it; without headers one that cannot be read."""
    return Record(topic, partition, offset, timestamp_ms, key, value, headers)


def short_run(run: str = "demo") -> Story:
    """Two generations decided, one window trained, a seed replaced, and a generation that used the new seed."""
    story = Story(run)
    story.configure()
    story.generate(0, count=3, unparsed=1)
    story.decide(0, 0, {0: 0, 2: 1}, {1: "similar"})
    story.generate(1, ("seed-2", "seed-1"), count=2)
    story.decide(1, 1, {1: 0}, {0: "too_short"})
    story.train(0)
    story.train(1, (ids.instruction_id(ids.generation_id("main", 0), 0),))
    story.replace(0, {})
    story.replace(1, {"seed-1": SeedTask(id="new-1", instruction="Task 0 of 0", output="done")})
    story.generate(2, ("new-1", "seed-0"), count=3)
    story.decide(2, 2, {0: 1}, {1: "similar", 2: "similar"})
    return story
