"""Makes runs with kept rows, and drives judges over them in this process or others."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from infra.settings import load
from producers.judge.judge import JudgeOptions, JudgeSummary, judge
from schemas import ids
from schemas.events import InstructionJudged, InstructionKept, InstructionsRejected
from tests.harness.forked import Forked, fork
from tests.integration.producers.driver import Rig
from tests.unit.trainer.tiny import answered

CLUSTERS = 2


class JudgeRig(Rig):
    """A run whose filter has kept one row of each generation, in two clusters by turns."""

    def keep(self, first: int, count: int, output: str | None = None) -> list[InstructionKept]:
        """Rows first, first + 1, ... with the filter's word on each; `output` None: each has its own."""
        rows, words = [], []
        with self.writer() as writer:
            for number in range(first, first + count):
                generation = ids.generation_id("main", number)
                row = InstructionKept(
                    id=ids.instruction_id(generation, 0),
                    instruction=f"Name thing {number} please.",
                    input="",
                    output=f"Thing {number}." if output is None else output,
                    generation_id=generation,
                    generated_offset=number,
                    place=0,
                    cluster=number % CLUSTERS,
                    classifier_offset=0,
                )
                word = InstructionsRejected(
                    generation_id=generation,
                    generated_offset=number,
                    rejections=(),
                    generated=1,
                    kept=1,
                    generated_total=number + 1,
                    kept_total=number + 1,
                )
                rows.append(row)
                words.append(word)
            for sent in [writer.send(row, key=row.id, id=row.id, partition=row.cluster) for row in rows]:
                writer.wait(sent)  # the filter's word on a generation comes after its rows
            for word in words:
                writer.send(word, key=word.generation_id, id=ids.verdict_id(word.generated_offset))
        return rows

    def answer(self, rows: Iterable[InstructionKept], reasons: Mapping[str, str]) -> None:
        """Answers to kept rows; `reasons`: why some are not used, by id."""
        with self.writer() as writer:
            for row in rows:
                event = answered(replace(row, output=f"Answer of {row.generated_offset}."), reasons.get(row.id))
                writer.write(event, key=row.id, id=ids.answered_id(row.id), partition=row.cluster)

    def judge(self, options: JudgeOptions) -> JudgeSummary:
        return judge(options, self.settings)

    def judged(self) -> list[InstructionJudged]:
        return self.events("judged", InstructionJudged)

    def start_judge(self, options: JudgeOptions) -> Forked:
        """A judge in a process of its own."""
        summary = self.folder / "judged.pickle"
        return fork(_judge, options, summary, settings=self.settings, output=self.folder / "judge.log")


def _judge(options: JudgeOptions, summary: Path) -> None:
    summary.write_bytes(pickle.dumps(judge(options, load())))
