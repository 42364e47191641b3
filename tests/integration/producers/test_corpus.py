"""Documents on the real broker: a kill in the middle changes nothing, and nothing is written twice."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.record import Record
from infra.log.run import read_run
from infra.log.source import KafkaSource
from producers.documents.corpus import add
from producers.documents.corpus.add import CorpusOptions, add_corpus
from producers.documents.corpus.files import corpus_files
from producers.documents.corpus.withdraw import withdraw_documents
from schemas.documents import DocumentRead, DocumentWithdrawn
from schemas.errors import ConfigurationError, RunError
from sedi.corpus.documents import documents_of
from sedi.main import main
from tests.harness.forked import Forked, fork
from tests.integration.producers.driver import Rig
from tests.unit.producers.test_corpus_quality import prose

ROWS = 600
NEAR, EQUAL = 7, 11  # every so-many-th is nearly, or exactly, one from before


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, tmp_path)
    rig.configure()
    yield rig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    rows = [prose(number - number % NEAR % 2 * NEAR if number % EQUAL == 0 else number, 14) for number in range(ROWS)]
    rows = [row.replace("people", "folk", 1) if number % NEAR == 3 else row for number, row in enumerate(rows)]
    rows[::NEAR] = [rows[0].replace("In the", "At the", 1 + number % 3) for number in range(len(rows[::NEAR]))]
    lines = "".join(json.dumps({"text": row}) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    (folder / "b.txt").write_text(prose(ROWS + 1, 30), encoding="utf-8")
    return folder


def slowly(arguments: Sequence[str]) -> int:
    """`sedi`, where a document takes its time on any machine, so that a kill comes in the middle."""
    write = add._DocumentWriter.write

    def late(self: add._DocumentWriter, event: DocumentRead, id: str) -> None:
        time.sleep(0.02)
        write(self, event, id)

    add._DocumentWriter.write = late  # type: ignore[method-assign]
    return main(arguments)


def adding(rig: Rig, folder: Path) -> Forked:
    command = ["corpus", "add", str(folder), "--run", rig.run, "--json"]
    return fork(slowly, command, settings=rig.settings, output=rig.folder / "add.log")


def content(records: list[Record]) -> list[tuple[str, bytes | None]]:
    return [(record.id, record.value) for record in records]


def test_kills_and_stops_leave_the_log_of_an_undisturbed_run(rig: Rig, folder: Path, tmp_path: Path) -> None:
    quiet = Rig(rig.settings, f"{rig.run}-quiet", tmp_path)
    quiet.configure()
    whole = add_corpus(CorpusOptions(quiet.run, corpus_files([folder])), quiet.settings)
    expected = content(quiet.records("documents"))
    assert whole.complete and whole.read == len(expected) == ROWS + 1
    assert whole.dropped["near_duplicate"] > 50 and whole.dropped["duplicate"] > 1

    killed = adding(rig, folder)
    rig.wait_for("documents", 20)
    killed.kill()
    killed.wait(timeout=60)
    at_kill = len(rig.records("documents"))
    (rig.folder / "add.log").unlink()
    stopped = adding(rig, folder)
    rig.wait_for("documents", at_kill + 20)
    stopped.terminate()
    assert stopped.wait(timeout=60) == 130
    assert '"complete": false' in (rig.folder / "add.log").read_text()
    at_stop = len(rig.records("documents"))
    assert 20 <= at_kill < at_stop < ROWS, "both ended in the middle"
    rest = add_corpus(CorpusOptions(rig.run, corpus_files([folder])), rig.settings)

    assert content(rig.records("documents")) == expected
    assert (rest.known, rest.kept + sum(rest.dropped.values())) == (at_stop, ROWS + 1 - at_stop)
    again = add_corpus(CorpusOptions(rig.run, corpus_files([folder])), rig.settings)
    assert (again.known, again.kept, again.dropped) == (ROWS + 1, 0, {})


def test_a_document_is_withdrawn_once_by_its_id_or_the_start_of_it(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(prose(1), encoding="utf-8")
    add_corpus(CorpusOptions(rig.run, corpus_files([tmp_path / "texts"]), licence="CC0"), rig.settings)
    (record,) = rig.records("documents")
    assert isinstance(record.event, DocumentRead) and record.event.licence == "CC0"

    dry = withdraw_documents(rig.settings, rig.run, [record.id[:8]], "", dry_run=True)
    assert (dry.withdrawn, rig.events("documents", DocumentWithdrawn)) == ((record.id,), [])
    first = withdraw_documents(rig.settings, rig.run, [record.id[:8]], "asked for")
    second = withdraw_documents(rig.settings, rig.run, [record.id], "again")

    assert (first.withdrawn, second.withdrawn, second.before) == ((record.id,), (), (record.id,))
    assert [event.reason for event in rig.events("documents", DocumentWithdrawn)] == ["asked for"]
    with pytest.raises(RunError, match="has no document"):
        withdraw_documents(rig.settings, rig.run, ["0000"], "x")
    with pytest.raises(ConfigurationError, match="needs a reason"):
        withdraw_documents(rig.settings, rig.run, [record.id], " ")


def test_of_a_long_text_all_parts_are_withdrawn_and_of_its_neighbour_none(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    long = "\n\n".join(prose(seed, 30) for seed in range(80))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in (long, prose(99))))
    add_corpus(CorpusOptions(rig.run, corpus_files([tmp_path / "a.jsonl"])), rig.settings)
    *parts, other = (record.id for record in rig.records("documents"))
    assert len(parts) > 2
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", rig.settings.bootstrap_servers)
    monkeypatch.setenv("SEDI_STATE_DIR", str(rig.settings.state_dir))

    def withdrawing(*more: str) -> dict[str, object]:
        assert main(["corpus", "withdraw", parts[1], "--run", rig.run, "--json", *more]) == 0
        return dict(json.loads(capfd.readouterr().out))

    expected = {"run": rig.run, "withdrawn": parts, "before": [], "parts": len(parts) - 1}
    assert withdrawing("--dry-run") == expected | {"dry_run": True}
    assert rig.events("documents", DocumentWithdrawn) == []
    assert withdrawing("--reason", "asked for") == expected | {"dry_run": False}
    assert [event.document_id for event in rig.events("documents", DocumentWithdrawn)] == parts
    assert withdrawing("--reason", "again") == expected | {"dry_run": False, "withdrawn": [], "before": parts}

    source = KafkaSource(rig.settings, rig.run)
    assert {each.id for each in documents_of(source) if each.withdrawn is None and each.text is None} == {other}
    (shown,) = documents_of(source, other)
    assert (shown.text, shown.withdrawn) == (prose(99), None)


def test_a_wrong_language_is_said_before_a_run_is_made(
    rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", rig.settings.bootstrap_servers)
    monkeypatch.setenv("SEDI_STATE_DIR", str(rig.settings.state_dir))

    assert main(["corpus", "add", str(folder), "--run", f"{rig.run}-new", "--language", "klingon"]) == 2

    assert "'klingon' is not known" in capfd.readouterr().err
    with pytest.raises(RunError):
        read_run(rig.settings, f"{rig.run}-new")
