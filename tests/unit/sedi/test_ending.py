"""How a run is said to have ended: a time limit is no failure while something moves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.settings import Settings
from schemas.policy import Answered, Policy
from sedi.options import ExitCode
from sedi.orchestrate import Orchestrator
from sedi.producing import ALL_USED, Producing
from sedi.run_command import _further, exit_code_of
from sedi.run_options import RunOptions
from sedi.run_progress import RunEnding, has_saved, trainer_phase
from tests.unit.sedi.test_stall import LONG_S, STEP, quiet_status

STATUS = quiet_status()


class Said:
    """Stands in for the supervisor: the processes' own lines and those of their logs."""

    def __init__(self, news: dict[str, str]) -> None:
        self.own = news
        self.children: dict[str, Any] = {}

    def news(self, name: str) -> str:
        return self.own.get(name, "")

    def tail(self, name: str, lines: int) -> str:
        return f"the log of the {name}"


def orchestra(folder: Path, news: dict[str, str]) -> Any:
    options = RunOptions(windows=3, time_limit_s=100)
    made: Any = Orchestrator(
        Settings(state_dir=folder), "demo", options, Policy(clusters=4, batch_size=4), lambda *_: None, lambda _: None
    )
    made._supervisor = Said(news)
    return made


def at_limit(made: Any, still_s: float) -> RunEnding:
    now = [0.0]
    made._movement.clock = lambda: now[0]
    made._movement.see(STATUS, "")
    now[0] = still_s
    return RunEnding(*made._at_limit(100.0, STATUS), interrupted=False)


def test_a_limit_that_strikes_while_something_moves_is_no_failure(tmp_path: Path) -> None:
    ended = at_limit(orchestra(tmp_path, {}), 10)

    assert "with 0 of 3 training windows closed" in ended.reason
    assert exit_code_of(ended) is ExitCode.OK


def test_a_stall_fails_and_names_the_part_and_its_last_line(tmp_path: Path) -> None:
    ended = at_limit(orchestra(tmp_path, {"generator": "generation 7: 5 instructions"}), LONG_S)

    assert exit_code_of(ended) is ExitCode.FAILED
    assert f"the generator has not moved for {LONG_S:.0f} s; its last line: generation 7: 5 instr" in ended.reason


def test_a_part_that_says_nothing_of_its_own_is_quoted_from_its_log(tmp_path: Path) -> None:
    assert "its last line: the log of the generator" in at_limit(orchestra(tmp_path, {}), LONG_S).reason


@pytest.mark.parametrize(
    ("news", "phase"),
    [
        ("", "the trainer, which is starting"),
        (STEP.format(30), "the trainer to finish step 31"),
        ("Waiting for rows: 4 of 4 clusters are empty.", "the trainer to finish its step"),
        ("Stopping after step 31: saving a checkpoint.", "the trainer to save its checkpoint"),
        ("31 steps, 31 in all; ended: stopped", "the trainer to save its checkpoint"),
    ],
)
def test_what_is_waited_for_is_said(news: str, phase: str) -> None:
    assert f"the trainer{trainer_phase(news)}" == phase
    assert has_saved(news) == ("ended" in news)


@pytest.mark.parametrize(
    ("reached", "interrupted", "code"),
    [
        (True, False, ExitCode.OK),
        (True, True, ExitCode.OK),
        (False, True, ExitCode.INTERRUPTED),
        (False, False, ExitCode.OK),
    ],
)
def test_an_interrupted_run_that_has_no_end_has_done_what_it_was_asked(
    *, reached: bool, interrupted: bool, code: ExitCode
) -> None:
    assert exit_code_of(RunEnding("so", reached, failed=False, interrupted=interrupted)) is code


def test_the_command_that_goes_on_is_the_one_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/sedi", "run", "--preset", "my preset.toml"])

    assert ".venv/bin/sedi run --preset 'my preset.toml'   go on" in _further("so", "demo")


class Crew:
    """Stands in for the supervisor: what was started and asked to stop; whatever is waited for has ended."""

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.done: list[str] = []
        self._refused = refused
        self.children: dict[str, Any] = {}

    def start(self, name: str, arguments: list[str]) -> None:
        self.done.append(f"{name}: {' '.join(arguments)}")
        self.children[name] = None

    def ask_to_stop(self, name: str) -> None:
        self.done.append(f"stop {name}")

    def stop(self, name: str, wait_s: float) -> int:
        return 0

    def ended(self, name: str) -> int:
        return 0

    def refused(self, name: str) -> bool:
        return name in self._refused

    def news(self, name: str) -> str:
        return ""


def with_judge(folder: Path, crew: Crew, *, answer: Answered = "all", **fields: Any) -> Any:
    options = RunOptions(max_calls=9, judge=("--rubric", "helpfulness"), **fields)
    policy = Policy(answer=answer)
    made: Any = Orchestrator(Settings(state_dir=folder), "demo", options, policy, lambda *_: None, lambda _: None)
    made._supervisor = crew
    made._look = lambda *_: STATUS
    return made


def test_a_run_that_judges_starts_a_judge_with_its_budgets(tmp_path: Path) -> None:
    for judging in (True, False):
        crew = Crew()
        with_judge(tmp_path, crew, judging=judging)._start()
        assert [line.split(":")[0] for line in crew.done] == ["worker", "trainer", "generator", "judge"][: 3 + judging]
        assert ("judge: judge --run demo --max-calls 9 --rubric helpfulness" in crew.done) == judging


@pytest.mark.parametrize("name", ["judge", "answerer"])
@pytest.mark.parametrize(
    ("hurry", "refuses", "goes_on"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_what_is_left_is_done_unless_there_is_a_hurry(
    tmp_path: Path, name: str, *, hurry: bool, refuses: bool, goes_on: bool
) -> None:
    crew = Crew((name,) if refuses else ())
    made = with_judge(tmp_path, crew, judging=True, answer="kept", windows=3 if hurry else None)
    made._end_caller(None, name)
    rest = {
        "judge": "judge-rest: judge --run demo --max-calls 9 --rubric helpfulness --until-end",
        "answerer": "answerer-rest: answer --run demo --max-calls 9 --until-end",
    }
    assert crew.done == [f"stop {name}", *([rest[name]] if goes_on else [])]


def test_in_a_hurry_a_part_is_asked_to_stop_once_since_twice_gives_up_its_calls(tmp_path: Path) -> None:
    crew = Crew()
    made = with_judge(tmp_path, crew, judging=True, answer="kept", windows=3)
    made._tell_log = lambda event: None
    made._start()
    made._drain(None, "so")
    assert [crew.done.count(f"stop {name}") for name in ("answerer", "judge", "trainer")] == [1, 1, 1]


def test_a_run_whose_answerer_has_ended_by_itself_is_ended(tmp_path: Path) -> None:
    crew = Crew()
    made = with_judge(tmp_path, crew, judging=False, answer="kept", trainer=False)
    made._start()
    made._producing = SimpleNamespace(start=lambda _: None, have_ended=lambda _: False)
    assert made._watch(None) == ("the answerer has ended", True, False)


@pytest.mark.parametrize("answer", ["all", "kept"])
def test_kept_rows_are_answered_before_the_trainer_hears_that_the_run_is_over(tmp_path: Path, answer: Answered) -> None:
    crew = Crew()
    made = with_judge(tmp_path, crew, judging=False, answer=answer)
    made._tell_log = lambda event: crew.done.append(type(event).__name__)
    made._start()
    made._drain(None, "so")
    answering = [line.split(":")[0] for line in crew.done if "answerer" in line]
    assert answering == (["answerer", "stop answerer", "answerer-rest"] if answer == "kept" else [])
    if answering:
        assert crew.done.index("RunStopped") > [line.split(":")[0] for line in crew.done].index("answerer-rest")


@pytest.mark.parametrize("windows", [3, None])
def test_in_a_hurry_generator_trainer_and_judge_end_side_by_side(tmp_path: Path, windows: int | None) -> None:
    crew = Crew()
    made = with_judge(tmp_path, crew, judging=True, windows=windows)
    made._tell_log = lambda event: None
    made._look = lambda *_: crew.done.append("wait") or STATUS

    made._drain(None, "so")

    assert (crew.done.index("stop judge") < crew.done.index("wait")) == (windows is not None)
    assert crew.done.index("stop worker") > crew.done.index("stop judge")
    assert any(line.startswith("judge-rest") for line in crew.done) == (windows is None)


class Working(Crew):
    """A supervisor whose parts work until their exit code is set."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[str, int | None] = {}
        self.lines = ""

    def start(self, name: str, arguments: list[str]) -> None:
        super().start(name, arguments)
        self.children[name] = arguments

    def ended(self, name: str) -> int | None:  # type: ignore[override]
        return self.codes.get(name)

    def tail(self, name: str) -> str:
        return self.lines


def producing(**fields: Any) -> tuple[Producing, Any]:
    return Producing("demo", RunOptions(corpus=("texts",), **fields)), Working()


def test_the_generator_from_documents_starts_when_they_are_added_and_the_other_one_at_once() -> None:
    parts, crew = producing(producer="both")
    parts.start(crew)
    assert [line.split(":")[0] for line in crew.done] == ["corpus", "generator"] and parts.adds_documents(crew)
    assert crew.done[0] == "corpus: corpus add texts --run demo"
    crew.codes["corpus"] = 1
    parts.start(crew)
    assert len(crew.done) == 2, "documents that could not be added are not made into anything"
    crew.codes["corpus"] = 0
    for _ in range(2):
        parts.start(crew)
    assert crew.done[2:] == ["documents: generate --run demo --producer goliath"]
    assert parts.at_work(crew) == ["generator", "documents"] and not parts.have_ended(crew)
    crew.codes["generator"] = 0
    assert not parts.have_ended(crew) and parts.quoted(crew) == "documents"
    crew.codes["documents"] = 0
    assert parts.have_ended(crew) and parts.why_ended(crew) == "the generator has reached its budget"


def test_a_run_from_documents_alone_ends_when_all_are_used() -> None:
    parts, crew = producing(producer="goliath")
    parts.start(crew)
    crew.codes["corpus"] = 0
    assert not parts.have_ended(crew), "its generator was not started yet"
    parts.start(crew)
    crew.codes["documents"], crew.lines = 0, "9 generations; ended: all documents are used"
    assert parts.have_ended(crew) and parts.why_ended(crew) == ALL_USED


def test_a_time_limit_while_documents_are_added_is_no_failure(tmp_path: Path) -> None:
    made = orchestra(tmp_path, {})
    made._producing, made._supervisor = producing(producer="goliath")
    made._producing.start(made._supervisor)
    ended = at_limit(made, LONG_S)
    assert "the documents are not all added yet" in ended.reason and exit_code_of(ended) is ExitCode.OK
