"""The `self-instruct` style: instructions, then for each whether it is a classification task, then its instances.

Step 0 asks for a list of instructions. For the k-th of them (from 0), step 1 + 2k asks whether it is a classification
task, and step 2 + 2k asks for instances, input first or output first (`streams.core.steps`). The instructions are
handled concurrently. `producers.prompts.self_instruct` builds the requests, `streams.core.parse.answers` parses the
answers.

One instance of each instruction is used (docs/decisions/self-instruct.md); the others are recorded as unparsed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producers.backends.base import CallFailure, Request
from producers.generate.styles import Ask, Parameters, StyleResult, raise_unless_partial
from schemas.events import CallAnswered
from schemas.seeds import SeedTask
from streams.core.kept_so_far import KeptText
from streams.core.parse.answers import AnswerForm, Parser, items_of, read, says_yes
from streams.core.steps import steps_of


@dataclass(frozen=True)
class _Task:
    """The answers about one instruction, by step; `failure` if a call that it needs failed for good."""

    answers: dict[int, CallAnswered]
    failure: CallFailure | None = None


@dataclass(frozen=True)
class SelfInstructStyle:
    """One list call, then two calls for each of its instructions, at most `most` of them.

    An instruction whose calls failed for good, or whose answer has no readable instance, has an empty output. An answer
    that is neither yes nor no counts as no. If all instructions failed, the fault is the endpoint's, and the failure is
    raised.
    """

    build_bootstrap: Callable[[Sequence[str]], Request]
    build_classification: Callable[[str], Request]
    build_instance: Callable[[str, bool], Request]
    most: int
    parameters: Parameters
    parser: Parser = "strict"
    name: str = "self-instruct"
    shows_kept: bool = True

    @property
    def candidates(self) -> int:
        return self.most

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = ()) -> StyleResult:
        shown = [seed.instruction for seed in seeds] + [row.instruction for row in kept]
        form = AnswerForm(self.name, self.parser, shown=len(shown), most=self.most)
        listed = await ask(0, self.build_bootstrap(shown))
        items, _ = items_of(form, listed)
        # All of them end before anything is raised: each answer is paid for and goes on the ledger.
        outcomes = await asyncio.gather(
            *(self._task(place, item, ask) for place, item in enumerate(items)), return_exceptions=True
        )
        tasks = [outcome for outcome in outcomes if isinstance(outcome, _Task)]
        failures = [each for each in outcomes if isinstance(each, BaseException)]
        failures += [task.failure for task in tasks if task.failure is not None]
        raise_unless_partial(failures, any(task.failure is None for task in tasks))
        answers = {0: listed}
        for task in tasks:
            answers |= task.answers
        return StyleResult(tuple(answers.values()), *read(form, answers))

    async def _task(self, place: int, item: str, ask: Ask) -> _Task:
        answers: dict[int, CallAnswered] = {}
        classification, instances = steps_of(self.name, place)
        try:
            kind = answers[classification] = await ask(classification, self.build_classification(item))
            is_classification = says_yes(kind) is True
            answers[instances] = await ask(instances, self.build_instance(item, is_classification))
        except CallFailure as failure:
            return _Task(answers, failure)
        return _Task(answers)
