"""A preview pays on the run's ledger and changes nothing else; the run then goes on as if it had not been."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from consumers.explain.story import explain
from consumers.replay import audit
from consumers.report import report
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import KafkaSource
from schemas import ids
from schemas.events import CallStarted
from schemas.policy import policy_for
from sedi.main import main
from tests.integration.producers.driver import Rig
from tests.integration.worker.driver import Rig as WorkerRig

STYLE = ("--set", "generate.style=two-step")


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SEDI_STATE_DIR", str(broker.settings.state_dir))
    monkeypatch.setenv("SEDI_BACKEND", "load-model")
    monkeypatch.setenv("SEDI_USD_PER_1M_PROMPT_TOKENS", "1")
    monkeypatch.setenv("SEDI_USD_PER_1M_COMPLETION_TOKENS", "4")
    return Rig(broker.settings, run, tmp_path)


def previewed(rig: Rig, capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capfd.readouterr()
    assert main(["preview", "--run", rig.run, *STYLE, "--json", *arguments]) == 0, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)


@pytest.mark.timeout(180)
def test_a_previewed_run_is_generated_decided_and_audited_as_one_without_a_preview(
    rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    first = previewed(rig, capfd, "--generations", "4", "--target", "500")
    assert [each["number"] for each in first["generations"]] == [0, 1, 2, 3]
    tasks = [task for each in first["generations"] for task in each["instructions"]]
    assert {task["answered"] for task in tasks if task["rejected"] is None} == {True}
    assert first["calls"] == 4 + sum(task["rejected"] is None for task in tasks)
    assert first["estimate"]["amounts"]["fall"] == "default"
    assert first["estimate"]["amounts"]["usd"]["low"] > 0
    assert rig.records("generated") == rig.records("kept") == []
    worker = WorkerRig(rig.settings, rig.run, policy_for(), rig.folder)
    worker.start_worker()
    second = previewed(rig, capfd, "--generations", "4", "--target", "500")
    assert (second["calls"], second["generations"]) == (0, first["generations"]), "what was asked is not asked twice"
    again = previewed(rig, capfd, "--generations", "2", "--again")
    assert ([each["number"] for each in again["generations"]], again["calls"] > 2) == ([4, 5], True)
    spent = first["calls"] + again["calls"]
    ledger = rig.ledger()
    assert (ledger.started, ledger.answered, ledger.open) == (spent, spent, 0)

    assert main(["run", "--run", rig.run, *STYLE, "--estimate"]) == 1
    assert "sedi preview" in capfd.readouterr().err
    twin = Rig(rig.settings, f"{rig.run}-twin", rig.folder)
    assert main(["configure", "--run", twin.run, *STYLE, "--set", "answer=kept"]) == 0
    for each in (rig, twin):
        assert main(["generate", "--run", each.run, "--style", "two-step", "--max-generations", "24"]) == 0
    assert rig.generations() == twin.generations()

    rig.wait_for("rejected", 24)
    assert main(["answer", "--run", rig.run, "--until-end"]) == 0
    source = KafkaSource(rig.settings, rig.run)
    before = audit(source)
    assert (before.divergences, before.unanswered) == (0, 0)
    capfd.readouterr()
    assert (
        main(["run", "--run", rig.run, *STYLE, "--estimate", "--max-kept", "1000", "--max-calls", "300", "--json"]) == 0
    )
    estimate = json.loads(capfd.readouterr().out)
    assert (estimate["amounts"]["generations"], estimate["within"]) == (24, {"--max-calls": 0.0})
    kept = estimate["amounts"]["kept"]
    assert kept < estimate["affordable"] < 300

    running = previewed(rig, capfd, "--generations", "4")
    assert (running["calls"], running["estimate"]["amounts"]["generations"]) == (0, 24), "its log is the better measure"
    after = audit(source)
    worker.stop_workers()
    assert (after.divergences, after.digests) == (0, before.digests)
    counted = report(source)
    assert (counted.spent["preview"].calls, counted.accounted) == (spent, True)
    assert counted.spent["lists"].calls == 24
    assert counted.calls.started == spent + 24 + counted.spent["answers"].calls + sum(
        found.calls for purpose, found in counted.spent.items() if purpose == "answers_unused"
    )
    made = explain(source, ids.generation_id(first["lane"], 0)).made
    assert made is not None
    assert (made.preview, made.generation) == (True, None)


@pytest.mark.timeout(120)
def test_a_preview_ended_by_a_signal_completes_its_calls_and_the_next_one_asks_for_the_rest(
    rig: Rig, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["configure", "--run", rig.run, *STYLE, "--set", "answer=kept"]) == 0
    with monkeypatch.context() as slow:
        slow.setenv("SEDI_LOAD_MODEL_PACE", "0.05")
        command = [sys.executable, "-m", "sedi", "preview", "--run", rig.run, *STYLE, "--set", "generate.in_flight=2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        rig.wait_for("calls", 6)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    cut = rig.ledger()
    assert cut.started == cut.answered
    rest = previewed(rig, capfd, "--set", "generate.in_flight=2")
    whole = rig.ledger()
    assert [each["number"] for each in rest["generations"]] == [0, 1, 2, 3, 4]
    assert whole.started == whole.answered == cut.started + rest["calls"]
    assert (whole.repeated, whole.lost, rest["calls"] > 0) == (0, 0, True)


@pytest.mark.timeout(120)
def test_the_run_s_budget_holds_a_preview_too(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    found = previewed(rig, capfd, "--max-calls", "7")
    assert (found["calls"], rig.ledger().started) == (7, 7)
    assert "--max-calls 7" in found["ended"]
    assert {start.lane for start in rig.events("calls", CallStarted)} == {found["lane"]}
    assert main(["preview", "--run", rig.run, "--set", "producer=goliath"]) == 2
    assert "documents alone" in capfd.readouterr().err
