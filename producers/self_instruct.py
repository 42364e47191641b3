"""The `self-instruct` style: instructions, then for each whether it is a classification task, then its instances.

Step 0 asks for a list of instructions; of the k-th of them (from 0), step 1 + 2k asks whether it is a classification
task and step 2 + 2k for instances, input first or output first (`streams.core.steps`). The instructions are gone
through all at once. What is asked is built by `producers.prompts.self_instruct`; what is read, by
`streams.core.parse_self_instruct`.

One instance of an instruction goes on the log as the instruction's (docs/decisions/self-instruct.md); the others go on
record as unparsed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producers.backends.base import CallFailure, Request
from producers.styles import Ask, Generated, Parameters, Parser, raise_unless_partial
from schemas.events import CallAnswered, Instruction, Unparsed
from schemas.seeds import SeedTask
from streams.core.kept_so_far import Kept
from streams.core.parse_self_instruct import (
    Instance,
    chosen,
    further,
    parse_bootstrap,
    parse_input_first,
    parse_is_classification,
    parse_output_first,
)
from streams.core.steps import steps_of


@dataclass(frozen=True)
class _Task:
    """What came of one instruction; `failure` when an answer that it needs failed for good."""

    answers: tuple[CallAnswered, ...]
    instruction: Instruction
    unparsed: tuple[Unparsed, ...] = ()
    failure: CallFailure | None = None


@dataclass(frozen=True)
class SelfInstruct:
    """One list call, then two calls for each of its instructions, at most `most` of them.

    An instruction whose answers failed for good, or of whose answer no instance could be read, is kept with an empty
    output, which the rule `empty_output` rejects with its reason. An answer that is neither yes nor no counts as no.
    When every instruction failed, the endpoint is at fault and not the instructions, so the failure is raised.
    """

    build_bootstrap: Callable[[Sequence[str]], Request]
    build_classification: Callable[[str], Request]
    build_instance: Callable[[str, bool], Request]
    most: int
    told: Parameters
    parser: Parser = "strict"
    name: str = "self-instruct"
    shows_kept: bool = True

    @property
    def candidates(self) -> int:
        return self.most

    def parameters(self) -> Parameters:
        return self.told

    async def generate(self, seeds: Sequence[SeedTask], ask: Ask, kept: Sequence[Kept] = ()) -> Generated:
        shown = [seed.instruction for seed in seeds] + [one.instruction for one in kept]
        listed = await ask(0, self.build_bootstrap(shown))
        items, unparsed = parse_bootstrap(
            listed.raw, parser=self.parser, first_number=len(shown) + 1, cut=listed.finish_reason == "length"
        )
        over = tuple(Unparsed(reason="over_the_limit", text=item) for item in items[self.most :])
        # All of them end before anything is raised: each answer is paid for and goes on the ledger.
        outcomes = await asyncio.gather(
            *(self._task(place, item, ask) for place, item in enumerate(items[: self.most])), return_exceptions=True
        )
        tasks = [outcome for outcome in outcomes if isinstance(outcome, _Task)]
        failures = [one for one in outcomes if isinstance(one, BaseException)]
        failures += [task.failure for task in tasks if task.failure is not None]
        raise_unless_partial(failures, any(task.failure is None for task in tasks))
        return Generated(
            answers=(listed, *(answer for task in tasks for answer in task.answers)),
            instructions=tuple(task.instruction for task in tasks),
            unparsed=(*unparsed, *over, *(part for task in tasks for part in task.unparsed)),
        )

    async def _task(self, place: int, item: str, ask: Ask) -> _Task:
        answers: tuple[CallAnswered, ...] = ()
        unparsed: tuple[Unparsed, ...] = ()
        classification, instances_of = steps_of(self.name, place)
        try:
            kind = await ask(classification, self.build_classification(item))
            answers += (kind,)
            is_classification = parse_is_classification(kind.raw)
            if is_classification is None and kind.raw.strip():
                unparsed += (Unparsed(reason="neither_yes_nor_no", text=kind.raw.strip()),)
            made = await ask(instances_of, self.build_instance(item, is_classification is True))
            answers += (made,)
        except CallFailure as failure:
            return _Task(answers, Instruction(instruction=item), unparsed, failure)
        read = parse_output_first if is_classification else parse_input_first
        instances, left = read(made.raw, cut=made.finish_reason == "length")
        taken = chosen(instances, item, is_classification is True)
        one = Instance("", "") if taken is None else instances[taken]
        instruction = Instruction(instruction=item, input=one.input, output=one.output)
        return _Task(answers, instruction, (*unparsed, *left, *further(instances, taken)))
