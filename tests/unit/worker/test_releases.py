"""Rows whose answer is not used are released; whatever happens to the worker, its log follows from what was released.

Here a release is due before every second record.
"""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.log.record import Record
from infra.settings import Settings
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.events import InstructionKept, InstructionsRejected, InstructionsReleased
from schemas.policy import policy_for
from streams.core import releases
from streams.worker.outlet import Outgoing
from streams.worker.releases import FailedAnswers, Releaser
from tests.harness.memory_worker import Outage
from tests.harness.script import (
    CRASH,
    DUPLICATE,
    LATE,
    MEANWHILE,
    OUTAGE,
    PAUSE,
    REBALANCE,
    SKIP,
    Answers,
    Garbage,
    Generation,
    Item,
)
from tests.harness.stream import Stream
from tests.unit.core.conftest import configured, decided, fresh_state, generation, own_seeds

POLICY = policy_for(
    batch_size=4, clusters=4, refit_from=6, refit_growth=2, feedback=False, answer="kept", failed_answer="releases"
)
RUN = configured(POLICY, own_seeds()[:12])
TEXTS = [seed.instruction for seed in own_seeds()[12:]]
ALL_FAIL = Answers((True,))
HALF = Answers()


@pytest.fixture(autouse=True, scope="module")
def often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(releases, "RELEASE_EVERY", 2)
        yield


def gen(*places: int) -> Generation:
    return Generation(tuple(TEXTS[place] for place in places))


def released(stream: Stream) -> list[InstructionsReleased]:
    return [r.event for r in stream.log.records("run") if isinstance(r.event, InstructionsReleased)]


def kept(stream: Stream) -> dict[str, InstructionKept]:
    rows = (record.event for record in stream.log.all_records("kept"))
    return {row.id: row for row in rows if isinstance(row, InstructionKept)}


def test_a_released_row_blocks_nothing_from_the_next_release_on_and_one_with_an_answer_still_does() -> None:
    again = gen(0, 1, 2)
    played = Stream(RUN).play(gen(0, 1), Answers((True, False)), again, again, again).as_undisturbed()
    first, second = (ids.instruction_id(ids.generation_id("main", 0), place) for place in (0, 1))
    (failed,) = released(played)[0].ids
    assert [event.from_offset for event in released(played)] == [2]
    other = first if failed == second else second
    verdicts = [r.event for r in played.log.records("rejected") if isinstance(r.event, InstructionsRejected)]
    nearest = [{rejection.nearest_id for rejection in verdict.rejections} for verdict in verdicts]
    assert nearest[1] == {failed, other}, "no release is due yet"
    assert failed not in nearest[2] and other in nearest[2] and verdicts[2].kept == 1, "it is kept again, and once"
    assert nearest[3] >= {other} and failed not in nearest[3] and verdicts[3].kept == 0, "its successor blocks now"


def test_a_policy_that_blocks_writes_no_release() -> None:
    run = configured(policy_for(batch_size=4, clusters=4, feedback=False, answer="kept"), RUN.seeds)
    played = Stream(run).play(gen(0, 1), ALL_FAIL, gen(0), gen(0), gen(0)).as_undisturbed()
    assert released(played) == [] and len(kept(played)) == 2


WHOLE = (gen(0, 1, 2), HALF, gen(0, 3), gen(1, 4), HALF, Garbage(), gen(0, 1, 2, 3), ALL_FAIL, SKIP(), gen(3, 4, 5))
POINTS = ["before run", "after run", "before reading run", "before reading answered", "after rejected"]


@pytest.mark.parametrize("spare", ["none", "all"])
@pytest.mark.parametrize("lost", [0, 9])
@pytest.mark.parametrize("at", POINTS)
def test_a_death_anywhere_leaves_a_log_that_follows_from_its_releases(at: str, lost: int, spare: str) -> None:
    for hit in range(1, 3):
        played = Stream(RUN).play(CRASH(at, hit, lost=lost, spare=spare), *WHOLE, CRASH("in recovery"), CRASH())  # type: ignore[arg-type]
        assert played.died[:2] == [at, "between records"] and any(event.ids for event in released(played))
        played.as_undisturbed()


@pytest.mark.parametrize("zombie", ["", "first", "last"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_worker_that_does_not_know_that_it_was_replaced_uses_the_release_of_the_other(at: int, zombie: str) -> None:
    script: list[Item] = [*WHOLE]
    script[at:at] = [REBALANCE(9, zombie), ALL_FAIL]  # type: ignore[arg-type]
    Stream(RUN).play(*script, REBALANCE(), gen(0, 1)).as_undisturbed()


WORDS = st.sampled_from([*TEXTS[:12], TEXTS[0] + " now", TEXTS[3] + " please", "Draw it"])
RECORDS = st.one_of(
    st.builds(Generation, st.lists(WORDS, max_size=5).map(tuple), st.sampled_from(["a", "b"])),
    st.builds(Answers, st.lists(st.booleans(), min_size=1, max_size=3).map(tuple)),
    st.builds(Garbage),
)
AT = st.sampled_from([*POINTS, "after kept", "before table kept", "in recovery", "before rejected"])
TROUBLE = st.one_of(
    st.builds(CRASH, AT, st.integers(1, 4), st.integers(0, 9), st.sampled_from(["none", "all"]), st.booleans()),
    st.builds(CRASH, AT, st.integers(1, 3), spare=st.just("all"), error=st.just(Outage)),
    st.builds(REBALANCE, st.integers(0, 8), st.sampled_from(["", "first", "last"])),
    st.sampled_from([PAUSE(), SKIP(), LATE(), MEANWHILE(), DUPLICATE(1)]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(RECORDS, RECORDS, RECORDS, TROUBLE), max_size=30))
def test_whatever_happens_the_log_follows_from_its_causes_and_its_releases(script: list[Item]) -> None:
    Stream(RUN, Settings(dead_letters_in_a_row=100)).play(*script).as_undisturbed()


def test_an_outage_after_a_release_is_on_the_log_uses_it() -> None:
    played = Stream(RUN).play(gen(0, 1), HALF, gen(2), OUTAGE("after run"), gen(0, 1), gen(3), ALL_FAIL, gen(0), gen(1))
    assert len(released(played.as_undisturbed())) == 2


def test_two_workers_that_know_of_other_answers_use_the_first_release_on_the_log() -> None:
    log: list[Record] = []

    class Shared:
        async def write(self, outgoing: list[Outgoing]) -> None:
            for one in outgoing:
                key, value, headers = encode(one.event, one.key, Meta(one.id, "/sedi/t/worker", "2026-01-01T00:00:00Z"))
                log.append(Record("run", 0, len(log), 0, key, value, headers))

    class Known(FailedAnswers):
        async def read_on(self) -> None:
            """What is known is given."""

    async def fetch(topic: str, start: int, end: int | None) -> list[Record]:
        assert (topic, end) == ("run", None)
        return log[start : start + 1]

    async def steps() -> None:
        states = []
        for place in (0, 1):
            state = fresh_state(POLICY)
            decided(state, generation(0, TEXTS[:2]))
            decided(state, generation(1, TEXTS[2:3]))
            answers = Known(Settings(), "t")
            answers.failed[list(state.kept)[place]] = None
            releaser = Releaser("t", Shared(), fetch, answers)  # type: ignore[arg-type]
            await releaser.before(state, 1)
            await releaser.before(state, 2)
            states.append(state)
        assert len(log) == 2, "the other had not read the log before it wrote"
        assert states[0].released == states[1].released == {next(iter(states[0].kept)): 2}

    asyncio.run(steps())
