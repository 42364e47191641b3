"""A run that answers kept instructions alone, told by hand."""

from dataclasses import dataclass

import msgspec

from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, InstructionKept, RunConfigured, Usage
from tests.unit.consumers.story import Story, Written


@dataclass
class AnsweredStory(Story):
    """A story whose rows get their outputs on `answered`."""

    @property
    def configured(self) -> RunConfigured:
        made = super().configured
        return msgspec.structs.replace(made, policy=msgspec.structs.replace(made.policy, answer="kept"))

    def kept_rows(self) -> list[InstructionKept]:
        return [entry.event for entry in self.written if isinstance(entry.event, InstructionKept)]

    def give_output(self, row: InstructionKept, reason: str | None = None, style: str = "two-step") -> Written:
        """The row's answer; `reason`: why it is not used."""
        id = ids.answered_id(row.id)
        answer = CallAnswered(
            request_id=ids.request_id(id, 0),
            attempt=1,
            model="answering",
            raw="...",
            finish_reason="stop",
            usage=Usage(prompt_tokens=10, completion_tokens=5),
            cost_usd=0.25,
            latency_s=1.0,
        )
        output = "" if reason == "empty_output" else f"Output of {row.instruction}"
        event = InstructionAnswered(
            row=msgspec.structs.replace(row, input="so", output=output),
            style=style,
            backend="recorded",
            model="answering",
            parameters={},
            answers=(answer,),
            unparsed=(),
            reason=reason,
            cost_usd=0.25,
        )
        return self.tell(event, id=id, key=row.id, partition=row.cluster)


def answered_run(run: str = "demo") -> AnsweredStory:
    """Five rows kept; of the cluster 0 all are answered, one of them twice and one not used; of cluster 1 the first."""
    story = AnsweredStory(run)
    story.configure()
    for number, verdict in enumerate(({0: 1, 1: 0, 2: 1}, {}, {0: 0, 2: 0})):
        story.generate(number)
        rejected = {place: "similar" for place in range(3) if place not in verdict}
        story.decide(number, number, verdict, rejected)
    rows = story.kept_rows()
    for cluster, answered in ((0, 3), (1, 1)):
        for place, row in enumerate([row for row in rows if row.cluster == cluster][:answered]):
            entry = story.give_output(row, "cut_output" if place == 1 else None)
            if place == 0:
                story.again(entry)
    return story
