"""`sedi eval answers`, `compare` and `refusals`: words to models and sets, a run that is made, and what is printed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.run import read_run
from sedi.main import main
from tests.integration.producers.evaluation_driver import EvaluationRig, prompts
from tests.unit.trainer.tiny import save_tiny


class Commands:
    """Runs `sedi eval` on a run that is not there yet."""

    def __init__(self, rig: EvaluationRig, capsys: pytest.CaptureFixture[str]) -> None:
        self.rig = rig
        self._capsys = capsys
        self.said = ""

    def __call__(self, *words: object, code: int = 0) -> Any:
        """The JSON that a command prints; what it says on standard error is in `said`."""
        self._capsys.readouterr()
        where = ["--run", self.rig.run, "--bootstrap-servers", self.rig.settings.bootstrap_servers]
        where += ["--state-dir", str(self.rig.folder / "state")]
        assert main(["eval", *map(str, words), *where, "--json"]) == code, self._capsys.readouterr()
        out, self.said = self._capsys.readouterr()
        return msgspec.json.decode(out) if out else None


@pytest.fixture
def sedi(
    broker: TemporaryBroker,
    run: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Commands:
    monkeypatch.setenv("SEDI_CACHE_DIR", str(broker.settings.cache_dir))
    return Commands(EvaluationRig(broker.settings, run, tmp_path), capsys)


def files(rig: EvaluationRig) -> tuple[Path, Path, Path]:
    """A set of three prompts and a row without one, and two files of answers; the second lacks one."""
    asked = [{"instruction": each.instruction, "input": each.input, "id": each.id} for each in prompts(3).prompts]
    answers = [{"instruction": each["instruction"], "input": each["input"], "output": "So it is."} for each in asked]
    return (
        rig.lines([*asked, {"text": "no prompt"}], "asked.jsonl"),
        rig.lines(answers, "one.jsonl"),
        rig.lines(answers[:2], "two.jsonl"),
    )


def test_a_comparison_makes_its_run_gives_the_answers_and_judges_them_once(sedi: Commands) -> None:
    asked, one, two = files(sedi.rig)
    judge = sedi.rig.file(["8 7\nSo.", "7 7", "Fine.", "6 7", "9 1", "1 9"], "judge.jsonl")
    words = ("compare", one, f"other={two}", "--set", f"made={asked}", "--recorded", judge, "--attempts", 1)
    found = sedi(*words)
    assert "asked.jsonl: 1 rows hold no prompt and are left out: line 4" in sedi.said
    assert "other@" in sedi.said
    assert "the file has no answer to 1 prompts" in sedi.said
    assert [(each["set"], each["outcomes"], each["missing"]) for each in found["answers"]] == [
        ("made", {"answered": 3}, 0),
        ("made", {"answered": 2}, 1),
    ]
    judged = found["judged"]
    assert (judged["readings"], judged["read"], judged["unread"], judged["unanswered"]) == (6, 3, 1, 2)
    assert [event.scores for event in sedi.rig.judgements()] == [(8, 7), (7, 7), None, (6, 7)]
    (score,) = found["comparisons"]
    assert (score["prompts"], score["scored"], score["unread"], score["win"]) == (2, 1, 1, 0)
    assert score["tie"] == 1, "better in one order, and equal in the other"
    assert read_run(sedi.rig.settings, sedi.rig.run)[0].seeds, "the run was made"
    again = sedi(*words)
    assert (again["judged"]["calls"], again["judged"]["written"], again["judged"]["read"]) == (0, 0, 3)


def test_a_model_on_this_machine_is_asked_once_under_its_conditions(sedi: Commands) -> None:
    asked, *_ = files(sedi.rig)
    folder = save_tiny(sedi.rig.folder / "tiny")
    words = ("answers", f"mine={folder}", "--set", asked, "--system", "llama-2", "--call-max-tokens", 4, "--limit", 2)
    (answered,) = sedi(*words)
    assert (answered["calls"], answered["missing"], answered["prompts"]) == (2, 0, 2)
    given = sedi.rig.given()
    assert {event.model.name for event in given} == {"mine"}
    assert all("no harm" in event.asked.system and event.asked.template == "chat" for event in given)
    assert sedi(*words)[0]["calls"] == 0
    assert sedi(*words[:-2])[0]["calls"] == 1, "a larger limit adds to a smaller one"


def test_a_judge_says_which_answers_refuse(sedi: Commands) -> None:
    asked, one, two = files(sedi.rig)
    judge = sedi.rig.file(["1\nIt declines.", "", "0", "", "perhaps", "none", "1", "", "1", ""], "judge.jsonl")
    found = sedi("refusals", one, two, "--set", asked, "--recorded", judge)
    judged = found["judged"]
    assert (judged["readings"], judged["read"], judged["unread"], judged["unanswered"]) == (6, 4, 1, 1)
    assert [event.scores for event in sedi.rig.judgements()] == [(1,), (0,), None, (1,), (1,)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["compare", "endpoint:a", "--set", "{set}"], "Two models or more"),
        (["compare", "endpoint:a", "endpoint:a", "--set", "{set}"], "given twice"),
        (["answers", "endpoint:a", "--set", "{set}", "--set", "asked={set}"], "Two sets are named 'asked'"),
        (["answers", "endpoint:a", "--set", "none.jsonl"], "cannot be read"),
        (["answers", "endpoint:a", "--step", "3", "--set", "{set}"], "--step is for the run's own model"),
    ],
)
def test_wrong_words_are_told_before_anything_is_asked(sedi: Commands, words: list[str], sentence: str) -> None:
    asked, *_ = files(sedi.rig)
    sedi(*(word.format(set=asked) for word in words), code=2)
    assert sentence in sedi.said
