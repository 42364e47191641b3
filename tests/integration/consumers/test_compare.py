"""`sedi report --compare` of a run on the real log and of an archive, as the command that people call."""

import json
from pathlib import Path

import pytest

from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.archiving import write_archive
from infra.log.writer import LogWriter
from sedi.main import main
from tests.unit.consumers.document_story import DocumentStory
from tests.unit.consumers.recorded_run import whole_run


def test_a_run_and_its_archive_are_compared_and_the_page_and_plots_written(
    broker: TemporaryBroker,
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SEDI_STATE_DIR", str(broker.settings.state_dir))
    story = whole_run(run)
    apply(broker.settings, run, story.policy.clusters)
    with LogWriter(broker.settings, run, "test") as log:
        story.write(log)
    archive = tmp_path / "archive"
    write_archive(broker.settings, run, archive)
    html, plots = tmp_path / "compared.html", tmp_path / "plots"
    called = ["report", "--compare", run, "--from-files", str(archive)]

    assert main([*called, "--json", "--html", str(html), "--plot", str(plots)]) == 0

    printed = json.loads(capsys.readouterr().out)
    first, second = printed["sides"]
    assert (first["name"], second["name"]) == (run, f"{run} (2)")
    for name in ("generated", "kept", "calls", "usd", "rejected", "clusters", "diversity", "seeds", "curve"):
        assert first[name] == second[name], name
    assert (first["generated"], first["kept"]) == (10, 5)
    assert printed["at_common"][1]["calls_ratio"] == 1
    assert html.read_text().count("<svg") == len(list(plots.iterdir())) == 9

    assert main(called) == 0
    assert "calls per 1,000 kept" in capsys.readouterr().out
    assert main(["report", "--compare", run]) == 2
    assert "1 runs were given" in capsys.readouterr().err
    assert main(["report", run]) == 2
    assert "are for --compare" in capsys.readouterr().err


def test_one_run_with_rows_from_documents_is_compared_by_producer_and_strategy(
    broker: TemporaryBroker,
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SEDI_STATE_DIR", str(broker.settings.state_dir))
    story = DocumentStory(run)
    story.configure()
    for number in range(24):
        text = f"The tide turned on day {number}. Boats waited."
        document = story.document(text)
        story.segment(document, text, "random", [f"Explain the day {number} of {number * 7}"], keep=0, gains=(0.1,))
        story.segment(document, text, "whole", ["Name the boats", "Go"], keep=0, gains=(0.2, 0.1))
    apply(broker.settings, run, story.batch_size)
    with LogWriter(broker.settings, run, "test") as log:
        story.write(log)

    assert main(["report", "--compare", run, "--json", "--html", str(tmp_path / "page.html")]) == 0

    found = json.loads(capsys.readouterr().out)["producers"]
    assert [(group["strategy"], group["kept"]) for group in found["strategies"]] == [("random", 24), ("whole", 24)]
    assert found["strategies"][0]["in_document"]["mean"]["value"] == 1.0
    assert found["extraction"][0]["paired"]
    assert "by producer and strategy" in (tmp_path / "page.html").read_text()
    assert main(["report", "--compare", run, "--sample", "12"]) == 0
    assert "Extracts (random) against whole documents" in capsys.readouterr().out
    assert main(["report", "--run", run, "--sample", "12"]) == 2
