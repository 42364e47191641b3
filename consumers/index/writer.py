"""One record of a log as rows of an index's tables.

Whether a record counts is the fold's word (`consumers.folds.run_fold`): repeats get a line in `record` and nothing
else. Topics may come in any order against each other, so what several topics say of one thing is written by whichever
comes first and completed by the others.
"""

import sqlite3

from consumers.folds.run_fold import RunFold
from consumers.summary import summary
from infra.log.record import Record
from schemas import events, ids

_SUMMARY = 300  # characters

_RECORD = "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_GENERATION = "INSERT OR REPLACE INTO generation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ROW = """
INSERT INTO row (id, at, place, generation, instruction, input, output, model, producer) VALUES
    (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET at = excluded.at, place = excluded.place, generation = excluded.generation,
    instruction = excluded.instruction, model = excluded.model, producer = excluded.producer,
    input = CASE WHEN answered IS NULL THEN excluded.input ELSE input END,
    output = CASE WHEN answered IS NULL THEN excluded.output ELSE output END
"""
_KEPT = """
INSERT INTO row (id, at, place, generation, instruction, input, output, outcome, cluster) VALUES
    (?, ?, ?, ?, ?, ?, ?, 'kept', ?)
ON CONFLICT (id) DO UPDATE SET outcome = 'kept', cluster = excluded.cluster
"""
_REJECTED = """
INSERT INTO row (id, at, place, generation, outcome, reason, similarity, nearest, threshold) VALUES
    (?, ?, ?, ?, 'rejected', ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET outcome = 'rejected', reason = excluded.reason, similarity = excluded.similarity,
    nearest = excluded.nearest, threshold = excluded.threshold
"""
_ANSWERED = """
INSERT INTO row (id, at, place, generation, instruction, input, output, answered, unused) VALUES
    (?, ?, ?, ?, ?, ?, ?, 1, ?)
ON CONFLICT (id) DO UPDATE SET input = excluded.input, output = excluded.output, answered = 1, unused = excluded.unused
"""
_STARTED = """
INSERT INTO call (request, attempt, started_ms, generation, lane, step, model) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request, attempt) DO UPDATE SET started_ms = excluded.started_ms, generation = excluded.generation,
    lane = excluded.lane, step = excluded.step, model = coalesce(model, excluded.model)
"""
_ENDED = """
INSERT INTO call (request, attempt, ended_ms, outcome, model, status, error, retry, latency_s, prompt_tokens,
    completion_tokens, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request, attempt) DO UPDATE SET ended_ms = excluded.ended_ms, outcome = excluded.outcome,
    model = coalesce(excluded.model, model), status = excluded.status, error = excluded.error, retry = excluded.retry,
    latency_s = excluded.latency_s, prompt_tokens = excluded.prompt_tokens,
    completion_tokens = excluded.completion_tokens, cost = excluded.cost
"""


class IndexWriter:
    """Applies records to a fold and to the tables. Commits nothing."""

    def __init__(self, tables: sqlite3.Connection, fold: RunFold) -> None:
        self._tables = tables
        self._fold = fold

    def apply(self, record: Record) -> bool:
        """Apply a record; whether it counts."""
        fresh = self._fold.apply(record)
        self._record(record, fresh)
        if record.topic.endswith(".dlq") or record.decoded is None:
            return fresh
        event = record.decoded.event
        if isinstance(event, events.InstructionsGenerated):  # also a copy, which may come to count later
            self._generated(event, record)
        elif fresh:
            self._counted(event, record)
        return fresh

    def _record(self, record: Record, fresh: bool) -> None:
        kind = shown = error = None
        if record.topic.endswith(".dlq"):
            error = dict(record.headers).get("dlq_error", b"").decode(errors="replace") or "a dead letter"
        elif record.decoded is None:
            error = str(record.error)
        else:
            kind, shown = type(record.decoded.event).__name__, summary(record.decoded.event)[:_SUMMARY]
        key = None if record.key is None else record.key.decode(errors="replace")
        id = "" if error is not None else record.id
        repeated = not fresh and error is None
        line = (*record.place, record.offset, record.timestamp_ms, kind, id, key, shown, error, repeated)
        self._tables.execute(_RECORD, line)

    def _generated(self, event: events.InstructionsGenerated, record: Record) -> None:
        counted = record.offset in self._fold.verdicts.generations
        about = (event.lane, event.number, event.style, producer_of(event), event.backend, event.model)
        sizes = (len(event.instructions), len(event.unparsed), event.cost_usd, record.timestamp_ms, counted)
        self._tables.execute(_GENERATION, (record.offset, record.id, *about, *sizes))
        if not counted:
            return
        self._tables.executemany(
            "INSERT OR IGNORE INTO shown VALUES (?, ?)", ((seed, record.offset) for seed in event.seed_ids)
        )
        for place, task in enumerate(event.instructions):
            id = ids.instruction_id(record.id, place)
            where, texts = (record.offset, place, record.id), (task.instruction, task.input, task.output)
            self._tables.execute(_ROW, (id, *where, *texts, event.model, producer_of(event)))
            ((number,),) = self._tables.execute("SELECT number FROM row WHERE id = ?", (id,))
            self._tables.execute("DELETE FROM row_text WHERE rowid = ?", (number,))
            self._tables.execute("INSERT INTO row_text (rowid, instruction) VALUES (?, ?)", (number, task.instruction))
        self._scores(record.offset)

    def _counted(self, event: events.Event, record: Record) -> None:
        match event:
            case events.InstructionKept():
                where = (event.id, event.generated_offset, event.place, event.generation_id)
                self._tables.execute(_KEPT, (*where, event.instruction, event.input, event.output, event.cluster))
            case events.InstructionsRejected():
                self._rejected(event, record)
            case events.InstructionAnswered(row=row):
                where = (row.id, row.generated_offset, row.place, row.generation_id)
                self._tables.execute(_ANSWERED, (*where, row.instruction, row.input, row.output, event.reason))
            case events.InstructionJudged():
                judged = (event.kept_id, event.judge.name, event.score, event.scale.least, event.scale.most)
                self._tables.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?, ?, ?, ?)", (*judged, event.reason))
            case events.TrainingLogged():
                self._trained(event, record)
            case events.ReplaceSeeds():
                self._replaced(event, record)
            case _:
                self._called(event, record)

    def _rejected(self, event: events.InstructionsRejected, record: Record) -> None:
        if not event.generation_id:
            self._could_not_read(event.generated_offset)
        for one in event.rejections:
            where = (one.id, event.generated_offset, one.place, event.generation_id)
            self._tables.execute(_REJECTED, (*where, one.reason, one.similarity, one.nearest_id, one.threshold))
        totals = (event.generated_total, event.kept_total)
        self._tables.execute(
            "INSERT OR REPLACE INTO decided VALUES (?, ?, ?, ?)", (event.generated_offset, record.timestamp_ms, *totals)
        )
        self._scores(event.generated_offset)

    def _could_not_read(self, offset: int) -> None:
        """The filter could not read a generation: it does not count, and a copy that was put on the log again may."""
        found = self._tables.execute("SELECT id, lane, number FROM generation WHERE at = ?", (offset,)).fetchone()
        if found is None:
            return
        id, lane, number = found
        copies = self._tables.execute(
            "SELECT at FROM generation WHERE lane = ? AND number = ?", (lane, number)
        ).fetchall()
        counting = [at for (at,) in copies if at in self._fold.verdicts.generations]
        self._tables.execute("UPDATE generation SET counted = 0 WHERE lane = ? AND number = ?", (lane, number))
        if counting:
            self._tables.execute("UPDATE generation SET counted = 1 WHERE at = ?", (counting[0],))
            self._tables.execute("UPDATE row SET at = ? WHERE generation = ?", (counting[0], id))
            self._tables.execute("UPDATE OR IGNORE shown SET at = ? WHERE at = ?", (counting[0], offset))
            self._scores(counting[0])
        else:
            numbers = "SELECT number FROM row WHERE generation = ?"
            self._tables.execute(f"DELETE FROM row_text WHERE rowid IN ({numbers})", (id,))
            self._tables.execute("DELETE FROM row WHERE generation = ?", (id,))
            self._tables.execute("DELETE FROM shown WHERE at = ?", (offset,))

    def _scores(self, offset: int) -> None:
        """The scores of a generation's seeds, once the fold has credited them."""
        verdicts = self._fold.verdicts
        generation = verdicts.generations.get(offset)
        if generation is None or offset not in verdicts.totals:
            return
        for seed in generation.seed_ids:
            score = verdicts.scores[seed]
            point = (seed, offset, score.generated, score.kept)
            self._tables.execute("INSERT OR IGNORE INTO seed_point VALUES (?, ?, ?, ?)", point)

    def _trained(self, event: events.TrainingLogged, record: Record) -> None:
        for step in event.steps:
            numbers = (step.loss, step.grad_norm, step.learning_rate, step.tokens, step.seconds, record.timestamp_ms)
            line = (event.epoch, step.step, event.window, *numbers)
            self._tables.execute("INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", line)

    def _replaced(self, event: events.ReplaceSeeds, record: Record) -> None:
        where = (event.epoch, event.window, record.offset, record.timestamp_ms)
        sizes = (len(event.candidates), len(event.replacements))
        line = (*where, event.outcome, event.metric, event.step, event.value, *sizes)
        self._tables.execute("INSERT OR REPLACE INTO answer_to_window VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", line)

    def _called(self, event: events.Event, record: Record) -> None:
        at = record.timestamp_ms
        match event:
            case events.CallStarted():
                about = (event.generation_id, event.lane, event.step, event.model)
                self._tables.execute(_STARTED, (event.request_id, event.attempt, at, *about))
            case events.CallAnswered():
                usage = (
                    (None, None) if event.usage is None else (event.usage.prompt_tokens, event.usage.completion_tokens)
                )
                ended = ("answered", event.model, None, None, None, event.latency_s, *usage, event.cost_usd)
                self._tables.execute(_ENDED, (event.request_id, event.attempt, at, *ended))
            case events.CallFailed():
                usage = (
                    (None, None) if event.usage is None else (event.usage.prompt_tokens, event.usage.completion_tokens)
                )
                ended = ("failed", None, event.status, event.error, event.retry, None, *usage, event.cost_usd)
                self._tables.execute(_ENDED, (event.request_id, event.attempt, at, *ended))
            case _:
                pass


def producer_of(event: events.InstructionsGenerated) -> str:
    """Whose generation it is: one about a segment is the second producer's (`goliath`), any other the first one's."""
    return "sedi" if event.segment is None else "goliath"
