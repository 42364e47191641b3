"""A run from documents, alone and beside the producer from seeds, by the command line."""

import json
from pathlib import Path

import pytest

from consumers.replay import audit
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.reader import LogReader
from infra.log.source import KafkaSource
from schemas.events import InstructionKept, InstructionsGenerated
from tests.e2e.driver import Terminal, write_answers
from tests.integration.producers.document_driver import candidate, document
from tests.unit.trainer.tiny import save_tiny

RUN_FILE = """
producer = "both"
corpus = ["texts"]
trainer = false
max_candidates = 60
time_limit_s = 200

[policy]
clusters = 4
batch_size = 4
gain_at_least = -100.0     # a random model gives no gain worth a limit

[generate]
style = "alpaca"
recorded = "answers.jsonl"

[documents]
recorded = "candidates.jsonl"
candidates = 3
strategies = "random"
segment_words = "15-60"
scorer = "{scorer}"
scorer_threads = 1
"""


@pytest.fixture
def terminal(broker: TemporaryBroker, tmp_path: Path) -> Terminal:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(4):
        (texts / f"{number}.txt").write_text(document(number).text or "A stub.", encoding="utf-8")
    write_answers(tmp_path / "answers.jsonl", 40)
    usage = {"prompt_tokens": 9, "completion_tokens": 9}
    lines = [json.dumps({"raw": candidate(line), "usage": usage}) for line in range(300)]
    (tmp_path / "candidates.jsonl").write_text("\n".join(lines), encoding="utf-8")
    scorer = save_tiny(tmp_path / "scorer")
    text = RUN_FILE.format(scorer=scorer)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    return Terminal(broker.settings, tmp_path)


def styles(terminal: Terminal, run: str) -> dict[str, set[str]]:
    """The styles of the generations, and of those of which a row is kept."""
    with LogReader(terminal.settings, run, ["generated", "kept"]) as reader:
        events = [record.event for record in reader.read_to_end()]
    made = {offset: e.style for offset, e in enumerate(e for e in events if isinstance(e, InstructionsGenerated))}
    kept = {made[event.generated_offset] for event in events if isinstance(event, InstructionKept)}
    return {"made": set(made.values()), "kept": kept}


@pytest.mark.timeout(600)
def test_both_producers_write_to_one_run_and_one_audit_covers_both(terminal: Terminal, run: str) -> None:
    done = terminal.sedi("run", "mine.toml", "--run", run)

    assert done.returncode == 0, done.stderr
    assert styles(terminal, run) == {"made": {"alpaca", "documents"}, "kept": {"alpaca", "documents"}}
    found = audit(KafkaSource(terminal.settings, run))
    assert found.divergences == 0 and found.undecided == 0, found.first


@pytest.mark.timeout(600)
def test_a_run_from_documents_alone_ends_when_all_are_used_and_fails_without_any(terminal: Terminal, run: str) -> None:
    alone = ("--producer", "goliath", "--set", "max_candidates=null")
    done = terminal.sedi("run", "mine.toml", "--run", run, *alone, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reason"] == "all documents are used"
    assert styles(terminal, run) == {"made": {"documents"}, "kept": {"documents"}}

    none = terminal.sedi("run", "mine.toml", "--run", f"{run}-none", *alone, "--set", "corpus=[]")
    assert none.returncode == 1
    assert "the documents cannot go on" in none.stdout + none.stderr and "sedi corpus add" in none.stdout + none.stderr
