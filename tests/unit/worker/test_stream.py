"""Whatever happens to the worker, its output is that of one undisturbed pass over the log."""

from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.log.dead_letters import origins
from infra.models import embeddings
from infra.settings import Settings
from schemas.errors import TooManyDeadLetters
from schemas.events import ClassifierFitted, InstructionsRejected, ReplaceSeeds, RunConfigured
from schemas.policy import policy_for, policy_with
from streams.core import refits
from tests.harness.embedder import Letters
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
    TOGETHER,
    Garbage,
    Generation,
    Item,
    Judgement,
    Window,
)
from tests.harness.stream import Stream
from tests.unit.core.conftest import configured, own_seeds

RUN = configured(
    policy_for(batch_size=4, refit_from=6, refit_growth=2, window_steps=2, warm_up_steps=2), own_seeds()[:12]
)
TEXTS = [seed.instruction for seed in own_seeds()[12:]]


def tasks(start: int, count: int = 4) -> Generation:
    """Some instructions that are like nothing before, and two that are rejected."""
    return Generation((*TEXTS[start : start + count], TEXTS[start], "Draw it"))


BEGINNING = (tasks(0), tasks(4), tasks(8, 6))  # ends with a refit
TRAINED = (*BEGINNING, Window())  # the warm-up, which replaces nothing


def stream() -> Stream:
    return Stream(RUN)


def test_undisturbed_it_is_itself() -> None:
    played = stream().play(*TRAINED, tasks(14), Window(), Garbage(), Garbage("training-log"), tasks(18), Window())
    played.as_undisturbed()
    assert played.died == []
    commands = [r.event for r in played.log.records("seed-commands") if isinstance(r.event, ReplaceSeeds)]
    assert [command.outcome for command in commands][:2] == ["warm_up", "replaced"]
    assert len(played.log.records("run")) > 2, "there was a refit"
    assert len(played.log.records("generated.dlq")) == len(played.log.records("training-log.dlq")) == 1


FILTER_POINTS = [
    "before kept",
    "in a write, before kept",
    "before rejected",
    "after kept",
    "after rejected",
    "before table kept",
    "after table kept",
    "after table scores",
]


@pytest.mark.parametrize("spare", ["none", "all", "even"])
@pytest.mark.parametrize("at", FILTER_POINTS)
def test_a_filter_that_dies_while_it_tells_tells_the_rest_when_it_is_back(at: str, spare: str) -> None:
    played = stream().play(*BEGINNING, CRASH(at, spare=spare), tasks(14), tasks(18))
    assert played.died == [at]
    played.as_undisturbed()


@pytest.mark.parametrize("lost", [1, 3, 100])
def test_what_its_tables_lost_in_a_crash_is_decided_again(lost: int) -> None:
    played = stream().play(*TRAINED, tasks(14), CRASH("after rejected", lost=lost), tasks(18), Window())
    played.as_undisturbed()


@pytest.mark.parametrize("at", ["before run", "after run"])
@pytest.mark.parametrize("lost", [0, 2])
def test_a_classifier_is_fitted_once_whatever_happens_beside_it(at: str, lost: int) -> None:
    played = stream().play(CRASH(at, lost=lost), *BEGINNING, tasks(14))
    assert played.died == [at]
    played.as_undisturbed()


@pytest.mark.parametrize("at", ["before seed-commands", "after seed-commands", "after table seeds"])
def test_a_window_is_answered_once_when_the_worker_dies_beside_it(at: str) -> None:
    played = stream().play(*TRAINED, tasks(14), CRASH(at, lost=9), Window(), Window(again=True), tasks(18), Window())
    assert played.died == [at]
    played.as_undisturbed()


def test_a_window_is_answered_with_the_scores_of_the_rows_it_holds_after_the_tables_lost_them() -> None:
    """The commit has passed what the new process has to decide again before it may answer."""
    played = stream().play(
        *TRAINED, tasks(14), CRASH("before seed-commands", lost=100, passed=True), Window(), Window()
    )
    played.as_undisturbed()


@pytest.mark.parametrize("at", ["in recovery", "before reading seed-commands"])
def test_a_worker_that_dies_of_recovering_recovers_the_next_time(at: str) -> None:
    played = stream().play(*TRAINED, CRASH("after kept", lost=2), CRASH(at), CRASH(at), tasks(14), Window())
    assert played.died == ["after kept", at, at]
    played.as_undisturbed()


def test_a_worker_that_dies_while_it_fills_a_gap_fills_the_rest_later() -> None:
    played = stream().play(*TRAINED, SKIP(), tasks(14), SKIP(), tasks(18), CRASH("before reading generated"), tasks(22))
    assert played.died == ["before reading generated"]
    played.as_undisturbed()


@pytest.mark.parametrize("at", ["before kept", "after rejected", "before run", "before seed-commands", "in recovery"])
def test_a_worker_to_which_the_broker_is_away_stops_and_loses_nothing(at: str) -> None:
    played = stream().play(OUTAGE("before table kept"), OUTAGE(at), *TRAINED, tasks(14), Window(), tasks(18))
    assert sorted(played.died) == sorted(["before table kept", at])
    played.as_undisturbed()


def test_what_is_delivered_twice_late_or_never_is_decided_once_and_in_order() -> None:
    played = stream().play(
        tasks(0),
        DUPLICATE(),
        LATE(),
        tasks(4),
        tasks(8),
        SKIP(),
        tasks(12),
        DUPLICATE(back=2),
        tasks(16),
        Window(),
        DUPLICATE(topic="training-log"),
        SKIP(),
        Window(),
        LATE(),
        tasks(20),
        Window(),
        SKIP(),
        tasks(24),
    )
    played.as_undisturbed()
    assert played.died == []


def test_the_last_record_is_decided_although_it_is_never_delivered() -> None:
    played = stream().play(*BEGINNING, SKIP(), tasks(14), PAUSE())
    assert len(played.log.records("rejected")) == 4
    played.as_undisturbed()


def test_a_generation_and_a_window_that_come_at_the_same_time_do_not_disturb_each_other() -> None:
    played = stream().play(*TRAINED, TOGETHER(), tasks(14), Window(), TOGETHER(), Window(), tasks(18), Window())
    played.as_undisturbed()


def test_what_a_generator_and_a_trainer_write_again_changes_nothing() -> None:
    again = Generation((), again=True)
    played = stream().play(
        *BEGINNING, again, Window(), Window(again=True), again, tasks(14), Window(), Window(again=True)
    )
    played.as_undisturbed()


@pytest.mark.parametrize("zombie", ["", "first", "last"])
@pytest.mark.parametrize("lag", [0, 1, 5, 100])
def test_another_worker_takes_over_and_the_old_one_may_write_once_more(zombie: str, lag: int) -> None:
    played = stream().play(*TRAINED, REBALANCE(lag, zombie), tasks(14), Window(), REBALANCE(lag), tasks(18), Window())
    played.as_undisturbed()


def test_both_answer_a_window_and_the_first_answer_counts() -> None:
    played = stream().play(*TRAINED, tasks(14), REBALANCE(zombie="last"), Window(), tasks(18), REBALANCE(), Window())
    played.as_undisturbed()


def test_a_worker_that_took_over_with_old_tables_answers_with_scores_no_older_than_the_last_command() -> None:
    later = [tasks(4 * n) for n in range(8, 12)]
    played = stream().play(
        *(tasks(4 * n) for n in range(8)),
        Window(),
        Window(),
        *later,
        Window(),
        REBALANCE(lag=1000),
        Window(),
        tasks(100),
        Window(),
    )
    reflected = [r.event.as_of_offset for r in played.log.records("seed-commands") if isinstance(r.event, ReplaceSeeds)]
    assert reflected == sorted(reflected)
    played.as_undisturbed()


def test_partitions_that_go_back_and_forth_between_two_workers_change_nothing() -> None:
    script: list[Item] = [*TRAINED]
    for n in range(8):
        script += [REBALANCE(n % 4, ("", "first", "last")[n % 3]), tasks(14 + 4 * n), Window()]
    stream().play(*script).as_undisturbed()


def test_the_one_that_stands_by_takes_over_when_the_active_one_dies() -> None:
    played = stream().play(
        *TRAINED, REBALANCE(), tasks(14), CRASH("after kept", lost=4), tasks(18), Window(), tasks(22)
    )
    assert played.died == ["after kept"]
    played.as_undisturbed()


def test_an_outage_between_a_decision_and_its_refit_is_not_decided_on_again_by_whatever_comes_meanwhile() -> None:
    """The timer waits for its turn when the filter stops, and the app takes a moment to end."""
    played = stream().play(tasks(0), PAUSE(), OUTAGE("before run"), MEANWHILE(), tasks(4), tasks(8), Window())
    assert played.died == ["before run"]
    played.as_undisturbed()


# -- a judge beside it ---------------------------------------------------------------------------------------------


JUDGED_RUN = configured(
    policy_for(batch_size=4, refit_from=6, refit_growth=2, window_steps=2, warm_up_steps=2, candidate_min_score=4),
    own_seeds()[:12],
)
SCORED = Judgement((5.0, 3.5))


def commands_of(played: Stream) -> list[ReplaceSeeds]:
    return [r.event for r in played.log.records("seed-commands") if isinstance(r.event, ReplaceSeeds)]


def test_a_window_is_answered_with_the_scores_there_are_by_then_and_waits_for_no_more() -> None:
    played = Stream(JUDGED_RUN).play(*TRAINED, tasks(14), SCORED, Window(), tasks(18), Window(), SCORED, PAUSE())
    played.as_undisturbed()
    warm_up, scored, unscored, *_ = commands_of(played)
    assert (warm_up.outcome, warm_up.judged_offset) == ("warm_up", -1)
    assert scored.outcome == "replaced" and scored.judged_offset == 17
    assert {candidate.verdict for candidate in scored.candidates} == {"taken", "low_score"}
    assert "unjudged" in {candidate.verdict for candidate in unscored.candidates}
    assert unscored.judged_offset == 17


def test_a_run_that_asks_for_no_score_never_looks_at_the_judge() -> None:
    played = stream().play(*TRAINED, SCORED, CRASH("before reading judged"), tasks(14), Window(), PAUSE())
    assert played.died == [] and {command.judged_offset for command in commands_of(played)} == {-1}
    played.as_undisturbed()


@pytest.mark.parametrize("at", ["before reading judged", "before judged.dlq", "before seed-commands"])
def test_a_worker_that_dies_beside_a_judge_answers_from_the_same_scores(at: str) -> None:
    played = Stream(JUDGED_RUN).play(
        *TRAINED,
        SCORED,
        SKIP(),
        Garbage("judged"),
        tasks(14),
        SCORED,
        CRASH(at, lost=9),
        Window(),
        tasks(18),
        SCORED,
        REBALANCE(zombie="first"),
        Window(),
        tasks(22),
        SCORED,
        Window(),
    )
    assert played.died == [at]
    played.as_undisturbed()
    assert [command.judged_offset for command in commands_of(played)][-1] > 18
    assert played.log.records("judged.dlq")


# -- too many dead letters -----------------------------------------------------------------------------------------


STRICT = Settings(dead_letters_in_a_row=3)


def bad(topic: str) -> tuple[Item, ...]:
    """A record that cannot be read; nobody delivers `judged`, which is read when the timer fires."""
    return (SKIP(), Garbage(topic), PAUSE()) if topic == "judged" else (Garbage(topic),)


@pytest.mark.parametrize("topic", ["generated", "training-log", "seed-commands", "judged"])
@pytest.mark.parametrize("death", ["before {}.dlq", "after {}.dlq", "in recovery", "before reading {}.dlq"])
@pytest.mark.parametrize("lost", [0, 9])
def test_a_worker_stops_at_one_dead_letter_too_many_however_often_it_died_before(
    topic: str, death: str, lost: int
) -> None:
    """In every topic that it reads; and it leaves that record where it is."""
    deaths = CRASH("after rejected", lost=2), CRASH(death.format(topic))
    between = CRASH(f"after {topic}.dlq", lost=lost)
    played = Stream(JUDGED_RUN, STRICT)
    with pytest.raises(TooManyDeadLetters, match=rf"of {topic} they would be 4 in a row"):
        played.play(*TRAINED, *deaths, tasks(14), *bad(topic) * 2, between, *bad(topic), *bad(topic), PAUSE())
    assert len(played.died) == 3
    letters = origins(played.log.records(f"{topic}.dlq"))[0]
    first = min(offset for _, offset in letters)
    assert letters == {(0, first), (0, first + 1), (0, first + 2)}
    if topic == "generated":
        verdicts = [r.event for r in played.log.records("rejected") if isinstance(r.event, InstructionsRejected)]
        assert {event.generated_offset for event in verdicts} == set(range(first + 3))


def test_good_records_in_between_begin_the_row_anew() -> None:
    garbage = (Garbage(),) * 3
    script = (*BEGINNING, *garbage, tasks(14), CRASH("after rejected"), *garbage, tasks(18), *garbage)
    played = Stream(RUN, STRICT).play(*script).as_undisturbed()
    assert len(origins(played.log.records("generated.dlq"))[0]) == 9


# -- any script ----------------------------------------------------------------------------------------------------


POINTS = [
    *FILTER_POINTS,
    "before run",
    "after run",
    "before seed-commands",
    "after seed-commands",
    "after table seeds",
    "in recovery",
    "before reading seed-commands",
    "before reading generated",
    "before reading training-log",
    "before reading judged",
    "before generated.dlq",
    "after generated.dlq",
]

WORDS = st.sampled_from([*TEXTS[:30], TEXTS[0] + " now", TEXTS[3] + " please", "Draw it", "東京"])
RECORDS = st.one_of(
    st.builds(Generation, st.lists(WORDS, max_size=6).map(tuple), st.sampled_from(["a", "b"])),
    st.builds(Generation, st.just(()), st.sampled_from(["a", "b"]), st.just(True)),
    st.builds(Window, st.booleans()),
    st.builds(Judgement, st.just((5.0, 3.0))),
    st.builds(Garbage, st.sampled_from(["generated", "training-log"])),
)
TROUBLE = st.one_of(
    st.builds(
        CRASH,
        st.sampled_from(POINTS),
        st.integers(1, 4),
        st.integers(0, 12),
        st.sampled_from(["none", "all", "even"]),
        st.booleans(),
    ),
    st.builds(CRASH, st.sampled_from(POINTS), st.integers(1, 3), spare=st.just("all"), error=st.just(Outage)),
    st.builds(PAUSE, st.floats(0, 9)),
    st.builds(DUPLICATE, st.integers(0, 4), st.sampled_from(["generated", "training-log"])),
    st.builds(SKIP),
    st.builds(LATE),
    st.builds(TOGETHER),
    st.builds(MEANWHILE),
    st.builds(REBALANCE, st.integers(0, 8), st.sampled_from(["", "first", "last"])),
)


def test_a_run_that_clusters_by_embeddings_survives_deaths_and_is_audited_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "_installed", Letters)
    policy = policy_with(RUN.policy, vectorizer="embeddings")
    script = (*BEGINNING, CRASH("after rejected"), tasks(14), tasks(18), CRASH("before run"), tasks(22))
    played = Stream(msgspec.structs.replace(RUN, policy=policy)).play(*script).as_undisturbed()
    assert len(played.died) == 2
    fitted = [r.event for r in played.log.records("run") if isinstance(r.event, ClassifierFitted)]
    assert len(fitted) > 1 and {event.classifier.model_sha256 for event in fitted} == {Letters().model_sha256}


LEADING_RUN = configured(policy_with(RUN.policy, refit_lead=2), RUN.seeds)


@pytest.mark.parametrize("at", ["before run", "after run", "before table kept"])
def test_a_classifier_fitted_beside_is_used_from_the_same_offset_over_deaths(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refits, "REFIT_ROWS", 3)
    script = (
        *BEGINNING,
        CRASH("after rejected", lost=2),
        tasks(14),
        CRASH(at, lost=1),
        *(tasks(n) for n in (18, 22, 26)),
    )
    played = Stream(LEADING_RUN).play(*script).as_undisturbed()
    fitted = [r.event for r in played.log.records("run") if isinstance(r.event, ClassifierFitted)]
    assert len(played.died) == 2 and len({event.from_offset for event in fitted}) > 2


KEPT_TWICE: list[Item] = [
    CRASH("before rejected", 1, spare="all", error=Outage),
    Generation(("What made the Rosetta Stone so useful to scholars?",), "a"),
    Judgement((5.0, 3.0)),
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(RECORDS, RECORDS, TROUBLE), max_size=30), st.sampled_from([RUN, JUDGED_RUN, LEADING_RUN]))
@example(KEPT_TWICE, JUDGED_RUN)
def test_whatever_happens_the_log_and_the_tables_are_as_if_nothing_had(script: list[Item], run: RunConfigured) -> None:
    with patch.object(refits, "REFIT_ROWS", 3):
        Stream(run, Settings(dead_letters_in_a_row=100)).play(*script).as_undisturbed()
