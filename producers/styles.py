"""The ways a generation is made: what is asked, in how many calls, and how the answers are read.

`Alpaca` asks once and reads whole tasks from the answer. `TwoStep` asks for a list of instructions (step 0), then for
an answer to each (step 1 and on, all at once); it is what a small model can do. `producers.self_instruct` has a third.
What is asked is built by `producers.prompts`; what is read, by `streams.core.parse`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from producers.backends.base import CallFailure, EndpointRefused, Request, Sampling, Transient
from producers.prompts.alpaca import TOTAL
from schemas.events import CallAnswered, Instruction, Unparsed
from schemas.seeds import SeedTask
from streams.core.kept_so_far import Kept
from streams.core.parse import parse_alpaca, parse_list, parse_structured

Ask = Callable[[int, Request], Awaitable[CallAnswered]]
Parameters = dict[str, str | int | float | bool | None]
Parser = Literal["strict", "faithful"]


@dataclass(frozen=True)
class Generated:
    """What came of a generation: every answer in the order asked, and what was read from them."""

    answers: tuple[CallAnswered, ...]
    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]


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

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[Kept] = ()) -> Generated:
        """Make a generation. Raises what `ask` raises: Halted, or the CallFailure that it cannot do without."""
        ...


@dataclass(frozen=True)
class Alpaca:
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

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[Kept] = ()) -> Generated:
        answer = await ask(0, self.build(seeds))
        cut = answer.finish_reason == "length"
        if self.structured:
            instructions, unparsed = parse_structured(answer.raw, cut=cut)
        else:
            instructions, unparsed = parse_alpaca(answer.raw, parser=self.parser, first_number=len(seeds) + 1, cut=cut)
        return Generated((answer,), instructions, unparsed)


@dataclass(frozen=True)
class TwoStep:
    """A list call, then a call for each of its instructions, at most `most` of them.

    An instruction whose answer failed for good is kept with an empty output, which the rule `empty_output` rejects with
    its reason. When every answer failed, the endpoint is at fault and not the instructions, so the failure is raised.
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

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[Kept] = ()) -> Generated:
        listed = await ask(0, self.build_list(seeds))
        items, unparsed = parse_list(listed.raw, first_number=len(seeds) + 1, cut=listed.finish_reason == "length")
        over = tuple(Unparsed(reason="over_the_limit", text=item) for item in items[self.most :])
        items = items[: self.most]
        asked = [ask(step, self.build_answer(item)) for step, item in enumerate(items, start=1)]
        # All of them end before anything is raised: each answer is paid for and goes on the ledger.
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        answers = [outcome for outcome in outcomes if isinstance(outcome, CallAnswered)]
        raise_unless_partial([one for one in outcomes if isinstance(one, BaseException)], bool(answers))
        instructions = [
            Instruction(instruction=item, output=outcome.raw.strip() if isinstance(outcome, CallAnswered) else "")
            for item, outcome in zip(items, outcomes, strict=True)
        ]
        return Generated((listed, *answers), tuple(instructions), unparsed + over)


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
