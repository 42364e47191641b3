"""The causes of a run: generations, training windows and judgements, as the real components write them."""

import json

from infra.log.record import Record
from schemas import ids
from schemas.events import (
    BatchRow,
    CallAnswered,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    Judge,
    ReplaceSeeds,
    RunConfigured,
    StepLogged,
    TrainingLogged,
)
from streams.core.batches import Batch, BatchQueues, KeptRow
from streams.core.judging import SCALE
from streams.core.parse.answers import READING, AnswerForm, read
from streams.core.seeds import SeedPool
from tests.harness.answers import LISTED, STYLE, MemoryAnswerer
from tests.harness.memory_log import MemoryLog
from tests.harness.script import Answers, Generation, Judgement, Window

JUDGE = Judge(backend="none", model="none", rubric="accuracy", version=1)


def _raw(texts: tuple[str, ...]) -> str:
    return json.dumps({"tasks": [{"instruction": text, "input": "", "output": "so"} for text in texts]})


class Causes:
    """A generator of several lanes, which samples from the log's seed pool, a trainer and a judge on one log."""

    def __init__(self, configured: RunConfigured, log: MemoryLog) -> None:
        self.configured = configured
        self.log = log
        clusters = range(configured.policy.clusters)
        self._numbers: dict[str, int] = {}
        self._queues = BatchQueues(clusters)
        self._fed = dict.fromkeys(clusters, 0)
        self._steps = self._windows = 0
        self._judged: set[str] = set()
        self._last: dict[str, Record] = {}
        self._answerer = MemoryAnswerer(configured.policy, log)

    def generation(self, item: Generation) -> Record:
        if item.again and item.lane in self._last:
            last = self._last[item.lane]
            return self.log.append("generated", 0, last.key, last.value, last.headers)
        number = self._numbers.get(item.lane, -1) + 1
        self._numbers[item.lane] = number
        policy, pool = self.configured.policy, self._pool()
        id = ids.generation_id(item.lane, number)
        later = policy.answer == "kept"
        raw = "\n".join(f"{n}. {text}" for n, text in enumerate(item.texts, policy.seeds_per_request + 1))
        answer = CallAnswered(
            request_id=ids.request_id(id, 0),
            attempt=1,
            model="none",
            raw=raw if later else _raw(item.texts),
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )
        self.log.write(answer, key=answer.request_id, id=ids.child(answer.request_id, "answered/1"))
        seed_ids = tuple(seed.id for seed in pool.sample(policy.seeds_per_request, policy.rng_seed, item.lane, number))
        form = AnswerForm("alpaca", "strict", len(seed_ids), structured=True)
        if later:
            form = AnswerForm(STYLE, "strict", len(seed_ids), most=9)
        instructions, unparsed, cut = read(form, {0: answer})
        event = InstructionsGenerated(
            lane=item.lane,
            number=number,
            style=form.style,
            parser="strict",
            backend="recorded",
            model="none",
            parameters=LISTED if later else {"api": "structured"},
            seed_ids=seed_ids,
            seed_commands_offset=pool.commands_offset,
            answers=(answer,),
            instructions=instructions,
            unparsed=unparsed,
            cost_usd=None,
            reading=READING,
            cut=cut,
        )
        self._last[item.lane] = self.log.write(event, key=id, id=id)
        return self._last[item.lane]

    def _pool(self) -> SeedPool:
        pool = SeedPool.of(self.configured.seeds)
        for record in self.log.records("seed-commands"):
            if isinstance(record.event, ReplaceSeeds):
                pool.apply(record.event, record.offset)
        return pool

    def window(self, item: Window) -> Record | None:
        if item.again and "window" in self._last:
            last = self._last["window"]
            return self.log.append("training-log", 0, last.key, last.value, last.headers)
        for cluster in self._fed:
            records = self.log.records("kept", cluster)
            for record in records[self._fed[cluster] :]:
                assert isinstance(record.event, InstructionKept)
                self._queues.feed(KeptRow(record.offset, record.event))
            self._fed[cluster] = len(records)
        steps = []
        while len(steps) < self.configured.policy.window_steps and (
            batch := self._queues.next_batch(self.configured.policy.batch_size, "borrow")
        ):
            self._steps += 1
            steps.append(_step(self._steps, batch))
        if not steps:
            return None
        event = TrainingLogged(window=self._windows, epoch=1, model="none", steps=tuple(steps))
        id = ids.window_id(1, self._windows)
        self._windows += 1
        self._last["window"] = self.log.write(event, key=id, id=id)
        return self._last["window"]

    def beside(self, item: Judgement | Answers) -> None:
        """What is not delivered to the worker: it reads that when it needs it."""
        if isinstance(item, Answers):
            self._answerer.answer(item.fails)
        else:
            self._judge(item)

    def _judge(self, item: Judgement) -> None:
        records = (record for cluster in self._fed for record in self.log.records("kept", cluster))
        # A crash may have duplicated a row.
        rows = {r.event.id: r.event for r in records if isinstance(r.event, InstructionKept)}
        left = (row for row in rows.values() if row.id not in self._judged)
        for row in sorted(left, key=lambda row: (row.generated_offset, row.place)):
            score, id = item.scores[len(self._judged) % len(item.scores)], ids.judgement_id(row.id, JUDGE.name)
            self._judged.add(row.id)
            answer = CallAnswered(
                request_id=ids.request_id(id, 0),
                attempt=1,
                model="none",
                raw=f"{score}\nso",
                finish_reason="stop",
                usage=None,
                cost_usd=None,
                latency_s=0.0,
            )
            self.log.write(answer, key=answer.request_id, id=ids.child(answer.request_id, "answered/1"))
            event = InstructionJudged(
                kept_id=row.id,
                generated_offset=row.generated_offset,
                place=row.place,
                cluster=row.cluster,
                judge=JUDGE,
                scale=SCALE,
                score=score,
                reason="so",
                answers=(answer,),
                cost_usd=None,
            )
            self.log.write(event, key=row.id, id=id)


def _step(number: int, batch: Batch) -> StepLogged:
    return StepLogged(
        step=number,
        loss=2.0,
        loss_variance=0.1,
        grad_norm=float(number * 7 % 10),
        learning_rate=1e-4,
        tokens=10,
        seconds=0.1,
        rows=tuple(
            BatchRow(id=p.row.kept.id, slot=p.slot, cluster=p.cluster, generated_offset=p.row.kept.generated_offset)
            for p in batch
        ),
    )
