"""What answerers write is what the readers of rows read: judge, trainer, export and report."""

import json
from pathlib import Path

import pytest

from consumers.export.run import ExportOptions, export
from consumers.report import report
from consumers.trainer.data.log_feed import LogFeed
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import KafkaSource
from producers.answer.answerer import AnswererOptions, answer
from producers.answer.rows import ClusterShare
from producers.backends.recorded import RecordedOptions
from producers.judge.judge import JudgeOptions
from schemas import ids
from schemas.events import Instruction, InstructionAnswered, InstructionsGenerated
from schemas.policy import policy_for
from streams.core.batches import PartitionPosition
from tests.integration.producers.judge_driver import CLUSTERS, JudgeRig

ROWS = 10


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> JudgeRig:
    return JudgeRig(type(broker.settings)(**{**broker.settings.model_dump(), "backend": "recorded"}), run, tmp_path)


def generations(rig: JudgeRig) -> None:
    """A list of one instruction each, which `keep` keeps."""
    with rig.writer() as writer:
        for number in range(ROWS):
            id = ids.generation_id("main", number)
            event = InstructionsGenerated(
                lane="main",
                number=number,
                style="two-step",
                parser="strict",
                backend="recorded",
                model="m",
                parameters={},
                seed_ids=("s1",),
                seed_commands_offset=-1,
                answers=(),
                instructions=(Instruction(instruction=f"Name thing {number} please."),),
                unparsed=(),
                cost_usd=None,
            )
            writer.write(event, key=id, id=id)


@pytest.mark.timeout(120)
def test_rows_of_two_answerers_reach_every_reader_with_their_outputs(rig: JudgeRig, tmp_path: Path) -> None:
    rig.configure(policy_for(batch_size=CLUSTERS, answer="kept"))
    generations(rig)
    rig.keep(0, ROWS, output="")
    for number in (1, 2):
        raws = ["" if place == 2 else f"Answer {place} of {number}." for place in range(ROWS)]
        recorded = RecordedOptions(rig.file(raws, f"answers-{number}.jsonl"), per_generation=1)
        share = ClusterShare(number, 2)
        options = AnswererOptions(run=rig.run, recorded=recorded, share=share, until_end=True, in_flight=1)
        assert answer(options, rig.settings).answered == ROWS // 2
    written = rig.events("answered", InstructionAnswered)
    used = {event.row.id: event.row.output for event in written if event.reason is None}
    assert {event.reason for event in written} == {None, "empty_output"}
    assert len(written) - len(used) == 2

    scores = RecordedOptions(rig.file(["4\nSo."] * ROWS, "scores.jsonl"), per_generation=1)
    assert rig.judge(JudgeOptions(run=rig.run, recorded=scores, until_end=True, attempts=1)).judged == len(used)
    order = [event.kept_id for event in rig.judged()]
    assert sorted(order) == sorted(used)

    feed = LogFeed(rig.settings, rig.run, CLUSTERS, topic="answered", until_end=True, dead_letter=str)
    feed.open(dict.fromkeys(range(CLUSTERS), PartitionPosition()), None)
    rows = []
    while not (fed := feed.take(2.0)).at_end:
        rows += fed.rows
    rows += fed.rows
    feed.close()
    assert {row.kept.id: row.kept.output for row in rows} == used

    source = KafkaSource(rig.settings, rig.run)
    export(source, tmp_path / "data", ExportOptions(min_score=4.0))
    outputs = [row["output"] for row in json.loads((tmp_path / "data" / "alpaca.json").read_bytes())]
    assert outputs == [used[id] for id in order]
    counts = report(source).answered
    assert (counts.used, counts.waiting, counts.unused) == (len(used), 0, {"empty_output": 2})
