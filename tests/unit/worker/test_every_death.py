"""A worker that dies anywhere, or gets records late and twice, writes the same log as an undisturbed one.

The scripts are read from top to bottom: records, and what happens between them. What is compared is what readers have
once they dropped repeats, and the tables.
"""

from functools import cache

import pytest

from schemas.events import ClassifierFitted, InstructionsRejected, ReplaceSeeds
from schemas.policy import policy_for
from tests.harness.effects import Effects, on_log
from tests.harness.script import CRASH, DUPLICATE, LATE, PAUSE, REBALANCE, SKIP, Garbage, Generation, Item, Window
from tests.harness.stream import Stream
from tests.unit.core.conftest import configured, own_seeds

RUN = configured(
    policy_for(batch_size=4, refit_from=6, refit_growth=2, window_steps=2, warm_up_steps=2), own_seeds()[:12]
)
TEXTS = [seed.instruction for seed in own_seeds()[12:]]


def gen(number: int) -> Generation:
    """Three instructions like no others, one that another repeats, and one that a rule rejects."""
    texts = TEXTS[3 * number : 3 * number + 3]
    return Generation((*texts, texts[0], "Draw it"))


def output(*script: Item) -> tuple[dict[str, str], Effects]:
    """The digests of a script's output log and the effects on it, repeats dropped; log and tables are audited too."""
    found = on_log(Stream(RUN).play(*script).as_undisturbed().log)
    return found.digests(), found


# -- things that happen between records ------------------------------------------------------------------------------


FOUR = (gen(0), gen(1), gen(2), gen(3))


@pytest.mark.parametrize(
    "script",
    [
        [gen(0), gen(1), CRASH(), gen(2), DUPLICATE(1), PAUSE(), gen(3)],
        [CRASH(), gen(0), CRASH(), gen(1), CRASH(), gen(2), CRASH(), gen(3), CRASH()],
        [gen(0), gen(1), gen(2), CRASH(lost=100), gen(3)],  # the changelogs never got anything
        [gen(0), gen(1), gen(2), CRASH(lost=100, passed=True), gen(3)],  # and nothing is delivered again
        [gen(0), CRASH(lost=2), CRASH(), CRASH(lost=1), gen(1), gen(2), gen(3)],
        [gen(0), DUPLICATE(), gen(1), DUPLICATE(1), DUPLICATE(), gen(2), gen(3), DUPLICATE(3), DUPLICATE(2)],
        [gen(0), CRASH(), DUPLICATE(), gen(1), CRASH(lost=9), DUPLICATE(1), DUPLICATE(), gen(2), gen(3)],
        [gen(0), PAUSE(), gen(1), SKIP(), gen(2), PAUSE(), gen(3)],
        [gen(0), SKIP(), gen(1), CRASH(), gen(2), SKIP(), gen(3), CRASH(passed=True)],
        [gen(0), LATE(), gen(1), gen(2), CRASH(), gen(3)],
        [gen(0), REBALANCE(), gen(1), CRASH(), gen(2), REBALANCE(lag=9, zombie="first"), gen(3), CRASH()],
    ],
)
def test_the_output_is_that_of_the_undisturbed_run(script: list[Item]) -> None:
    digests, found = output(*script)
    expected, undisturbed = output(*FOUR)
    assert digests == expected
    assert found.classifiers == undisturbed.classifiers


def test_a_crash_between_records_is_a_death_and_ends_what_lived() -> None:
    stream = Stream(RUN)
    first = stream.play(gen(0), CRASH(), gen(1)).died
    assert first == ["between records"]
    assert stream.reached.count("in recovery") == 2


# -- deaths at every point -------------------------------------------------------------------------------------------


WHOLE = (
    gen(0),
    SKIP(),
    gen(1),
    SKIP(),
    Garbage(),
    gen(2),  # with it the two before are decided, in blocks
    Window(),
    Garbage("training-log"),
    gen(3),
    SKIP(),
    gen(4),
    Window(),
    gen(5),
)
POINTS = [
    "in recovery",
    "before reading generated",
    "before reading seed-commands",
    "before reading generated.dlq",
    "before reading training-log.dlq",
    "before reading seed-commands.dlq",
    "before kept",
    "in a write, before kept",
    "before rejected",
    "after kept",
    "after rejected",
    "before table kept",
    "after table kept",
    "before table scores",
    "after table scores",
    "before generated.dlq",
    "after generated.dlq",
    "before training-log.dlq",
    "after training-log.dlq",
    "before run",
    "after run",
    "before seed-commands",
    "after seed-commands",
    "before table seeds",
    "after table seeds",
]


@cache
def undisturbed() -> tuple[tuple[str, ...], Effects]:
    """The points that the script comes to, and its effects."""
    played = Stream(RUN).play(*WHOLE).as_undisturbed()
    return tuple(played.reached), on_log(played.log)


def test_the_script_comes_to_every_point_and_has_everything_to_lose() -> None:
    reached, _ = undisturbed()
    assert set(reached) == set(POINTS)
    log = Stream(RUN).play(*WHOLE).log
    topics = {topic: [record.event for record in log.records(topic)] for topic in ("run", "rejected", "seed-commands")}
    assert sum(isinstance(event, ClassifierFitted) for event in topics["run"]) > 1, "a refit"
    rejected = [event for event in topics["rejected"] if isinstance(event, InstructionsRejected)]
    assert any(event.kept for event in rejected) and any(event.rejections for event in rejected)
    replaced = [event.replacements for event in topics["seed-commands"] if isinstance(event, ReplaceSeeds)]
    assert any(replaced), "seeds were replaced"


DEATHS = [
    *((at, 0, "none") for at in POINTS),
    *((at, 9, "even") for at in POINTS),
    *((at, 0, "all") for at in POINTS if at.startswith("in a write")),
]


@pytest.mark.parametrize(("at", "lost", "spare"), DEATHS)
def test_a_death_at_every_time_that_a_point_is_reached_leaves_the_same_output(at: str, lost: int, spare: str) -> None:
    """Each output is there exactly once for readers, the tables say the same, and so does the digest.

    lost    last writes of each table whose changelog never got them
    spare   of the records in flight at the death, the partitions whose records came to the log
    """
    reached, expected = undisturbed()
    for hit in range(1, reached.count(at) + 1):
        death: Item = CRASH(at, hit, lost=lost, spare=spare)  # type: ignore[arg-type]
        played = Stream(RUN).play(death, *WHOLE).as_undisturbed()
        assert played.died == [at], f"hit {hit}"
        found = on_log(played.log)
        assert found.digests() == expected.digests(), f"hit {hit}"
        assert found.classifiers == expected.classifiers, f"hit {hit}"


@pytest.mark.parametrize("at", POINTS)
def test_a_death_at_a_point_and_another_while_the_next_process_recovers_leave_the_same_output(at: str) -> None:
    _, expected = undisturbed()
    second = CRASH("in recovery", 1 if at == "in recovery" else 2, lost=9)
    played = Stream(RUN).play(CRASH(at, lost=9), second, *WHOLE).as_undisturbed()
    assert played.died == [at, "in recovery"]
    assert on_log(played.log).digests() == expected.digests()
