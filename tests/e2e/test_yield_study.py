"""`sedi eval study yield`: its streams, an interruption, and the same numbers as a what-if by hand."""

import time
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from tests.e2e.driver import Terminal


@pytest.fixture
def terminal(broker: TemporaryBroker, tmp_path: Path) -> Terminal:
    settings = broker.settings.model_copy(update={"backend": "load-model"})
    return Terminal(settings, tmp_path)


@pytest.mark.timeout(300)
def test_the_yield_study_is_interrupted_goes_on_and_agrees_with_what_ifs(terminal: Terminal, run: str) -> None:
    folder = terminal.folder / "yield"
    words = ("eval", "study", "yield", "--prefix", run, "--output", str(folder), "--minutes", "3")

    endless = terminal.start(*words, "--rng", "1", "--kept", "1000000")
    deadline = time.monotonic() + 120
    log = folder / "logs" / f"{run}-1" / "generator.log"
    while not (log.is_file() and "generation 5" in log.read_text(encoding="utf-8")) and endless.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    terminal.terminate(endless)
    assert not (folder / "rng-1").exists()
    before = terminal.json("report", "--run", f"{run}-1")["generations"]
    assert before >= 5

    kept = 150
    found = terminal.json(*words, "--rng", "1,2", "--kept", str(kept))
    ends = {(curve["rng_seed"], curve["side"]): curve for curve in found["curves"]}
    assert all(curve["kept"] >= kept for curve in ends.values() if curve["side"] == "self-instruct 0.7")
    assert not found["saved_target"]["extrapolated"]
    assert found["streams"][0]["generations"] >= before
    for name, pairs in (
        ("self-instruct 0.7", ("mode=self-instruct",)),
        ("sedi 0.85", ("mode=sedi",)),
        ("sedi 0.5", ("mode=sedi", "threshold=0.5")),
    ):
        changed = [word for pair in pairs for word in ("--set", pair)]
        by_hand = terminal.json("replay", "--from-files", str(folder / "rng-1"), *changed)["what_if"]
        assert (by_hand["generated"], by_hand["kept"]) == (ends[1, name]["generated"], ends[1, name]["kept"])

    assert terminal.json(*words, "--rng", "1,2", "--kept", str(kept)) == found
    assert {file.name for file in folder.glob("yield*")} == {
        "yield.json",
        "yield.md",
        "yield-curves.svg",
        "yield-sweep.svg",
    }
