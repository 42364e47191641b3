"""A log of models' answers and of judges' readings of them, as an evaluation writes it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas import ids
from schemas.evaluation import AnswerGiven, AnswerOutcome, AnswersJudged, Asked, EvaluatedModel
from schemas.events import Judge, Scale
from streams.core.evaluation.outcomes import BothOrders, Scores
from tests.unit.consumers.recorded_run import MemorySource, source_of
from tests.unit.consumers.story import Story, Written

JUDGE = Judge(backend="openai", model="big", rubric="pair", version=1)
STRICT = Judge(backend="openai", model="strict", rubric="pair", version=1)
SCALE = Scale(least=1.0, most=10.0, step=0.5)


def model(name: str) -> EvaluatedModel:
    return EvaluatedModel(name=name, kind="folder", source=name, sha256=hashlib.sha256(name.encode()).hexdigest())


def key(name: str) -> str:
    return model(name).key


@dataclass
class Contest(Story):
    """Answers and judgements, in the order they are written."""

    answer_ids: dict[tuple[str, str, str, str], str] = field(default_factory=dict)

    def answered(
        self,
        name: str,
        prompt: str,
        text: str = "an answer",
        *,
        of: str = "vicuna",
        system: str = "",
        outcome: AnswerOutcome = "answered",
    ) -> Written:
        asked = Asked(prompts=of, sha256=hashlib.sha256(of.encode()).hexdigest(), system=system, template="alpaca")
        event = AnswerGiven(
            model=model(name),
            asked=asked,
            prompt_id=prompt,
            group="",
            instruction=f"Do {prompt}",
            input="",
            references=(),
            outcome=outcome,
            text=text if outcome in ("answered", "cut") else "",
            reason="",
            answers=(),
            cost_usd=None,
        )
        id = ids.answer_id(key(name), asked.key, prompt)
        self.answer_ids[name, of, prompt, system] = id
        return self.tell(event, id=id, key=id)

    def judged(
        self,
        names: tuple[str, str],
        prompt: str,
        scores: Scores | None,
        *,
        of: str = "vicuna",
        judge: Judge = JUDGE,
        systems: tuple[str, str] = ("", ""),
    ) -> Written:
        """One reading; scores are in the order of the names, which is the order shown."""
        shown = tuple(self.answer_ids[name, of, prompt, system] for name, system in zip(names, systems, strict=True))
        event = AnswersJudged(
            judge=judge,
            scale=SCALE,
            prompts=of,
            prompt_id=prompt,
            group="",
            answer_ids=shown,
            models=tuple(map(key, names)),
            scores=scores,
            reason="",
            answers=(),
            cost_usd=None,
        )
        id = ids.answers_judged_id(judge.name, shown)
        return self.tell(event, id=id, key=id)

    def compared(
        self, first: str, second: str, orders: Mapping[str, BothOrders], *, of: str = "vicuna", judge: Judge = JUDGE
    ) -> None:
        """Both readings of each prompt that were made; None of an order: it could not be read."""
        for prompt, both in orders.items():
            self.judged((first, second), prompt, both.forward, of=of, judge=judge)
            self.judged((second, first), prompt, both.backward, of=of, judge=judge)

    @property
    def source(self) -> MemorySource:
        return source_of(self)


def contest(names: Sequence[str], prompts: int, of: str = "vicuna") -> Contest:
    """Each model has answered every prompt, `p0` and so on."""
    story = Contest()
    for name in names:
        for number in range(prompts):
            story.answered(name, f"p{number}", "x" * (10 * number + len(name)), of=of)
    return story


WON = BothOrders((8, 5), (5, 8))
LOST = BothOrders((5, 8), (8, 5))
SPLIT = BothOrders((8, 5), (8, 5))
EQUAL_ONCE = BothOrders((8, 5), (7, 7))
