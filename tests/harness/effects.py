"""The effects on a run's log, deduplicated, and those of one undisturbed pass of the core over the same causes.

Deduplicated as by every reader of a run: an event whose cause is not newer than the last one of its partition is
dropped. So an effect that came too late for its readers is missing here too.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from infra.log.record import Record
from infra.log.run import configuration
from infra.log.source import Source
from infra.models.embeddings import embedder_for
from schemas import ids
from schemas.errors import MalformedEvent
from schemas.events import (
    ClassifierFitted,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    ReplaceSeeds,
    TrainingLogged,
)
from streams.core import decider
from streams.core.decider import FilterState, Verdict
from streams.core.feedback import answer
from streams.core.judging import FirstJudge
from streams.core.releases import recorded_releases, release, release_due
from streams.core.scores import SeedScore
from streams.core.seeds import SeedPool


@dataclass
class Effects:
    """Values, by event id or answered window, and the number of duplicates."""

    kept: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    rejected: dict[str, bytes] = field(default_factory=dict)
    classifiers: dict[int, bytes] = field(default_factory=dict)
    commands: dict[tuple[int, int], bytes] = field(default_factory=dict)
    repeats: int = 0

    def digests(self) -> dict[str, str]:
        """SHA-256 of `kept` and of `rejected`, by id."""
        return {name: _digest(getattr(self, name)) for name in ("kept", "rejected")}


def on_log(source: Source) -> Effects:
    """The effects on a log. Raises AssertionError for a duplicate that is not the same event."""
    found = Effects()
    last_row: dict[int, tuple[int, int]] = {}
    last_verdict = -1
    seen: dict[tuple[str, str], bytes | None] = {}
    with source.open(["kept", "rejected", "seed-commands", "run"]) as reading:
        for record in reading.rest():
            assert record.decoded is not None, f"{record} cannot be read: {record.error}"
            if record.topic in ("kept", "rejected"):
                same = seen.setdefault((record.topic, record.id), record.value) == record.value
                assert same, f"{record} has the id of another event with another value"
            value = record.value or b""
            match record.event:
                case InstructionKept() as row:
                    key = row.generated_offset, row.place
                    if key <= last_row.get(record.partition, (-1, -1)):
                        found.repeats += 1
                        continue
                    last_row[record.partition] = key
                    assert row.id not in found.kept, f"{record} is in a second partition"
                    found.kept[row.id] = record.partition, value
                case InstructionsRejected() as verdict:
                    if verdict.generated_offset <= last_verdict:
                        found.repeats += 1
                        continue
                    last_verdict = verdict.generated_offset
                    found.rejected[record.id] = value
                case ReplaceSeeds() as command:
                    found.repeats += (command.epoch, command.window) in found.commands
                    found.commands.setdefault((command.epoch, command.window), value)
                case ClassifierFitted() as fitted:
                    found.repeats += fitted.from_offset in found.classifiers
                    found.classifiers.setdefault(fitted.from_offset, value)
                case _:
                    pass
    return found


@dataclass
class Undisturbed:
    """One pass: its effects, the state and the pool after it, and each decision by its offset."""

    effects: Effects
    state: FilterState
    pool: SeedPool
    decisions: dict[int, bytes]


def undisturbed(source: Source) -> Undisturbed:
    """Decide everything again from the causes on the log: configuration, first classifier, generations, windows.

    Releases are those on the log. Refits are decided again, but a classifier on the log is used as it is: another
    process may fit another last digit, and the audit compares them. The order of the commands and the
    offsets that their scores reflect are the log's, because they depend on when the window came.
    """
    configured, classifiers = configuration(source)
    recorded = {fitted.from_offset: fitted for fitted in classifiers}
    commands = _first_commands(source)
    wanted = {command.as_of_offset for _, command in commands}
    scores: dict[int, dict[str, SeedScore]] = {}
    state = decider.use_classifier(decider.initial_state(configured, embedder_for(configured.policy)), classifiers[0])
    found = Undisturbed(Effects(), state, SeedPool.of(configured.seeds), {})
    effects = found.effects
    effects.classifiers[0] = msgspec.json.encode(classifiers[0])
    if -1 in wanted:
        scores[-1] = {}
    with source.open(["run"]) as reading:
        released = recorded_releases(record.event for record in reading.rest())
    with source.open(["generated"]) as reading:
        for record in reading.rest():
            if release_due(configured.policy, record.offset):
                release(state, released.by_offset[record.offset])
            verdict = _verdict(state, record)
            for row in verdict.decision.kept:
                effects.kept[row.id] = row.cluster, msgspec.json.encode(row)
            effects.rejected[ids.verdict_id(record.offset)] = msgspec.json.encode(verdict.rejected)
            found.decisions[record.offset] = msgspec.json.encode(verdict.decision)
            decider.apply(state, verdict.decision)
            due = decider.due_classifier(state)
            if due is not None:
                due = recorded.get(due.from_offset, due)
                effects.classifiers[due.from_offset] = msgspec.json.encode(due)
                decider.use_classifier(state, due)
            if state.applied in wanted:
                scores[state.applied] = dict(state.scores)
    with source.open(["training-log"]) as reading:
        windows = {r.offset: r.event for r in reading.rest() if isinstance(r.event, TrainingLogged)}
    judge = FirstJudge()
    with source.open(["judged"]) as reading:
        for record in reading.rest():
            judge.apply(record.event if isinstance(record.event, InstructionJudged) else None, record.offset)
    answered: set[tuple[int, int]] = set()
    for offset, command in commands:
        window = windows[command.training_offset]
        known = {id: row for id, row in state.kept.items() if row.generated_offset <= command.as_of_offset}
        made = answer(
            configured.policy,
            found.pool,
            scores[command.as_of_offset],
            known,
            window,
            command.training_offset,
            command.as_of_offset,
            judge,
            command.judged_offset,
        )
        found.pool.apply(made, offset)
        answered.add((window.epoch, window.window))
        effects.commands[window.epoch, window.window] = msgspec.json.encode(made)
    if configured.policy.feedback:
        for event in windows.values():
            assert (event.epoch, event.window) in answered, (
                f"window {event.window} of epoch {event.epoch} has no answer"
            )
    return found


def seed_entries(pool: SeedPool) -> dict[bytes, bytes]:
    """The expected content of the seeds table."""
    entries = {seed.task.id: (seed, None) for seed in pool.active}
    entries |= {gone.seed.task.id: (gone.seed, gone.at) for gone in pool.evicted.values()}
    return {
        id.encode(): msgspec.json.encode(
            {
                "task": seed.task,
                "since_offset": seed.since_offset,
                "until_offset": until,
                "offset": seed.since_offset if until is None else until,
            }
        )
        for id, (seed, until) in entries.items()
    }


def _verdict(state: FilterState, record: Record) -> Verdict:
    if isinstance(record.event, InstructionsGenerated):
        try:
            return decider.decide(state, record.offset, record.id, record.event)
        except MalformedEvent:
            pass
    return decider.empty_verdict(state, record.offset)


def _first_commands(source: Source) -> list[tuple[int, ReplaceSeeds]]:
    """The first command of each window, and its offset, in log order."""
    found: dict[tuple[int, int], tuple[int, ReplaceSeeds]] = {}
    with source.open(["seed-commands"]) as reading:
        for record in reading.rest():
            if isinstance(record.event, ReplaceSeeds):
                found.setdefault((record.event.epoch, record.event.window), (record.offset, record.event))
    return list(found.values())


def _digest(values: dict[str, bytes] | dict[str, tuple[int, bytes]]) -> str:
    digest = hashlib.sha256()
    for line in _lines(values.items()):
        digest.update(line)
    return digest.hexdigest()


def _lines(items: Iterable[tuple[str, bytes | tuple[int, bytes]]]) -> Iterable[bytes]:
    for id, value in sorted(items):
        yield id.encode() + b" " + (value if isinstance(value, bytes) else b"%d %s" % value) + b"\n"
