"""A run told by the project's own core: what is asked, read, decided, trained and fed back is what it would really be.

`whole_run` is the story most tests look at; `MemorySource` gives it to readers without a log.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from infra.log.record import Partition, Record
from schemas import ids
from schemas.events import (
    BatchRow,
    CallAnswered,
    CallFailed,
    CallStarted,
    Event,
    InstructionKept,
    InstructionsGenerated,
    ReplaceSeeds,
    RunConfigured,
    StepLogged,
    TrainingLogged,
    Usage,
)
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core import decider, feedback
from streams.core.decider import FilterState
from streams.core.parse.alpaca import parse_alpaca
from streams.core.seeds import SeedPool
from tests.unit.consumers.story import Story, Written

SEEDS = tuple(
    SeedTask(id=f"seed_task_{place}", instruction=text, input="", output="so")
    for place, text in enumerate(
        (
            "Explain to a child why the sky looks blue at noon",
            "Suggest a light dinner made from lentils and rice",
            "Translate the given sentence into formal French",
            "Sort these numbers from the smallest to the largest",
        )
    )
)
POLICY = policy_for(
    batch_size=2, seeds_per_request=2, threshold=0.7, warm_up_steps=2, window_steps=2, count_rule_rejections=True
)

RIVERS = "Name three long rivers that flow through the east of Germany"
RIVERS_AGAIN = "Name three long rivers that flow through the west of Germany"
SHORT = "Add numbers"
POEM = "Write a haiku about the first snow in a mountain village"
LETTER = "Draft a polite letter to a landlord about a broken heater"
TREES = "Compare how oak and birch trees survive very dry summers"
CHESS = "Describe the opening moves of a cautious chess player"
PARAMETERS = {"api": "chat", "total": 20, "safety": False, "temperature": 1.0, "top_p": 1.0, "max_tokens": 3072}


def alpaca_raw(texts: Sequence[str], first: int) -> str:
    """An answer that goes on with a list of tasks at number `first`."""
    tasks = [
        ("" if place == 0 else f"###\n{first + place}. Instruction:")
        + f" {text}\n{first + place}. Input:\n<noinput>\n{first + place}. Output:\nThe answer to {place}.\n"
        for place, text in enumerate(texts)
    ]
    return "".join(tasks)


@dataclass
class ToldRun(Story):
    """A story whose verdicts and commands are the core's own."""

    policy: Policy = POLICY
    pool: SeedPool = field(default_factory=lambda: SeedPool.of(SEEDS))
    offset: int = 0
    steps: int = 0
    windows: int = 0
    commands: int = 0
    kept: dict[str, InstructionKept] = field(default_factory=dict)
    state: FilterState = field(init=False)

    def __post_init__(self) -> None:
        self.state = decider.initial_state(self.configured)
        first = decider.first_classifier(self.policy, SEEDS)
        self.state = decider.use_classifier(self.state, first)
        self.configure()
        self.tell(first, id=ids.classifier_id(0), key=self.run)

    @property
    def configured(self) -> RunConfigured:
        return RunConfigured(run=self.run, policy=self.policy, seeds=SEEDS, versions={})

    def generation(
        self,
        number: int,
        texts: Sequence[str],
        *,
        model: str = "m-1",
        fail: bool = False,
        decide: bool = True,
        raw: str | None = None,
    ) -> str:
        """Ask, answer, generate and decide; returns the generation's id."""
        id = ids.generation_id("main", number)
        seeds = self.pool.sample(self.policy.seeds_per_request, self.policy.rng_seed, "main", number)
        answer = self.asked(number, raw or alpaca_raw(texts, len(seeds) + 1), model, fail)
        instructions, unparsed = parse_alpaca(answer.raw, parser="strict", first_number=len(seeds) + 1, cut=False)
        event = InstructionsGenerated(
            lane="main",
            number=number,
            style="alpaca",
            parser="strict",
            backend="recorded",
            model=model,
            parameters=PARAMETERS,
            seed_ids=tuple(seed.id for seed in seeds),
            seed_commands_offset=self.pool.commands_offset,
            answers=(answer,),
            instructions=instructions,
            unparsed=unparsed,
            cost_usd=answer.cost_usd,
        )
        self.tell(event, id=id, key=id)
        if decide:
            self.decision(id, event)
        return id

    def asked(self, number: int, raw: str, model: str, fail: bool) -> CallAnswered:
        generation = ids.generation_id("main", number)
        request = ids.request_id(generation, 0)
        attempts = 2 if fail else 1
        for attempt in range(1, attempts + 1):
            started = CallStarted(
                request_id=request,
                attempt=attempt,
                generation_id=generation,
                lane="main",
                number=number,
                step=0,
                backend="recorded",
                model=model,
            )
            self.tell(started, id=ids.child(request, f"started/{attempt}"), key=request)
            if attempt < attempts:
                failed = CallFailed(request_id=request, attempt=attempt, error="429 slow down", status=429, retry=True)
                self.tell(failed, id=ids.child(request, f"failed/{attempt}"), key=request)
        answer = CallAnswered(
            request_id=request,
            attempt=attempts,
            model=model,
            raw=raw,
            finish_reason="stop",
            usage=Usage(prompt_tokens=500 + number, completion_tokens=60 + number),
            cost_usd=0.001 * (number + 1),
            latency_s=1.5 + number,
        )
        self.tell(answer, id=ids.child(request, f"answered/{attempts}"), key=request)
        return answer

    def decision(self, id: str, event: InstructionsGenerated) -> None:
        verdict = decider.decide(self.state, self.offset, id, event)
        for row in verdict.decision.kept:
            self.tell(row, id=row.id, key=row.id, partition=row.cluster)
            self.kept[row.id] = row
        self.tell(verdict.rejected, id=ids.verdict_id(self.offset), key=id)
        decider.apply(self.state, verdict.decision)
        self.offset += 1

    def window(self, *batches: Sequence[str], epoch: int = 1) -> TrainingLogged:
        """Train batches of rows by id, slot by slot, each with a higher gradient norm, and answer."""
        steps = []
        for rows in batches:
            self.steps += 1
            steps.append(
                StepLogged(
                    step=self.steps,
                    loss=2.0 + self.steps,
                    loss_variance=0.1,
                    grad_norm=1.0 + self.steps,
                    learning_rate=2e-5,
                    tokens=100,
                    seconds=1.0,
                    rows=tuple(
                        BatchRow(
                            id=id,
                            slot=slot,
                            cluster=self.kept[id].cluster,
                            generated_offset=self.kept[id].generated_offset,
                        )
                        for slot, id in enumerate(rows)
                    ),
                )
            )
        event = TrainingLogged(window=self.windows, epoch=epoch, model="trainee", steps=tuple(steps))
        key = ids.window_id(epoch, self.windows)
        self.tell(event, id=key, key=key)
        self.command(event, key)
        self.windows += 1
        return event

    def command(self, window: TrainingLogged, key: str) -> ReplaceSeeds:
        state = self.state
        command = feedback.answer(
            self.policy, self.pool, state.scores, state.kept, window, self.windows, as_of_offset=state.applied
        )
        self.tell(command, id=ids.command_id(self.windows), key=key)
        self.pool.apply(command, self.commands)
        self.commands += 1
        return command

    def generations_written(self) -> list[InstructionsGenerated]:
        return [entry.event for entry in self.written if isinstance(entry.event, InstructionsGenerated)]

    def events(self, kind: type[Event]) -> Iterator[tuple[int, Written]]:
        """Where the events of a type stand among all that was written."""
        return ((place, entry) for place, entry in enumerate(self.written) if type(entry.event) is kind)

    def change(self, kind: type[Event], nth: int = 0, **fields: object) -> None:
        """The nth event of a type reads otherwise."""
        place, entry = list(self.events(kind))[nth]
        event = msgspec.structs.replace(entry.event, **fields)
        self.written[place] = Written(entry.topic, entry.partition, event, entry.id, entry.key)


@dataclass
class MemorySource:
    """Records as a `Source`. Counts how often it was opened."""

    records: Sequence[Record]
    run: str = "demo"
    name: str = "run 'demo' in memory"
    opened: int = 0

    def open(self, topics: Iterable[str]) -> "MemoryReading":
        self.opened += 1
        return MemoryReading(self.records, set(topics))


class MemoryReading:
    """A reading of records; each partition as it was told."""

    def __init__(self, records: Sequence[Record], topics: set[str]) -> None:
        all_: dict[Partition, list[Record]] = {(topic, 0): [] for topic in topics}
        for record in records:
            if record.topic in topics:
                again = Record(
                    record.topic,
                    record.partition,
                    record.offset,
                    record.timestamp_ms,
                    record.key,
                    record.value,
                    record.headers,
                )
                all_.setdefault(record.place, []).append(again)
        self._all = all_
        self._left = {place: list(records) for place, records in all_.items()}
        self._ends = {place: left[-1].offset + 1 if left else 0 for place, left in all_.items()}

    def starts(self) -> Mapping[Partition, int]:
        return dict.fromkeys(self._ends, 0)

    def ends(self) -> Mapping[Partition, int]:
        return self._ends

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._left[topic, partition] = [r for r in self._all[topic, partition] if r.offset >= offset]

    def next(self, topic: str, partition: int) -> Record | None:
        left = self._left[topic, partition]
        return left.pop(0) if left else None

    def rest(self) -> Iterator[Record]:
        for place in self._ends:
            while (record := self.next(*place)) is not None:
                yield record

    def __enter__(self) -> "MemoryReading":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def source_of(story: Story) -> MemorySource:
    return MemorySource(list(story.records()), story.run)


def row_id(number: int, place: int) -> str:
    return ids.instruction_id(ids.generation_id("main", number), place)


def whole_run(run: str = "demo", policy: Policy = POLICY) -> ToldRun:
    """Rivers are kept and trained, become a seed, are shown to the LLM, score badly and are replaced.

    generation 0      rivers and a poem, both kept
    generation 1      rivers again (similar), a text too short, a letter (kept); its first attempt failed
    window 0          warm-up: rivers and poem, poem and rivers
    window 1          letter and poem; in step 4, chosen, rivers and letter: both become seeds
    generation 2      shown the letter: trees, kept
    generations 3, 4  shown the rivers: one too short and chess, then two too short
    window 2          poem and chess; in step 6, chosen, trees and rivers: trees take the place of the rivers
    generation 5      shown the trees, by another model, not decided yet
    """
    story = ToldRun(run, policy=policy)
    story.generation(0, [RIVERS, POEM])
    story.generation(1, [RIVERS_AGAIN, SHORT, LETTER], fail=True)
    rivers, poem, letter = row_id(0, 0), row_id(0, 1), row_id(1, 2)
    story.window([rivers, poem], [poem, rivers])
    story.window([letter, poem], [rivers, letter])
    story.generation(2, [TREES])
    story.generation(3, [SHORT, CHESS])
    story.generation(4, [SHORT, "Go"])
    story.window([poem, row_id(3, 1)], [row_id(2, 0), rivers])
    story.generation(5, ["List five uses of an old bicycle tyre at home"], model="m-2", decide=False)
    return story
