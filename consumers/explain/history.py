"""How a run was configured and what changed since: its seed pool, commands and classifiers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from consumers.explain.schema.place import RecordPlace, place_of
from consumers.folds.deduplicate import Deduplicator
from infra.log.record import Record
from infra.log.source import Source
from schemas import events
from schemas.errors import RunError
from streams.core.releases import RecordedReleases
from streams.core.seeds import SeedPool

TopicRecords = Callable[[str], Iterator[Record]]
"""Reads the rest of a topic."""


@dataclass
class RunHistory:
    """How the run was configured, and what changed since.

    pool          as the commands leave it
    commands      those that took effect, in order
    classifiers   by the offset of `generated` from which each is in force
    releases      of kept rows, by the id of the row: from which offset of `generated` it is not compared with
    """

    configured: events.RunConfigured
    pool: SeedPool
    commands: list[tuple[RecordPlace, events.ReplaceSeeds]]
    classifiers: dict[int, tuple[RecordPlace, events.ClassifierFitted]]
    releases: dict[str, tuple[RecordPlace, int]]

    def pool_at(self, offset: int) -> SeedPool:
        """The pool after the command at `offset` of `seed-commands`."""
        pool = SeedPool.of(self.configured.seeds)
        for where, command in self.commands:
            if where.offset <= offset:
                pool.apply(command, where.offset)
        return pool


def read_history(source: Source, read: TopicRecords) -> RunHistory:
    """Read `run` and `seed-commands`. Raises RunError when the run was never configured."""
    configured: events.RunConfigured | None = None
    deduplicator = Deduplicator()
    classifiers: dict[int, tuple[RecordPlace, events.ClassifierFitted]] = {}
    released, places = RecordedReleases(), dict[int, RecordPlace]()
    for record in read("run"):
        event = record.event
        if event is None or not deduplicator.first(event, record.id):
            continue
        if isinstance(event, events.RunConfigured):
            configured = event
        elif isinstance(event, events.ClassifierFitted):
            classifiers[event.from_offset] = place_of(record), event
        elif isinstance(event, events.InstructionsReleased):
            released.apply(event)
            places[event.from_offset] = place_of(record)
    if configured is None:
        raise RunError(
            f"The log of {source.name} has no RunConfigured. Start the run with `sedi run --run {source.run}`."
        )
    pool = SeedPool.of(configured.seeds)
    commands = [
        (place_of(record), record.event)
        for record in read("seed-commands")
        if isinstance(record.event, events.ReplaceSeeds) and pool.apply(record.event, record.offset)
    ]
    releases = {id: (places[at], at) for id, at in released.of_rows(configured.policy).items()}
    return RunHistory(configured, pool, commands, classifiers, releases)
