"""The styles `two-step` and `self-instruct`: a list of instructions first, then the answer to each.

Step 0 asks for the list. The steps after it are those of its instructions' answers (`streams.core.steps`), asked for
concurrently; a small model can do that. In a run that answers kept instructions alone there is only the list, and
`producers.answer` asks for the rest.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producers.backends.base import CallFailure, EndpointRefused, Request, Transient
from producers.generate.answer_styles import AnswerStyle, InstructionAnswers
from producers.generate.styles import UNSTEERED, Ask, Parameters, SteeredRequest, StyleResult
from schemas.seeds import SeedTask
from streams.core.kept_so_far import KeptText
from streams.core.parse.answers import AnswerForm, Parser, items_of, read
from streams.core.steps import steps_of


@dataclass(frozen=True)
class ListStyle:
    """A list call, then the answers to its instructions, at most `most` of them.

    build_list   the request for a list after these instructions, as it is steered
    answers      how each is answered; None: not in the generation

    An instruction whose requests failed for good has an empty output, and so has one whose answer cannot be read. If
    all failed, the fault is the endpoint's, and the failure is raised.
    """

    name: str
    build_list: Callable[[Sequence[str], SteeredRequest], Request]
    answers: AnswerStyle | None
    most: int
    parameters: Parameters
    parser: Parser = "strict"
    shows_kept: bool = False

    @property
    def candidates(self) -> int:
        return self.most

    async def generate(
        self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = (), steered: SteeredRequest = UNSTEERED
    ) -> StyleResult:
        shown = [seed.instruction for seed in seeds] + [row.instruction for row in kept]
        form = AnswerForm(self.name, self.parser, shown=len(shown), most=self.most)
        found = {0: await ask(0, self.build_list(shown, steered))}
        items, _ = items_of(form, found[0])
        if self.answers is not None:
            # All of them end before anything is raised: each answer is paid for and goes on the ledger.
            outcomes = await asyncio.gather(
                *(self._answer(self.answers, place, item, ask) for place, item in enumerate(items)),
                return_exceptions=True,
            )
            errors = [each for each in outcomes if isinstance(each, BaseException)]
            answered = [each for each in outcomes if isinstance(each, InstructionAnswers)]
            errors += [each.failure for each in answered if each.failure is not None]
            raise_unless_partial(errors, any(each.failure is None for each in answered))
            for place, each in enumerate(answered):
                found |= {steps_of(self.name, place)[step]: answer for step, answer in each.answers.items()}
        return StyleResult(tuple(found.values()), *read(form, found))

    async def _answer(self, style: AnswerStyle, place: int, item: str, ask: Ask) -> InstructionAnswers:
        steps = steps_of(self.name, place)
        return await style.answer(item, lambda step, request: ask(steps[step], request))


def raise_unless_partial(errors: Sequence[BaseException], some_complete: bool) -> None:
    """Raise the error that prevents a generation. Transient ones do not if `some_complete`: a part has its answers."""
    for error in errors:
        if not isinstance(error, CallFailure) or isinstance(error, EndpointRefused):
            raise error
    if not some_complete:
        for error in errors:
            if isinstance(error, Transient):
                raise error
