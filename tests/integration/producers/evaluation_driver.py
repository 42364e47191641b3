"""Has models answer sets of prompts on a run's log, and judges compare them, in this process or others."""

import pickle
from pathlib import Path
from typing import Any

import msgspec

from infra.digest import sha256_of
from infra.settings import load
from producers.backends.recorded import RecordedOptions
from producers.evaluation.answers import AnswerOptions, AnswerSummary, give_answers
from producers.evaluation.judgement_items import AnswersOf, JudgedSet
from producers.evaluation.judging import JudgingOptions, JudgingSummary, judge_answers
from producers.evaluation.local_models import LocalModels
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet
from schemas.evaluation import AnswerGiven, AnswersJudged, EvaluatedModel
from tests.harness.forked import Forked, fork
from tests.integration.producers.driver import Rig

ENDPOINT = EvaluatedModel(name="tried", kind="endpoint", source="some-model")


def prompts(count: int, name: str = "made") -> PromptSet:
    """A set of questions; every third has an input, and each a reference."""
    return PromptSet(
        name,
        tuple(
            EvaluationPrompt(f"q{n}", f"What is {n}?", "in words" if n % 3 == 0 else "", f"g{n % 2}", (f"It is {n}.",))
            for n in range(count)
        ),
    )


def file_model(path: Path, name: str = "") -> EvaluatedModel:
    """The model that a file of answers stands for."""
    return EvaluatedModel(name=name or path.name.split(".")[0], kind="file", source=path.name, sha256=sha256_of(path))


class EvaluationRig(Rig):
    """A run on whose log evaluations write."""

    def lines(self, lines: list[dict[str, Any]], name: str) -> Path:
        """A file of JSON Lines."""
        path = self.folder / name
        path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
        return path

    def recorded(self, raws: list[str], name: str = "answers.jsonl", **how: Any) -> RecordedOptions:
        return RecordedOptions(self.file(raws, name), **how)

    def answer(
        self, prompts: PromptSet, model: EvaluatedModel = ENDPOINT, *, models: LocalModels | None = None, **options: Any
    ) -> AnswerSummary:
        asked = AnswerOptions(run=self.run, model=model, prompts=prompts, **options)
        return give_answers(asked, self.settings, models=models)

    def judged_set(self, prompts: PromptSet, *files: Path) -> JudgedSet:
        """The answers of files to a set, put on the log."""
        given = [self.answer(prompts, file_model(file), answers=file) for file in files]
        return JudgedSet(prompts, tuple(AnswersOf(each.model, each.asked) for each in given))

    def judge(self, *sets: JudgedSet, **options: Any) -> JudgingSummary:
        return judge_answers(JudgingOptions(run=self.run, sets=sets, **options), self.settings)

    def start_judge(self, options: JudgingOptions) -> Forked:
        """A judge in a process of its own."""
        summary = self.folder / "judged.pickle"
        return fork(_judge, options, summary, settings=self.settings, output=self.folder / "judge.log")

    def given(self) -> list[AnswerGiven]:
        return self.events("answers", AnswerGiven)

    def judgements(self) -> list[AnswersJudged]:
        return self.events("judgements", AnswersJudged)


def _judge(options: JudgingOptions, summary: Path) -> None:
    summary.write_bytes(pickle.dumps(judge_answers(options, load())))
