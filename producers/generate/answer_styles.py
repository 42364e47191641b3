"""How one instruction is answered, in requests of its own: in a generation, or once the instruction is kept.

`DirectAnswer` makes one request. `InstanceAnswer` makes two, as Self-Instruct: whether the instruction is a
classification task, then instances, input first or output first. One instance is used
(docs/decisions/self-instruct.md); the others are recorded as unparsed. `producers.prompts` builds the requests and
`streams.core.parse.answers` parses the answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from producers.backends.base import CallFailure, Request
from producers.generate.styles import Ask, Parameters
from schemas.events import CallAnswered
from streams.core.parse.answers import says_yes


@dataclass
class InstructionAnswers:
    """The answers about one instruction, by step; `failure` if a request that it needs failed for good."""

    answers: dict[int, CallAnswered] = field(default_factory=dict)
    failure: CallFailure | None = None


class AnswerStyle(Protocol):
    """Asks about one instruction, in steps 0, 1, ... `name`: of the style that its answers are parsed in."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Parameters: ...

    async def answer(self, instruction: str, ask: Ask) -> InstructionAnswers:
        """The answers. Raises what `ask` raises, but no CallFailure."""
        ...


@dataclass(frozen=True)
class DirectAnswer:
    """The answer is the output. An instruction whose request failed for good has an empty one."""

    build: Callable[[str], Request]
    parameters: Parameters
    name: str = "two-step"

    async def answer(self, instruction: str, ask: Ask) -> InstructionAnswers:
        try:
            return InstructionAnswers({0: await ask(0, self.build(instruction))})
        except CallFailure as failure:
            return InstructionAnswers(failure=failure)


@dataclass(frozen=True)
class InstanceAnswer:
    """Whether it is a classification task, then instances. An answer that is neither yes nor no counts as no."""

    build_classification: Callable[[str], Request]
    build_instance: Callable[[str, bool], Request]
    parameters: Parameters
    name: str = "self-instruct"

    async def answer(self, instruction: str, ask: Ask) -> InstructionAnswers:
        found = InstructionAnswers()
        try:
            kind = found.answers[0] = await ask(0, self.build_classification(instruction))
            found.answers[1] = await ask(1, self.build_instance(instruction, says_yes(kind) is True))
        except CallFailure as failure:
            found.failure = failure
        return found
