"""Which processes work on a run, what counts as being written to, and whose folder is removed."""

import io
from pathlib import Path

import pytest

from infra.runs.groups import GroupMember, RunGroup
from infra.runs.local_state import local_state, remove_local_state
from infra.settings import Settings
from schemas.errors import ConfigurationError
from sedi.runs.found import signs_of_work
from sedi.runs.options import confirm
from sedi.runs.processes import LocalProcess, of_command

SERVERS = "127.0.0.1:19092"
PYTHON = ("/venv/bin/python", "-P", "-m", "sedi")


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ((*PYTHON, "worker", "--run", "a"), {}, ("worker", "a", True)),
        (("python3", "/venv/bin/sedi", "train", "--run=a", "--epochs", "2"), {}, ("train", "a", True)),
        ((*PYTHON, "tail"), {"SEDI_RUN": "b"}, ("tail", "b", False)),
        ((*PYTHON, "generate", "--lane", "x"), {}, ("generate", "demo", True)),
        ((*PYTHON, "judge"), {"SEDI_BOOTSTRAP_SERVERS": "kafka:9092"}, None),
        (
            (*PYTHON, "judge", "--bootstrap-servers", SERVERS),
            {"SEDI_BOOTSTRAP_SERVERS": "k:1"},
            ("judge", "demo", True),
        ),
        ((*PYTHON, "runs", "delete", "demo"), {}, None),
        ((*PYTHON, "--help"), {}, None),
        (("vim", "sedi", "worker"), {}, None),
    ],
)
def test_a_process_is_recognised_by_its_command_line(
    words: tuple[str, ...], environment: dict[str, str], expected: tuple[str, str, bool] | None
) -> None:
    found = of_command(7, words, environment, SERVERS)

    assert (None if found is None else (found.command, found.run, found.writes)) == expected


def test_writers_growth_and_a_fresh_record_are_signs_of_work_and_readers_are_not() -> None:
    worker = RunGroup(name="sedi.a.worker", own=True, live=True, members=(GroupMember(client="w", host="10.0.0.1"),))
    sink = RunGroup(name="sink", own=False, live=True)
    idle = RunGroup(name="sedi.a.inspector", own=True, live=False)
    train, tail = (
        LocalProcess(pid=number, command=command, run="a", writes=command == "train")
        for number, command in enumerate(("train", "tail"))
    )

    assert signs_of_work((idle, sink), (tail,), moved=False, quiet_s=61.0) == ()
    assert signs_of_work((), (), moved=False, quiet_s=None) == ()
    assert signs_of_work((worker, idle), (train, tail), moved=True, quiet_s=2.0) == (
        "1 at work from 10.0.0.1 in its group sedi.a.worker",
        "`sedi train` works on it here (pid 0)",
        "records were written to it just now",
    )
    assert signs_of_work((), (), moved=False, quiet_s=2.4) == ("its newest record is 2 s old, and it was not stopped",)


def test_only_the_runs_own_folder_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "var")
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, settings.state_dir / "demo" / "logs", settings.state_dir / "broker" / "data"):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 5000)
    (elsewhere / "large").write_bytes(b"x" * 100_000)
    (settings.state_dir / "demo" / "model").symlink_to(elsewhere)
    (settings.state_dir / "linked").symlink_to(elsewhere)

    found = local_state(settings, "demo")
    assert [entry.name for entry in found.entries] == ["logs", "model"]
    assert 5000 <= found.entries[0].bytes <= found.bytes < 100_000
    remove_local_state(settings, "demo")
    remove_local_state(settings, "linked")
    remove_local_state(settings, "absent")

    assert not (settings.state_dir / "demo").exists() and not (settings.state_dir / "linked").is_symlink()
    assert (elsewhere / "file").is_file()
    assert local_state(settings, "broker").entries == ()
    with pytest.raises(ConfigurationError, match="also holds what is of no run"):
        remove_local_state(settings, "broker")
    assert (settings.state_dir / "broker" / "data" / "file").is_file()


@pytest.mark.parametrize(
    ("answer", "expected"), [("y\n", True), ("Yes\n", True), ("\n", False), ("", False), ("n", False)]
)
def test_only_a_yes_is_a_yes(
    answer: str, expected: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)

    assert confirm("Delete run a\x1b[2J?") is expected
    asked = capsys.readouterr().err
    assert asked.endswith(" [y/N] ") and "\x1b" not in asked
