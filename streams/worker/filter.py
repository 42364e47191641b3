"""The filter agent: decides on the records of `generated` in blocks, writes the verdicts, then stores the decisions.

The steps for a block, the records at offsets N to M, are in this order, so that a crash changes no outcome:
0. where a release is due before N, write it or use the one on the log (`streams.worker.releases`);
1. decide, purely, from the state of offsets below N: judge each record in order, which moves the state on, then find
   the clusters of all kept rows at once;
2. write the dead letters of the block's unreadable records;
3. write the kept rows, and once the cluster has confirmed all, a `rejected` record for each, and wait for those too;
4. put the decisions into the kept table, each under its offset, and the seeds' scores into the score table (changelogs
   follow);
5. begin to fit a classifier if one is due; write and use it if it is in force with the next record.
A block ends where a release or a fit is due, where a classifier comes into force, and after BLOCK_S of judging. After a
crash the kept table shows up to where all steps are done. Later records are decided again, with the same outcome and
the same ids, and readers deduplicate.

From step 1 to step 4 the state is ahead of the tables. When one of them fails, the state is not used any more until it
has been recovered from the tables.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from infra.log.record import Record
from infra.models.embeddings import embedder_for
from schemas import ids
from schemas.errors import RunError, TooManyDeadLetters
from schemas.events import ClassifierFitted, InstructionsGenerated, RunConfigured
from streams.core import decider
from streams.core.decider import Decision, FilterState, Judged, Verdict
from streams.core.refits import due_fit
from streams.core.releases import release_due
from streams.worker.fit_beside import FitBeside
from streams.worker.outlet import Outgoing, Outlet, Refused
from streams.worker.releases import Releaser

logger = logging.getLogger(__name__)

BLOCK_RECORDS = 256
BLOCK_S = 0.1
"""Seconds of judging after which a block ends: the event loop waits for them."""

Table = Any  # faust.Table has no types


class FilterAgent:
    """The filter's state and its tables.

    kept       kept table: `generated` offset -> Decision, as JSON
    scores     score table: seed id -> SeedScore, as JSON
    releaser   in a run that releases kept rows whose answer is not used
    """

    def __init__(self, configured: RunConfigured, outlet: Outlet, kept: Table, scores: Table) -> None:
        self._embedder = embedder_for(configured.policy)
        self.state: FilterState = decider.initial_state(configured, self._embedder)
        self._configured = configured
        self._outlet = outlet
        self._kept = kept
        self._scores = scores
        self._recorded: dict[int, ClassifierFitted] = {}
        self._fits = FitBeside()
        self._ahead = False
        self._alone_through = decider.BEFORE_ALL
        self.releaser: Releaser | None = None

    async def apply(self, records: Sequence[Record]) -> int:
        """Decide on the first of consecutive records of `generated`; returns on how many.

        The first is the state's next. Called again after an error, it continues: a stored decision is not made again.
        Raises RunError when an earlier block failed and the state was not recovered since.
        """
        self.require_whole()
        stored = sum(1 for record in records if record.offset <= self.state.applied)
        if not stored:
            if self.releaser is not None:
                await self.releaser.before(self.state, records[0].offset)
            letters = self._outlet.dead_letters("generated")
            counted = letters.counted
            self._ahead = True
            judged, refused = self._judge(records)
            try:
                verdicts = decider.classify(self.state, judged)
            except Exception as error:  # noqa: BLE001 - some text's fault: in blocks of one its record is a dead letter
                letters.counted = counted
                await self._begin_again(judged[-1].decision.offset, error)
                return 0
            for letter in refused:
                await self._outlet.dead_letter(letter)
            await self._write(verdicts)
            await self._store(verdicts)
            self._ahead = False
            stored = len(verdicts)
        await self.refit()
        return stored

    def require_whole(self) -> None:
        """Raise RunError while the state is ahead of the tables because a block failed."""
        if self._ahead:
            raise RunError("A block of decisions failed before it was stored. Nothing is lost; start the worker again.")

    def _judge(self, records: Sequence[Record]) -> tuple[list[Judged], list[Refused]]:
        """Judge the records of one block, and the dead letters among them. Awaits nothing: nobody sees half of it."""
        state = self.state
        until = time.monotonic() + BLOCK_S
        judged: list[Judged] = []
        refused: list[Refused] = []
        for record in records:
            if judged and (self._ends_before(record.offset) or time.monotonic() > until):
                break
            try:
                found = self._outlet.evaluate(record, InstructionsGenerated, self._judge_one)
            except TooManyDeadLetters:
                if judged:
                    break  # what was decided before it is stored first
                self._ahead = False
                raise
            if isinstance(found, Refused):
                refused.append(found)
                found = decider.judge_empty(state, record.offset)
            judged.append(found)
        return judged, refused

    def _ends_before(self, offset: int) -> bool:
        """Whether the record at an offset, the state's next, must begin another block."""
        state, due = self.state, self.state.due_fit
        passed = state.next_fit is not None and state.kept_total >= state.next_fit
        return (
            offset <= self._alone_through + 1
            or (self.releaser is not None and release_due(state.policy, offset))
            or offset in self._recorded
            or (passed if due is None else offset == due.from_offset)
        )

    def _judge_one(self, record: Record, event: InstructionsGenerated) -> Judged:
        if record.offset <= self._alone_through:
            decider.decide(self.state, record.offset, record.id, event)  # raises for a row that has no cluster
        return decider.judge(self.state, record.offset, record.id, event)

    async def _begin_again(self, through: int, error: Exception) -> None:
        """Recover the state, and decide up to the offset `through` in blocks of one record."""
        logger.warning("deciding singly up to offset %d of generated: %r", through, error)
        self._alone_through = through
        await asyncio.to_thread(self.recover, ())

    def recover(self, classifiers: Iterable[ClassifierFitted]) -> int:
        """Restore the state from the recovered kept table. Returns the last applied offset.

        Only offsets without a gap count; records after a gap are decided again. Raises RunError if no classifier is in
        force then.
        """
        state = decider.initial_state(self._configured, self._embedder) if self._ahead else self.state
        values = {int(offset): value for offset, value in self._kept.items()}
        decisions: list[Decision] = []
        while (value := values.get(state.applied + 1 + len(decisions))) is not None:
            decisions.append(msgspec.json.decode(value, type=Decision))
        decider.restore(state, decisions, lambda rows: logger.info("%d kept rows indexed", rows))
        if self.releaser is not None:
            self.releaser.restore(state)
        self._recorded |= {classifier.from_offset: classifier for classifier in classifiers}
        for from_offset in sorted(self._recorded):
            in_force = from_offset <= state.applied + 1
            if in_force and (state.model is None or from_offset > state.classifier_offset):
                decider.use_classifier(state, self._recorded[from_offset])
        if state.model is None:  # without one every record would become a dead letter
            raise RunError(
                f"Run {self._configured.run!r} has no classifier for offset {state.applied + 1} of generated: its "
                f"configuration was interrupted. Complete it with `sedi run --run {self._configured.run}`."
            )
        self.state, self._ahead = state, False
        return state.applied

    async def repair_scores(self) -> None:
        """Write the entries of the score table that lag behind the kept table."""
        await self._store_scores(self.state.scores)

    async def _write(self, verdicts: Iterable[Verdict]) -> None:
        """First the rows, then what is told of them: a reader of a verdict finds all rows up to it."""
        rows: list[Outgoing] = []
        told: list[Outgoing] = []
        for verdict in verdicts:
            decision = verdict.decision
            cause = decision.generation_id or None
            rows += (Outgoing(row, row.id, row.id, cause, row.cluster) for row in decision.kept)
            key = decision.generation_id or f"offset-{decision.offset}"
            told.append(Outgoing(verdict.rejected, key, ids.verdict_id(decision.offset), cause))
        if rows:
            await self._outlet.write(rows)
        await self._outlet.write(told)

    async def _store(self, verdicts: Iterable[Verdict]) -> None:
        decisions = [verdict.decision for verdict in verdicts]
        await self._outlet.store(self._kept, {_key(made.offset): msgspec.json.encode(made) for made in decisions})
        await self._store_scores(dict.fromkeys(seed_id for made in decisions for seed_id in made.seed_ids))

    async def _store_scores(self, seed_ids: Iterable[str]) -> None:
        """Write the scores of these seeds, as they are now, where the table has others."""
        scores, table = self.state.scores, self._scores
        encoded = {seed_id.encode(): msgspec.json.encode(scores[seed_id]) for seed_id in seed_ids}
        await self._outlet.store(table, {key: value for key, value in encoded.items() if table.get(key) != value})

    async def refit(self) -> None:
        """Begin the fit that is due; write and use the classifier that is in force with the next record.

        One that is on the log already is not fitted again.
        """
        state, at = self.state, self.state.applied + 1
        due = due_fit(state)
        event = self._recorded.get(at)
        if event is None and due is not None and due.from_offset not in self._recorded:
            self._fits.begin(state, due)
            if state.embedder is not None:
                await self._fits.settle()  # an embedder is for one caller at a time
            if due.from_offset == at:
                event = await self._fits.fitted()
                await self._outlet.write([Outgoing(event, self._configured.run, ids.classifier_id(event.from_offset))])
                self._recorded[at] = event
                logger.info("fitted a classifier on %d kept instructions", event.texts)
        if event is not None and event.from_offset != state.classifier_offset:
            decider.use_classifier(state, event)


def _key(offset: int) -> bytes:
    return str(offset).encode()
