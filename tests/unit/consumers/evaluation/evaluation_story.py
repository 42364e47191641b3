"""A run's log with evaluations on it, made up by hand: questions, answers, judgements."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from schemas import ids
from schemas.evaluation import AnswerGiven, AnswersJudged, Asked, Benchmark, EvaluatedModel, QuestionMeasured, TrainedBy
from schemas.events import Judge, Scale
from tests.unit.consumers.story import Story, Written

BEFORE = EvaluatedModel(name="before", kind="hub", source="owner/base", sha256="a" * 64)
AFTER = EvaluatedModel(
    name="after", kind="folder", source="model", sha256="b" * 64, trained=TrainedBy(run="demo", step=300)
)
THIRD = EvaluatedModel(name="third", kind="endpoint", source="big")

PAIR = Judge(backend="recorded", model="judge", rubric="pair", version=1)
REFUSAL = Judge(backend="recorded", model="judge", rubric="refusal", version=1)


def benchmark(name: str, *, shots: int = 0, form: str = "published", data: str = "c") -> Benchmark:
    return Benchmark(name=name, version=1, shots=shots, form=form, data_sha256=data * 64)


def asked(prompts: str = "vicuna", system: str = "", temperature: float = 0.0) -> Asked:
    parameters: dict[str, str | int | float | bool | None] = {"temperature": temperature}
    return Asked(prompts=prompts, sha256="d" * 64, system=system, template="chat", parameters=parameters)


@dataclass
class EvaluationStory(Story):
    """Events of evaluations, in the order they are told."""

    def measured(
        self,
        model: EvaluatedModel,
        of: Benchmark,
        question: str,
        *,
        right: bool,
        per_character: bool | None = None,
        group: str = "",
        size: int = 100,
        sample: str = "",
        precision: str = "fp32",
    ) -> Written:
        """A question of two choices, of which the first is right."""
        event = QuestionMeasured(
            model=model,
            benchmark=of,
            question_id=question,
            group=group,
            group_size=size,
            sample=sample,
            question=f"What about {question}?",
            prompt_sha256="e" * 64,
            choices=("yes", "no"),
            loglikelihoods=(-1.0, -2.0) if right else (-2.0, -1.0),
            tokens=(1, 1),
            gold=0,
            chosen=0 if right else 1,
            chosen_per_character=0 if (right if per_character is None else per_character) else 1,
            engine="direct",
            precision=precision,
        )
        return self._measured(event)

    def text(self, model: EvaluatedModel, of: Benchmark, id: str, *, loss: float, tokens: int) -> Written:
        """A held-out text with its whole negative log-likelihood."""
        event = QuestionMeasured(
            model=model,
            benchmark=of,
            question_id=id,
            group="",
            group_size=10,
            sample="",
            question="Say it.",
            prompt_sha256="e" * 64,
            choices=("a text",),
            loglikelihoods=(-loss,),
            tokens=(tokens,),
            gold=None,
            chosen=0,
            chosen_per_character=0,
            engine="direct",
            precision="fp32",
        )
        return self._measured(event)

    def answered(
        self,
        model: EvaluatedModel,
        prompt: str,
        text: str = "So it is.",
        *,
        outcome: str = "answered",
        conditions: Asked | None = None,
        references: tuple[str, ...] = (),
    ) -> Written:
        """An answer to a prompt."""
        under = asked() if conditions is None else conditions
        event = AnswerGiven(
            model=model,
            asked=under,
            prompt_id=prompt,
            group="generic",
            instruction=f"What about {prompt}?",
            input="",
            references=references,
            outcome=outcome,  # type: ignore[arg-type]
            text=text if outcome in ("answered", "cut") else "",
            reason="" if outcome == "answered" else outcome,
            answers=(),
            cost_usd=None,
        )
        id = ids.answer_id(model.key, under.key, prompt)
        return self.tell(event, id=id, key=id)

    def judged(self, judge: Judge, *shown: Written, scores: tuple[float, ...] | None) -> Written:
        """A judge's reading of one answer, or of two in this order."""
        answers = [entry.event for entry in shown]
        assert all(isinstance(answer, AnswerGiven) for answer in answers)
        least, most = (0.0, 1.0) if judge.rubric == "refusal" else (1.0, 10.0)
        event = AnswersJudged(
            judge=judge,
            scale=Scale(least=least, most=most, step=1.0),
            prompts="vicuna",
            prompt_id="p",
            group="",
            answer_ids=tuple(entry.id for entry in shown),
            models=tuple(answer.model.key for answer in answers if isinstance(answer, AnswerGiven)),
            scores=scores,
            reason="",
            answers=(),
            cost_usd=None,
        )
        id = ids.answers_judged_id(judge.name, event.answer_ids)
        return self.tell(event, id=id, key=id)

    def _measured(self, event: QuestionMeasured) -> Written:
        id = ids.measured_id(event.model.key, event.benchmark.key, event.question_id)
        return self.tell(event, id=id, key=id)


def whole_evaluation(run: str = "demo") -> EvaluationStory:
    """Everything that a report shows, of two models with a third one beside them in comparisons.

    MMLU          two subjects, of 10 and 30 questions, two measured of each; a sample
    ARC           both parts, the first model a question short
    HellaSwag     in a form of our own
    held-out      three texts
    answers       to two sets, one of them empty, one cut, one refused; a judge of refusals
    superni       two answers with a reference
    comparisons   of all three models, one reading unread
    """
    story = EvaluationStory(run)
    story.configure()
    for model, shift in ((BEFORE, 0), (AFTER, 1)):
        for subject, size in (("astronomy", 10), ("world_religions", 30)):
            for number in range(2):
                of = benchmark("mmlu", shots=5)
                right = number < shift + (subject == "astronomy")
                sample = "2 a subject, seed 0"
                story.measured(model, of, f"{subject}/{number}", right=right, group=subject, size=size, sample=sample)
        for name, size in (("arc_easy", 2376), ("arc_challenge", 1172)):
            for number in range(4):
                story.measured(model, benchmark(name), str(number), right=number <= shift, size=size, sample="4")
        joined = benchmark("hellaswag", form="joined context")
        story.measured(model, joined, "0", right=True, per_character=shift == 1, size=1)
        for number, loss in enumerate((20.0, 30.0, 10.0)):
            story.text(model, benchmark("held-out"), str(number), loss=loss - shift * number, tokens=10)
    _compared(story)
    for prompt, text in (("1", "A cat sat there."), ("2", "No idea.")):
        story.answered(AFTER, prompt, text, conditions=asked("superni"), references=("A cat sat.",))
    return story


def _compared(story: EvaluationStory) -> None:
    models = (BEFORE, AFTER, THIRD)
    for set_ in ("koala", "vicuna"):
        under = asked(set_)
        given = {
            (model.name, prompt): story.answered(
                model,
                f"p{prompt}",
                "I'm sorry, but I cannot help with that." if (model, prompt) == (THIRD, 0) else f"Answer {prompt}.",
                conditions=under,
                outcome={("before", 3): "empty", ("after", 2): "cut"}.get((model.name, prompt), "answered"),
            )
            for model in models
            for prompt in range(4)
        }
        for first, second in (("before", "after"), ("before", "third"), ("after", "third")):
            for prompt in range(4):
                one, two = given[first, prompt], given[second, prompt]
                if not (one.event.text and two.event.text):  # type: ignore[attr-defined]
                    continue
                unread = (first, prompt, set_) == ("after", 1, "vicuna")
                story.judged(PAIR, one, two, scores=None if unread else (6.0, 7.0 + prompt))
                story.judged(PAIR, two, one, scores=(8.0, 7.0) if prompt else (5.0, 7.0))
    refused = story.answered(THIRD, "p0", "I cannot help with that.", conditions=asked("vicuna", "Be safe."))
    helped = story.answered(THIRD, "p1", "Of course.", conditions=asked("vicuna", "Be safe."))
    story.judged(REFUSAL, refused, scores=(1.0,))
    story.judged(REFUSAL, helped, scores=None)


_TEXTS = {"name", "source", "form", "group", "sample", "engine", "precision", "prompts", "system", "text", "model"}


def with_texts(story: EvaluationStory, text: str) -> EvaluationStory:
    """The story with every text that people, models or data bring made longer by another one."""

    def longer(value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {name: longer(inner, name) for name, inner in value.items()}
            case str() if key in _TEXTS:
                return f"{value}{text}"
            case _:
                return value

    for place, entry in enumerate(story.written[1:], start=1):
        event = msgspec.convert(longer(msgspec.to_builtins(entry.event)), type(entry.event))
        story.written[place] = replace(entry, event=event)
    return story
