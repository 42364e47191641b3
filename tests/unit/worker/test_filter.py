"""The filter agent writes to the log before it stores its state, so that a crash at any moment changes no outcome."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.log.record import Record
from schemas import ids
from schemas.envelope import Decoded, Meta, decode, encode
from schemas.errors import RunError
from schemas.events import (
    ClassifierFitted,
    Event,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    RunConfigured,
    RunStopped,
)
from schemas.policy import policy_for, policy_with
from streams.core import refits
from streams.core.cluster_fit import marks_passed
from streams.core.clusters import ClusterModel
from streams.core.decider import Decision
from streams.core.scores import SeedScore
from streams.worker import fit_beside
from streams.worker.block_writer import BlockWriter, Outbound
from streams.worker.dead_letter_limit import Counted, DeadLetterLimit
from streams.worker.filter import FilterAgent
from streams.worker.outlet import Outlet
from tests.unit.core.conftest import configured, first_classifier, generation, in_one_go, own_seeds

POLICY = policy_for(batch_size=4, refit_from=6, refit_growth=2)
RUN = configured(POLICY, own_seeds()[:12])
TEXTS = [seed.instruction for seed in own_seeds()[12:60]]


class Crash(Exception):
    """The process dies here."""


@dataclass
class Fuse:
    """Lets the process die at its n-th step towards the outside world."""

    steps: int = 10**9

    def burn(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Crash


@dataclass(frozen=True)
class Sent:
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def decoded(self) -> Decoded:
        return decode(self.key, self.value, self.headers)


class MemoryWriter(BlockWriter):
    """The writer, with the cluster in memory."""

    def __init__(self, fuse: Fuse) -> None:
        self.sent: list[Sent] = []
        self.fuse = fuse

    async def write(self, records: Sequence[Outbound]) -> list[int]:
        before = len(self.sent)
        for topic, partition, key, value, headers in records:
            self.fuse.burn()
            self.sent.append(Sent(topic.removeprefix(f"sedi.{RUN.run}."), partition, key, value, tuple(headers)))
        return list(range(before, len(self.sent)))

    async def store(self, table: Any, entries: Mapping[bytes, bytes]) -> None:
        for key, value in entries.items():
            table[key] = value


class MemoryOutlet(Outlet):
    """The outlet, with the cluster in memory."""

    def __init__(self, fuse: Fuse) -> None:
        self.writer = MemoryWriter(fuse)
        super().__init__(None, RUN.run, "worker", DeadLetterLimit(in_a_row=20, share=0.1), self.writer)
        self.sent = self.writer.sent

    async def _send(
        self, name: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Any:
        (offset,) = await self.writer.write([Outbound(name, partition, key, value, headers)])
        confirmed = asyncio.get_running_loop().create_future()
        confirmed.set_result(SimpleNamespace(offset=offset))
        return confirmed

    def events(self, topic: str) -> list[Event]:
        return [sent.decoded().event for sent in self.sent if sent.topic == topic]


class MemoryTable(dict[bytes, bytes]):
    """A table whose writes are steps towards the outside world too."""

    def __init__(self, fuse: Fuse, values: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(values or {})
        self.fuse = fuse

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.fuse.burn()
        super().__setitem__(key, value)


@dataclass
class Rig:
    """A filter with its tables and what it wrote."""

    run: RunConfigured = RUN
    fuse: Fuse = field(default_factory=Fuse)

    def __post_init__(self) -> None:
        self.outlet = MemoryOutlet(self.fuse)
        self.kept = MemoryTable(self.fuse)
        self.scores = MemoryTable(self.fuse)
        self.start([first_classifier(self.run.policy, self.run.seeds)])

    def start(self, classifiers: Iterable[ClassifierFitted]) -> None:
        """A process starts and recovers from the tables."""
        self.filter = FilterAgent(self.run, self.outlet, self.kept, self.scores)
        self.filter.recover(classifiers)

    def recorded(self) -> list[ClassifierFitted]:
        """What `run` holds: the first classifier, then those that were written, the first of each."""
        found = {0: first_classifier(self.run.policy, self.run.seeds)}
        for event in self.outlet.events("run"):
            assert isinstance(event, ClassifierFitted)
            found.setdefault(event.from_offset, event)
        return [found[offset] for offset in sorted(found)]

    def decisions(self) -> dict[int, Decision]:
        return {int(offset): msgspec.json.decode(value, type=Decision) for offset, value in self.kept.items()}

    def table_of_scores(self) -> dict[str, SeedScore]:
        return {id.decode(): msgspec.json.decode(value, type=SeedScore) for id, value in self.scores.items()}

    async def take(self, *events: InstructionsGenerated | None, block: int = 1) -> None:
        """Take records in blocks of so many at most."""
        records = [record(offset, event) for offset, event in enumerate(events, self.filter.state.applied + 1)]
        while records:
            del records[: await self.filter.apply(records[:block])]


def record(offset: int, event: Event | None, *, id: str | None = None) -> Record:
    """A record of `generated`; None is one that cannot be read."""
    if event is None:
        return Record("generated", 0, offset, 0, b"some key", b"not an event", [("from", b"elsewhere")])
    if id is None:
        assert isinstance(event, InstructionsGenerated)
        id = ids.generation_id(event.lane, event.number)
    key, value, headers = encode(event, id, Meta(id, "/sedi/t/test", "2026-01-01T00:00:00Z"))
    return Record("generated", 0, offset, 0, key, value, headers)


def run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(steps, 60))


def generations(*sizes: int) -> list[InstructionsGenerated]:
    """Generations of so many instructions each, none like another, after one that is rejected."""
    found, start = [], 0
    for number, size in enumerate(sizes):
        texts = ["Draw it", *TEXTS[start : start + size]]
        found.append(generation(number, texts, seed_ids=(f"s{number % 3}", "s9")))
        start += size
    return found


# -- what it writes ------------------------------------------------------------------------------------------------


def test_kept_rows_go_to_the_partition_of_their_cluster_and_then_the_rest_is_told() -> None:
    async def steps() -> None:
        rig = Rig()
        event = generation(0, ["Draw it", *TEXTS[5:10]])
        await rig.take(event)
        generation_id = ids.generation_id("g0", 0)
        *kept, last = rig.outlet.sent
        assert [sent.topic for sent in kept] == ["kept"] * 5
        assert len({sent.partition for sent in kept}) > 1
        for place, sent in enumerate(kept, start=1):
            row, meta = sent.decoded().event, sent.decoded().meta
            assert isinstance(row, InstructionKept)
            assert sent.partition == row.cluster == rig.filter.state.model.cluster(row.instruction)  # type: ignore[union-attr]
            assert sent.key == row.id.encode() == meta.id.encode() == ids.instruction_id(generation_id, place).encode()
            assert (meta.causation_id, meta.correlation_id) == (generation_id, ids.run_id("t"))
        verdict = last.decoded()
        assert (last.topic, last.partition, verdict.key, verdict.meta.id) == (
            "rejected",
            0,
            generation_id,
            ids.verdict_id(0),
        )
        assert isinstance(verdict.event, InstructionsRejected)
        assert [rejection.reason for rejection in verdict.event.rejections] == ["too_short"]

    run(steps())


def test_a_generation_of_which_everything_is_kept_is_told_of_too() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(generation(0, TEXTS[:2]))
        (verdict,) = rig.outlet.events("rejected")
        assert isinstance(verdict, InstructionsRejected)
        assert (verdict.rejections, verdict.generated, verdict.kept) == ((), 2, 2)

    run(steps())


def test_the_tables_hold_the_decision_under_its_offset_and_the_scores_of_its_seeds() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(*generations(2, 1))
        decisions = rig.decisions()
        assert [decision.offset for decision in decisions.values()] == [0, 1]
        assert [row.instruction for row in decisions[0].kept] == TEXTS[:2]
        assert (
            rig.table_of_scores()
            == rig.filter.state.scores
            == {"s0": SeedScore(2, 2, 0, 1), "s1": SeedScore(1, 1, 1, 1), "s9": SeedScore(3, 3, 1, 2)}
        )

    run(steps())


def test_an_unreadable_record_goes_to_the_dead_letters_as_it_was_and_the_filter_goes_on() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(None, generation(0, TEXTS[:1]))
        dead, verdict, *_ = rig.outlet.sent
        assert (dead.topic, dead.key, dead.value) == ("generated.dlq", b"some key", b"not an event")
        assert dead.headers[0] == ("from", b"elsewhere") and ("dlq_offset", b"0") in dead.headers
        nothing = verdict.decoded()
        assert isinstance(nothing.event, InstructionsRejected)
        assert (verdict.topic, verdict.key, nothing.meta.id) == ("rejected", b"offset-0", ids.verdict_id(0))
        assert (nothing.event.generated, nothing.event.generated_offset) == (0, 0)
        assert (rig.filter.state.applied, len(rig.filter.state.kept)) == (1, 1)

    run(steps())


@pytest.mark.parametrize(
    ("event", "id", "error"),
    [
        (RunStopped(reason="done"), ids.verdict_id(1), b"belongs on `run`"),
        (generation(4, TEXTS[:1]), ids.generation_id("g0", 3), b"which is not its own"),
    ],
)
def test_a_record_that_does_not_belong_there_goes_to_the_dead_letters(event: Event, id: str, error: bytes) -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.filter.apply([record(0, event, id=id)])
        dead, verdict = rig.outlet.sent
        assert dead.topic == "generated.dlq" and error in dict(dead.headers)["dlq_error"]
        assert verdict.topic == "rejected"
        assert rig.filter.state.kept == {} and rig.decisions() == {0: Decision(offset=0)}

    run(steps())


# -- refits --------------------------------------------------------------------------------------------------------


def test_a_refit_is_written_to_the_log_and_used_from_the_next_offset_on() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(*generations(5, 3, 1))
        (sent,) = [sent for sent in rig.outlet.sent if sent.topic == "run"]
        event = sent.decoded().event
        assert isinstance(event, ClassifierFitted)
        assert (sent.key, sent.decoded().meta.id) == (b"t", ids.classifier_id(2))
        assert (event.from_offset, event.kept_total, event.fitted_on) == (2, 8, "kept")
        assert [row.classifier_offset for row in rig.filter.state.kept.values()] == [0] * 8 + [2]

    run(steps())


def test_a_generation_that_jumps_two_marks_is_followed_by_one_refit() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(*generations(13, 10, 1))
        assert [event.from_offset for event in rig.recorded()] == [0, 1, 3]
        assert [event.kept_total for event in rig.recorded()] == [0, 13, 24]
        assert marks_passed(POLICY, 13) == 2

    run(steps())


def test_a_classifier_that_the_log_has_already_is_used_and_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a crash after a fit was written, and another machine whose own fit would come out differently."""

    async def steps() -> None:
        before = Rig()
        await before.take(*generations(5, 3))
        recorded = before.recorded()
        other = msgspec.structs.replace(recorded[1].classifier, cuts=recorded[0].classifier.cuts)
        recorded[1] = msgspec.structs.replace(recorded[1], classifier=other)

        rig = Rig()
        rig.start(recorded)
        assert rig.filter.state.classifier_offset == 0, "it is not in force yet"
        monkeypatch.setattr(refits, "fit", lambda *_: pytest.fail("fitted again"))
        await rig.take(*generations(5, 3, 1))
        assert rig.outlet.events("run") == []
        state = rig.filter.state
        assert (state.classifier_offset, state.fits) == (2, 1)
        *_, last = state.kept.values()
        assert last.cluster == ClusterModel(other).cluster(last.instruction)

    run(steps())


def test_a_refit_that_is_due_after_a_start_is_made_once() -> None:
    async def steps() -> None:
        rig = Rig()
        rig.fuse.steps = 5 + 1 + 1 + 2  # kept rows, rejected, kept table, scores; the fit is not written any more
        with pytest.raises(Crash):
            await rig.take(generation(0, TEXTS[:6], seed_ids=("s0",)))
        rig.fuse.steps = 10**9
        rig.start(rig.recorded())
        assert (rig.filter.state.applied, rig.outlet.events("run")) == (0, [])
        await rig.filter.refit()
        await rig.filter.refit()
        assert [event.from_offset for event in rig.recorded()] == [0, 1]
        assert len(rig.outlet.events("run")) == 1

    run(steps())


# -- blocks --------------------------------------------------------------------------------------------------------


def test_a_block_is_written_before_any_of_it_is_stored_and_each_score_is_stored_once() -> None:
    async def steps() -> None:
        rig = Rig()
        rig.fuse.steps = 4
        with pytest.raises(Crash):
            await rig.take(*generations(1, 1, 1, 1), block=9)
        assert [sent.topic for sent in rig.outlet.sent] == ["kept"] * 4, "no verdict before all rows that it tells of"
        rig.outlet.sent.clear()
        rig.start(rig.recorded())
        rig.fuse.steps = 4 + 4 + 4  # rows, verdicts and decisions
        with pytest.raises(Crash):
            await rig.take(*generations(1, 1, 1, 1), block=9)
        assert [sent.topic for sent in rig.outlet.sent] == ["kept"] * 4 + ["rejected"] * 4
        assert (list(rig.decisions()), rig.scores) == ([0, 1, 2, 3], {})
        rig.fuse.steps = 4  # scores of s0, s1, s2 and s9
        rig.start(rig.recorded())
        await rig.filter.repair_scores()

    run(steps())


def test_a_block_ends_where_a_fit_is_due_and_where_it_comes_into_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refits, "REFIT_ROWS", 3)

    async def steps() -> None:
        rig = Rig(configured(policy_with(POLICY, refit_lead=2), own_seeds()[:12]))
        log = generations(3, 3, 1, 1, 1, 1)
        assert await rig.filter.apply([record(n, event) for n, event in enumerate(log)]) == 2
        assert await rig.filter.apply([record(n, event) for n, event in enumerate(log)][2:]) == 2
        await rig.take(*log[4:], block=9)
        assert rig.recorded()[1:] == in_one_go(rig.run, log).classifiers
        assert [row.classifier_offset for row in rig.filter.state.kept.values()] == [0] * 8 + [4] * 2

    run(steps())


def test_after_a_block_that_failed_nothing_is_decided_until_the_state_is_recovered() -> None:
    async def steps() -> None:
        rig = Rig()
        rig.fuse.steps = 3
        with pytest.raises(Crash):
            await rig.take(*generations(1, 1, 1), block=3)
        rig.fuse.steps = 10**9
        for first in (0, 3):  # the block itself again, as the timer gives it, and what follows it
            with pytest.raises(RunError, match="failed before it was stored"):
                await rig.filter.apply([record(first + n, event) for n, event in enumerate(generations(1, 1, 1))])
        assert rig.filter.recover(rig.recorded()) == -1
        await rig.take(*generations(1, 1, 1), block=3)
        assert list(rig.decisions().values()) == [one.decision for one in in_one_go(RUN, generations(1, 1, 1)).verdicts]

    run(steps())


def test_a_row_that_cannot_be_classified_makes_a_dead_letter_of_its_record_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the block has another dead letter before it, which counts once."""
    clusters = ClusterModel.clusters

    def fail(model: ClusterModel, texts: Sequence[str]) -> list[int]:
        if TEXTS[1] in texts:
            raise ValueError("no cluster")
        return clusters(model, texts)

    monkeypatch.setattr(ClusterModel, "clusters", fail)

    async def steps() -> None:
        rig = Rig()
        log = generations(1, 1, 1)
        await rig.take(log[0], None, log[1], log[2], block=9)
        letters = [int(dict(sent.headers)["dlq_offset"]) for sent in rig.outlet.sent if sent.topic == "generated.dlq"]
        assert letters == [1, 2]
        assert rig.outlet.dead_letters("generated").counted == Counted(2, 2, 2)
        assert [len(decision.kept) for decision in rig.decisions().values()] == [1, 0, 0, 1]

    run(steps())


def test_a_block_that_is_decided_again_singly_has_the_classifier_that_this_worker_wrote_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def steps() -> None:
        rig = Rig()
        log = generations(5, 3, 1, 1, 1)
        await rig.take(*log[:3])
        clusters, failed = ClusterModel.clusters, []

        def fail_once(model: ClusterModel, texts: Sequence[str]) -> list[int]:
            if not failed:
                failed.append(texts)
                raise ValueError("no cluster for now")
            return clusters(model, texts)

        monkeypatch.setattr(ClusterModel, "clusters", fail_once)
        await rig.take(*log[3:], block=9)
        assert failed and rig.recorded()[1:] == in_one_go(RUN, log).classifiers
        assert list(rig.decisions().values()) == [one.decision for one in in_one_go(RUN, log).verdicts]

    run(steps())


def test_a_fit_of_many_rows_in_a_process_of_its_own_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        monkeypatch.setattr(fit_beside, "PROCESS_FROM", 8)
        rig = Rig()
        log = generations(5, 3, 1)
        await rig.take(*log)
        assert rig.recorded()[1:] == in_one_go(RUN, log).classifiers

    run(steps())


# -- recovery ------------------------------------------------------------------------------------------------------


def test_the_state_is_what_the_kept_table_says_up_to_the_first_gap() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(*generations(2, 1, 1, 1))
        del rig.kept[b"2"]
        rig.start(rig.recorded())
        assert rig.filter.state.applied == 1
        assert [row.generated_offset for row in rig.filter.state.kept.values()] == [0, 0, 1]
        rows = len(rig.outlet.sent)
        await rig.take(*generations(2, 1, 1, 1)[2:])
        again, before = rig.outlet.sent[rows:], rig.outlet.sent[:rows]
        assert [(s.topic, s.partition, s.key, s.value) for s in again] == [
            (s.topic, s.partition, s.key, s.value) for s in before[-len(again) :]
        ]

    run(steps())


def test_recovering_again_goes_on_from_where_the_table_is_now() -> None:
    """A worker stands by while another decides; its table follows, and it takes over without starting anew."""

    async def steps() -> None:
        active, standby = Rig(), Rig()
        await active.take(*generations(5, 2, 1))
        standby.kept.update(active.kept)
        assert standby.filter.recover(active.recorded()) == 2
        assert standby.filter.recover(active.recorded()) == 2
        assert standby.filter.state.kept == active.filter.state.kept
        assert standby.filter.state.classifier_offset == active.filter.state.classifier_offset == 2
        assert standby.filter.state.fits == 1

    run(steps())


def test_the_score_table_is_mended_where_it_lags_behind_the_kept_table() -> None:
    async def steps() -> None:
        rig = Rig()
        await rig.take(*generations(2, 1, 1))
        right = dict(rig.scores)
        rig.scores[b"s0"] = msgspec.json.encode(SeedScore(1, 1, 0))
        del rig.scores[b"s9"]
        rig.start(rig.recorded())
        await rig.filter.repair_scores()
        assert dict(rig.scores) == right
        rig.fuse.steps = 0
        await rig.filter.repair_scores()  # writes nothing where nothing is wrong

    run(steps())


def test_a_run_whose_tables_were_written_before_scores_counted_showings_goes_on() -> None:
    async def steps() -> None:
        before = policy_for(batch_size=4, refit_from=6, refit_growth=2, count_rule_rejections=True)
        rig, whole = Rig(configured(before, RUN.seeds)), Rig(configured(before, RUN.seeds))
        await whole.take(*generations(2, 1, 1, 1))
        await rig.take(*generations(2, 1, 1, 1)[:3])
        for table, field_ in ((rig.kept, "uncounted"), (rig.scores, "shown")):
            for key, value in table.items():
                fields = msgspec.json.decode(value)
                del fields[field_]
                table[key] = msgspec.json.encode(fields)
        rig.start(rig.recorded())
        await rig.filter.repair_scores()
        assert rig.table_of_scores() == rig.filter.state.scores
        assert rig.filter.state.scores["s9"] == SeedScore(7, 4, 2, shown=3)
        await rig.take(*generations(2, 1, 1, 1)[3:])
        assert dict(rig.scores) == dict(whole.scores)
        assert rig.decisions() == whole.decisions()

    run(steps())


def test_without_a_classifier_the_filter_does_not_start() -> None:
    """Else it would take every record for one that is wrong in itself."""
    rig = Rig()
    with pytest.raises(RunError, match="no classifier for offset 0 of generated"):
        rig.start([])


# -- crashes anywhere ----------------------------------------------------------------------------------------------


TASKS = st.sampled_from([*TEXTS[:20], TEXTS[0] + " now", TEXTS[3] + " please", "Draw it", "東京"])
LOGS = st.lists(
    st.one_of(
        st.none(),
        st.builds(
            generation,
            st.integers(0, 9),
            st.lists(TASKS, max_size=5),
            seed_ids=st.lists(st.sampled_from(["s0", "s1"]), max_size=2),
        ),
    ),
    max_size=9,
)


def first_of_each(sent: Sequence[Sent]) -> dict[tuple[str, str], tuple[int, bytes | None]]:
    """What a reader has after it dropped repeats; of a repeat everything must be the same."""
    found: dict[tuple[str, str], tuple[int, bytes | None]] = {}
    for one in sent:
        if not one.topic.endswith(".dlq"):
            where = one.topic, one.decoded().meta.id
            assert found.setdefault(where, (one.partition, one.value)) == (one.partition, one.value)
    return found


@settings(max_examples=40, deadline=None)
@given(
    LOGS,
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 3)), max_size=5),
    st.integers(1, 4),
    st.sampled_from([0, 2]),
)
def test_a_crash_at_any_step_and_a_table_that_lags_change_nothing(
    log: list[InstructionsGenerated | None], crashes: list[tuple[int, int]], block: int, lead: int
) -> None:
    """Given crashes between any two writes, and changelogs that lost their last entries, then the log says the same as
    after one undisturbed pass, and so do the tables."""

    async def steps() -> None:
        rig = Rig(configured(policy_with(POLICY, refit_lead=lead), RUN.seeds))
        for step_limit, lost in [*crashes, (10**9, 0)]:
            rig.fuse.steps = step_limit
            try:
                rig.start(rig.recorded())
                await rig.filter.refit()
                await rig.filter.repair_scores()
                await rig.take(*log[rig.filter.state.applied + 1 :], block=block)
            except Crash:
                for offset in sorted(rig.kept, key=int)[len(rig.kept) - lost :]:
                    del rig.kept[offset]
        whole = in_one_go(rig.run, log)
        expected: dict[tuple[str, str], bytes] = {}
        for verdict in whole.verdicts:
            for row in verdict.decision.kept:
                expected["kept", row.id] = msgspec.json.encode(row)
            expected["rejected", ids.verdict_id(verdict.decision.offset)] = msgspec.json.encode(verdict.rejected)
        for event in whole.classifiers:
            expected["run", ids.classifier_id(event.from_offset)] = msgspec.json.encode(event)
        found = first_of_each(rig.outlet.sent)
        assert {where: value for where, (_, value) in found.items()} == expected
        assert list(rig.decisions().values()) == [verdict.decision for verdict in whole.verdicts]
        assert rig.table_of_scores() == whole.state.scores

    with patch.object(refits, "REFIT_ROWS", 3):
        run(steps())
