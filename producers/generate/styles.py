"""The ways a generation is made: what is asked, in how many calls, and how the answers are read.

`AlpacaStyle` asks once and reads whole tasks from the answer. `TwoStepStyle` asks for a list of instructions (step 0),
then for an answer to each (step 1 and on, all at once); it is what a small model can do.
`producers.generate.self_instruct` has a third. What is asked is built by `producers.prompts`; what is read, by
`streams.core.parse.answers`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from producers.backends.base import CallFailure, EndpointRefused, Request, Sampling, Transient
from producers.prompts.alpaca import TOTAL
from schemas.events import CallAnswered, Instruction, Unparsed
from schemas.seeds import SeedTask
from streams.core.kept_so_far import KeptText
from streams.core.parse.answers import AnswerForm, Parser, items_of, read

Ask = Callable[[int, Request], Awaitable[CallAnswered]]
Parameters = dict[str, str | int | float | bool | None]


@dataclass(frozen=True)
class StyleResult:
    """What came of a generation: every answer in the order asked, and what was read from them."""

    answers: tuple[CallAnswered, ...]
    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]
    cut: tuple[int, ...] = ()


class Style(Protocol):
    """How a generation is made. `parameters` go into its event; `candidates` instructions are asked for at most.

    A style that `shows_kept` shows instructions that the run has kept, beside the seeds.
    """

    @property
    def name(self) -> str: ...

    @property
    def parser(self) -> Parser: ...

    @property
    def candidates(self) -> int: ...

    @property
    def shows_kept(self) -> bool: ...

    def parameters(self) -> Parameters: ...

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = ()) -> StyleResult:
        """Make a generation. Raises what `ask` raises: Halted, or the CallFailure that it cannot do without."""
        ...


@dataclass(frozen=True)
class AlpacaStyle:
    """One call. `structured` when the request asks for JSON; `total` tasks are in the list, with the seeds."""

    build: Callable[[Sequence[SeedTask]], Request]
    parser: Parser
    structured: bool
    told: Parameters
    total: int = TOTAL
    name: str = "alpaca"
    shows_kept: bool = False

    @property
    def candidates(self) -> int:
        return self.total - 1  # at least one seed is shown

    def parameters(self) -> Parameters:
        return self.told

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = ()) -> StyleResult:
        form = AnswerForm(self.name, self.parser, shown=len(seeds), structured=self.structured)
        answer = await ask(0, self.build(seeds))
        return StyleResult((answer,), *read(form, {0: answer}))


@dataclass(frozen=True)
class TwoStepStyle:
    """A list call, then a call for each of its instructions, at most `most` of them.

    An instruction whose answer failed for good has an empty output. When every answer failed, the endpoint is at fault
    and not the instructions, so the failure is raised.
    """

    build_list: Callable[[Sequence[SeedTask]], Request]
    build_answer: Callable[[str], Request]
    most: int
    told: Parameters
    parser: Parser = "strict"
    name: str = "two-step"
    shows_kept: bool = False

    @property
    def candidates(self) -> int:
        return self.most

    def parameters(self) -> Parameters:
        return self.told

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = ()) -> StyleResult:
        form = AnswerForm(self.name, self.parser, shown=len(seeds), most=self.most)
        listed = await ask(0, self.build_list(seeds))
        items, _ = items_of(form, listed)
        asked = [ask(step, self.build_answer(item)) for step, item in enumerate(items, start=1)]
        # All of them end before anything is raised: each answer is paid for and goes on the ledger.
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        answers = {0: listed}
        answers |= {step: one for step, one in enumerate(outcomes, start=1) if isinstance(one, CallAnswered)}
        raise_unless_partial([one for one in outcomes if isinstance(one, BaseException)], len(answers) > 1)
        return StyleResult(tuple(answers.values()), *read(form, answers))


def raise_unless_partial(errors: Sequence[BaseException], some: bool) -> None:
    """Raise the error that a generation cannot be made with; `some`: a part of it has all its answers."""
    for error in errors:
        if not isinstance(error, CallFailure) or isinstance(error, EndpointRefused):
            raise error
    if not some:
        for error in errors:
            if isinstance(error, Transient):
                raise error


def sampling_parameters(sampling: Sampling, prefix: str = "") -> Parameters:
    """Sampling parameters as they go into an event."""
    return {prefix + name: value for name, value in sampling.given().items()}
