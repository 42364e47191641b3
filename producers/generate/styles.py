"""Prompt styles: which requests make a generation, in how many calls, and how the answers are parsed.

`AlpacaStyle` makes one call and parses whole tasks from its answer. `producers.generate.list_style` has the styles that
ask for a list of instructions first. `producers.prompts` builds the requests and `streams.core.parse.answers` parses
the answers.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from producers.backends.base import Request, RequestRefused, Sampling
from producers.prompts.alpaca import TOTAL
from schemas.events import CallAnswered, Instruction, Unparsed
from schemas.seeds import SeedTask
from schemas.segments import SegmentScores
from streams.core.kept_so_far import KeptText
from streams.core.parse.answers import AnswerForm, Parser, read

Ask = Callable[[int, Request], Awaitable[CallAnswered]]
Parameters = dict[str, str | int | float | bool | None]


@dataclass(frozen=True)
class StyleResult:
    """The result of a generation: every answer in the order asked, and what was parsed from them.

    parameters   of this generation, beside those of its style
    refusal      of a request that the generation is made without; too many of them in a row end the lane
    """

    answers: tuple[CallAnswered, ...]
    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]
    cut: tuple[int, ...] = ()
    scores: SegmentScores | None = None
    parameters: Parameters = field(default_factory=dict)
    refusal: RequestRefused | None = None


@dataclass(frozen=True)
class SteeredRequest:
    """What of a request follows what was kept before it. None: the style's own.

    hints   kept instructions that the prompt asks the LLM not to repeat
    """

    temperature: float | None = None
    list_length: int | None = None
    hints: tuple[str, ...] = ()


UNSTEERED = SteeredRequest()


class Style(Protocol):
    """What a generation says of how it was made.

    parameters   go into its event
    candidates   the most instructions it asks for
    """

    @property
    def name(self) -> str: ...

    @property
    def parser(self) -> Parser: ...

    @property
    def candidates(self) -> int: ...

    @property
    def parameters(self) -> Parameters: ...


class SeedStyle(Style, Protocol):
    """How a generation is made from seeds.

    shows_kept   whether prompts show instructions that the run has kept, beside the seeds
    """

    @property
    def shows_kept(self) -> bool: ...

    async def generate(
        self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = (), steered: SteeredRequest = UNSTEERED
    ) -> StyleResult:
        """Make a generation. Raises CallsHalted, or the CallFailure of a call that it cannot do without."""
        ...


@dataclass(frozen=True)
class AlpacaStyle:
    """One call. `structured`: it asks for JSON. `total`: tasks in the list, the seeds among them.

    build   the request for tasks after these, and unlike the hints
    """

    build: Callable[[Sequence[SeedTask], tuple[str, ...]], Request]
    parser: Parser
    structured: bool
    parameters: Parameters
    total: int = TOTAL
    name: str = "alpaca"
    shows_kept: bool = False

    @property
    def candidates(self) -> int:
        return self.total - 1  # at least one seed is shown

    async def generate(
        self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[KeptText] = (), steered: SteeredRequest = UNSTEERED
    ) -> StyleResult:
        form = AnswerForm(self.name, self.parser, shown=len(seeds), structured=self.structured)
        answer = await ask(0, self.build(seeds, steered.hints))
        return StyleResult((answer,), *read(form, {0: answer}))


def sampling_parameters(sampling: Sampling, prefix: str = "") -> Parameters:
    """Sampling parameters as they go into an event."""
    return {prefix + name: value for name, value in sampling.given().items()}
