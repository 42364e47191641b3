"""Documents on the real broker: a kill in the middle changes nothing, and nothing is written twice."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.distribution import python_module
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.record import Record
from infra.settings import environment_of
from producers.documents.corpus.add import CorpusOptions, add_corpus
from producers.documents.corpus.withdraw import withdraw_documents
from schemas.documents import DocumentRead, DocumentWithdrawn
from schemas.errors import ConfigurationError, RunError
from tests.integration.producers.driver import Rig
from tests.unit.producers.test_corpus_quality import prose

ROWS = 1_500
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


def adding(rig: Rig, folder: Path) -> subprocess.Popen[bytes]:
    import os

    command = [*python_module("sedi"), "corpus", "add", str(folder), "--run", rig.run, "--json"]
    return subprocess.Popen(command, env=os.environ | environment_of(rig.settings), stdout=subprocess.PIPE)


def content(records: list[Record]) -> list[tuple[str, bytes | None]]:
    return [(record.id, record.value) for record in records]


def test_kills_and_stops_leave_the_log_of_an_undisturbed_run(rig: Rig, folder: Path, tmp_path: Path) -> None:
    quiet = Rig(rig.settings, f"{rig.run}-quiet", tmp_path)
    quiet.configure()
    whole = add_corpus(CorpusOptions(quiet.run, (folder,)), quiet.settings)
    expected = content(quiet.records("documents"))
    assert whole.complete and whole.read == len(expected) == ROWS + 1
    assert whole.dropped["near_duplicate"] > 50 and whole.dropped["duplicate"] > 1

    with adding(rig, folder) as killed:
        rig.wait_for("documents", 20)
        killed.kill()
    at_kill = len(rig.records("documents"))
    with adding(rig, folder) as stopped:
        rig.wait_for("documents", at_kill + 20)
        stopped.send_signal(signal.SIGTERM)
        out, _ = stopped.communicate(timeout=60)
    at_stop = len(rig.records("documents"))
    assert (stopped.returncode, json.loads(out)["complete"]) == (130, False)
    assert 20 <= at_kill < at_stop < ROWS, "both ended in the middle"
    rest = add_corpus(CorpusOptions(rig.run, (folder,)), rig.settings)

    assert content(rig.records("documents")) == expected
    assert (rest.known, rest.kept + sum(rest.dropped.values())) == (at_stop, ROWS + 1 - at_stop)
    again = add_corpus(CorpusOptions(rig.run, (folder,)), rig.settings)
    assert (again.known, again.kept, again.dropped) == (ROWS + 1, 0, {})


def test_a_document_is_withdrawn_once_by_its_id_or_the_start_of_it(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(prose(1), encoding="utf-8")
    add_corpus(CorpusOptions(rig.run, (tmp_path / "texts",), licence="CC0"), rig.settings)
    (record,) = rig.records("documents")
    assert isinstance(record.event, DocumentRead) and record.event.licence == "CC0"

    first = withdraw_documents(rig.settings, rig.run, [record.id[:8]], "asked for")
    second = withdraw_documents(rig.settings, rig.run, [record.id], "again")

    assert (first.withdrawn, second.withdrawn, second.before) == ((record.id,), (), (record.id,))
    assert [event.reason for event in rig.events("documents", DocumentWithdrawn)] == ["asked for"]
    with pytest.raises(RunError, match="has no document"):
        withdraw_documents(rig.settings, rig.run, ["0000"], "x")
    with pytest.raises(ConfigurationError, match="needs a reason"):
        withdraw_documents(rig.settings, rig.run, [record.id], " ")
