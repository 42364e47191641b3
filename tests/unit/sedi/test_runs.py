"""Which processes work on a run, what counts as being written to, and whose folder is removed."""

import io
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.runs.deletion import RunDeletion
from infra.runs.groups import GroupMember, RunGroup
from infra.runs.local_state import local_state, remove_local_state
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunAtWork
from sedi.runs.delete import delete_one
from sedi.runs.expire import _before_ms
from sedi.runs.found import signs_of_work
from sedi.runs.options import confirm
from sedi.runs.processes import LocalProcess, of_command
from sedi.web import _OtherRuns

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
    for name in ("broker", "web"):
        with pytest.raises(ConfigurationError, match="also holds what is of no run"):
            remove_local_state(settings, name)
    assert (settings.state_dir / "broker" / "data" / "file").is_file()


def test_the_indexes_of_a_runs_page_go_with_its_folder_and_no_other_runs(tmp_path: Path) -> None:
    settings, digest = Settings(state_dir=tmp_path), "0123456789ab"
    own = {f"demo-{digest}.sqlite", f"demo-{digest}.sqlite-wal"}
    others = {
        f"demo-2-{digest}.sqlite",
        f"demo-{digest}-{digest}.sqlite",
        f"demo-{digest}0.sqlite",
        f"my-demo-{digest}.sqlite",
    }
    (tmp_path / "web").mkdir()
    for name in own | others:
        (tmp_path / "web" / name).write_bytes(b"x")

    found = local_state(settings, "demo")
    assert {entry.name for entry in found.indexes} == {f"web/{name}" for name in own} and found.kept
    remove_local_state(settings, "demo")

    assert {path.name for path in (tmp_path / "web").iterdir()} == others
    assert not local_state(settings, "demo").kept


@pytest.mark.parametrize(
    ("older_than", "refused"),
    [
        ("6m", "not in hours or days"),
        ("90s", "not in hours or days"),
        ("2999-01-01", "in the future"),
        ("x", "not a time"),
    ],
)
def test_runs_expire_only_by_hours_days_or_a_past_date(older_than: str, refused: str) -> None:
    with pytest.raises(ConfigurationError, match=refused):
        _before_ms(older_than, time.time())
    assert [_before_ms(span, 86_400.0) for span in ("24h", "1d")] == [0, 0]


def test_a_run_that_is_written_to_since_somebody_was_asked_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []

    def delete_run(_: Settings, run: str, __: object) -> RunDeletion:
        deleted.append(run)
        return RunDeletion(topics=(), groups=(), groups_left=())

    at_work = SimpleNamespace(at_work=("records were written to it just now",))
    monkeypatch.setattr("sedi.runs.found.run_details", lambda *_, **__: [at_work])
    monkeypatch.setattr("infra.runs.deletion.delete_run", delete_run)

    with pytest.raises(RunAtWork, match="just now"):
        delete_one(Settings(), "demo", local_state=False)
    assert deleted == []
    delete_one(Settings(), "demo", local_state=False, force=True)
    assert deleted == ["demo"]


def test_further_runs_are_asked_for_at_most_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr("infra.cluster.run_names.run_names", lambda _, limit_s: asked.append(limit_s) or ["a", "b"])
    others = _OtherRuns(Settings(), ["a"])

    assert [others(), others()] == [["b"], ["b"]]
    assert len(asked) == 1


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
