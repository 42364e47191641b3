"""`sedi eval study`: its commands, one after the other, as a user starts them."""

import time
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from schemas.errors import ConfigurationError
from sedi.eval.studies.options import SIZES, STUDIES, StudyOptions, StudySide, default_sides
from sedi.eval.studies.plans import plan
from tests.e2e.driver import Terminal
from tests.unit.docs.test_names_in_pages import faults_of

SIDE = """
trainer = false
seed_count = 20

[policy]
clusters = 4
batch_size = 4

[settings]
backend = "load-model"
"""


@pytest.fixture
def terminal(broker: TemporaryBroker, tmp_path: Path) -> Terminal:
    return Terminal(broker.settings, tmp_path)


def options(name: str, folder: Path, *names: str) -> StudyOptions:
    for part in ("eval_mc", "eval_open"):
        (folder / part).mkdir(exist_ok=True)
    sides = tuple(StudySide(each, default_sides()[0].file) for each in names) or default_sides()
    return StudyOptions(
        name=name,  # type: ignore[arg-type]
        size=SIZES["demo"],
        sides=sides,
        data=folder,
        output=folder,
        prefix="study",
        large="gpt-large",
        judge=("--judge-model", "judge", "--max-usd", "5"),
    )


@pytest.mark.parametrize("name", STUDIES)
def test_the_commands_of_a_study_exist_and_it_says_what_it_lacks(name: str, tmp_path: Path) -> None:
    steps = plan(options(name, tmp_path))
    assert [fault for step in steps for fault in faults_of(" ".join(step.arguments))] == []
    assert len({step.arguments for step in steps}) == len(steps)
    without = StudyOptions(**{**vars(options(name, tmp_path)), "data": None})
    if name in ("fig9", "fig10"):
        assert plan(without)
    else:
        with pytest.raises(ConfigurationError, match="needs data"):
            plan(without)


def test_a_comparison_needs_two_sides(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give two --side"):
        plan(options("fig7", tmp_path, "alone"))


@pytest.mark.timeout(300)
def test_a_study_runs_ends_in_order_and_continues(terminal: Terminal, run: str) -> None:
    side = terminal.folder / "side.toml"
    side.write_text(SIDE, encoding="utf-8")
    words = ("eval", "study", "fig10", "--side", f"one={side}", "--prefix", run)

    endless = terminal.start(*words, "--kept", "1000000")
    name = f"{run}-one"
    deadline = time.monotonic() + 120
    while not (terminal.settings.state_dir / name / "logs").is_dir() and endless.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(3)
    terminal.terminate(endless)

    before = terminal.json("report", "--run", name)
    assert before["accounted"]
    kept = str(before["kept"] + 30)
    found = terminal.json(*words, "--kept", kept)
    assert found["runs"] == [name] and found["report"] is None
    (table,) = found["tables"]
    assert {cells[0] for _, cells in table["rows"]} == {"low", "high"}
    assert all(Path(file).is_file() for file in found["files"])
    after = terminal.json("report", "--run", name)
    assert after["kept"] >= int(kept)

    again = terminal.json(*words, "--kept", kept)
    assert again["tables"] == found["tables"]
    assert terminal.json("report", "--run", name)["generations"] == after["generations"]

    side.write_text(SIDE.replace("clusters = 4", "clusters = 3"), encoding="utf-8")
    refused = terminal.sedi(*words)
    assert refused.returncode == 1 and "Step 1 of the study failed with exit code 2: sedi run" in refused.stderr
