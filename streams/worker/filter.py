"""The filter agent: decides on each record of `generated`, writes the verdict, then stores the decision.

The steps for the record at offset N are in this order, so that a crash at any point changes no outcome:
0. where a release is due, write it or use the one on the log (`streams.worker.releases`);
1. decide, purely, from the state of offsets below N;
2. write the kept rows and the one `rejected` record, and wait for the cluster's confirmation;
3. put the decision into the kept table under N, and the seeds' scores into the score table (changelogs follow);
4. apply the decision to the state; fit, write and use a new classifier if one is due.
After a crash the kept table shows up to where all steps are done. Later records are decided again, with the same
outcome and the same ids, and readers deduplicate.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from infra.log.record import Record
from infra.models.embeddings import embedder_for
from schemas import ids
from schemas.errors import RunError
from schemas.events import ClassifierFitted, InstructionsGenerated, RunConfigured
from streams.core import decider
from streams.core.decider import Decision, FilterState, Verdict
from streams.core.scores import SeedScore
from streams.worker.outlet import Outgoing, Outlet
from streams.worker.releases import Releaser

logger = logging.getLogger(__name__)

Table = Any  # faust.Table has no types


class FilterAgent:
    """The filter's state and its tables.

    kept       kept table: `generated` offset -> Decision, as JSON
    scores     score table: seed id -> SeedScore, as JSON
    releaser   in a run that releases kept rows whose answer is not used
    """

    def __init__(self, configured: RunConfigured, outlet: Outlet, kept: Table, scores: Table) -> None:
        self.state: FilterState = decider.initial_state(configured, embedder_for(configured.policy))
        self._run = configured.run
        self._outlet = outlet
        self._kept = kept
        self._scores = scores
        self._recorded: dict[int, ClassifierFitted] = {}
        self.releaser: Releaser | None = None

    async def apply(self, record: Record) -> None:
        """Decide on one record of `generated`; its offset is the state's next.

        Called again after an error, it continues: a stored decision is not made again.
        """
        if record.offset > self.state.applied:
            if self.releaser is not None:
                await self.releaser.before(self.state, record.offset)
            verdict = await self._outlet.evaluate_or_dead_letter(record, InstructionsGenerated, self._decide)
            if verdict is None:
                verdict = decider.empty_verdict(self.state, record.offset)
            await self._write(verdict)
            self._store(verdict.decision)
        await self.refit()

    def _decide(self, record: Record, event: InstructionsGenerated) -> Verdict:
        return decider.decide(self.state, record.offset, record.id, event)

    def recover(self, classifiers: Iterable[ClassifierFitted]) -> int:
        """Restore the state from the recovered kept table. Returns the last applied offset.

        Only offsets without a gap count; records after a gap are decided again. Raises RunError if no classifier is in
        force then.
        """
        values = {int(offset): value for offset, value in self._kept.items()}
        decisions: list[Decision] = []
        while (value := values.get(self.state.applied + 1 + len(decisions))) is not None:
            decisions.append(msgspec.json.decode(value, type=Decision))
        decider.restore(self.state, decisions, lambda rows: logger.info("%d kept rows indexed", rows))
        if self.releaser is not None:
            self.releaser.restore(self.state)
        for classifier in classifiers:
            self._recorded[classifier.from_offset] = classifier
            in_force = classifier.from_offset <= self.state.applied + 1
            if in_force and (self.state.model is None or classifier.from_offset > self.state.classifier_offset):
                decider.use_classifier(self.state, classifier)
        if self.state.model is None:  # without one every record would become a dead letter
            raise RunError(
                f"Run {self._run!r} has no classifier for offset {self.state.applied + 1} of generated: its "
                f"configuration was interrupted. Complete it with `sedi run --run {self._run}`."
            )
        return self.state.applied

    def repair_scores(self) -> None:
        """Write the entries of the score table that lag behind the kept table."""
        for seed_id, score in self.state.scores.items():
            value = _encoded(score)
            if self._scores.get(seed_id.encode()) != value:
                self._scores[seed_id.encode()] = value

    async def _write(self, verdict: Verdict) -> None:
        decision, rejected = verdict.decision, verdict.rejected
        cause = decision.generation_id or None
        outgoing = [Outgoing(row, row.id, row.id, causation_id=cause, partition=row.cluster) for row in decision.kept]
        key = decision.generation_id or f"offset-{decision.offset}"
        await self._outlet.write(
            [*outgoing, Outgoing(rejected, key, ids.verdict_id(decision.offset), causation_id=cause)]
        )

    def _store(self, decision: Decision) -> None:
        self._kept[str(decision.offset).encode()] = msgspec.json.encode(decision)
        decider.apply(self.state, decision)
        for seed_id in decision.seed_ids:
            self._scores[seed_id.encode()] = _encoded(self.state.scores[seed_id])

    async def refit(self) -> None:
        """Fit, write and use the classifier that is due; one that is on the log already is only used."""
        recorded = self._recorded.get(self.state.applied + 1)
        event = recorded or await asyncio.to_thread(decider.due_classifier, self.state)
        if event is None or event.from_offset == self.state.classifier_offset:
            return
        if recorded is None:
            await self._outlet.write([Outgoing(event, self._run, ids.classifier_id(event.from_offset))])
            logger.info("fitted a classifier on %d kept instructions", event.texts)
        decider.use_classifier(self.state, event)


def _encoded(score: SeedScore) -> bytes:
    return msgspec.json.encode(score)
