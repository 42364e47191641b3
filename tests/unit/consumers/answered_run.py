"""A run that answers kept instructions alone: lists of instructions, verdicts on them, answers to the kept ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from schemas import ids
from schemas.events import (
    CallAnswered,
    CallFailed,
    CallStarted,
    InstructionAnswered,
    InstructionKept,
    InstructionsGenerated,
    ReplaceSeeds,
    TrainingLogged,
    Unparsed,
)
from streams.core import feedback
from streams.core.answering import AnsweredRow, answered_rows, read_answer, usable_row
from streams.core.parse.answers import READING, AnswerForm, read
from tests.unit.consumers.recorded_run import (
    CHESS,
    LETTER,
    POEM,
    POLICY,
    RIVERS,
    RIVERS_AGAIN,
    SHORT,
    TREES,
    ToldRun,
    row_id,
)

KEPT_POLICY = msgspec.structs.replace(POLICY, answer="kept")
LISTED = {"list_api": "chat", "asked": 3, "most": 3, "safety": False, "list_temperature": 1.0, "list_max_tokens": 500}
ASKED = {"answer_api": "chat", "safety": False, "answer_temperature": 0.5, "answer_max_tokens": 200}


@dataclass
class AnsweredRun(ToldRun):
    """A told run in style two-step."""

    policy = KEPT_POLICY

    def listed(self, number: int, texts: Sequence[str], outputs: Mapping[int, str] | None = None) -> str:
        """A list call and the filter's verdict. `outputs` by place: those are asked for in the generation too."""
        id = ids.generation_id("main", number)
        seeds = self.pool.sample(self.policy.seeds_per_request, self.policy.rng_seed, "main", number)
        first = len(seeds) + 1
        raw = "\n".join(f"{place}. {text}" for place, text in enumerate(texts, first))
        answers = {0: self.call(id, "main", number, 0, raw)}
        for place, output in (outputs or {}).items():
            answers[1 + place] = self.call(id, "main", number, 1 + place, output)
        event = InstructionsGenerated(
            lane="main",
            number=number,
            style="two-step",
            parser="strict",
            backend="recorded",
            model="m-1",
            parameters=LISTED if outputs is None else LISTED | ASKED,
            seed_ids=tuple(seed.id for seed in seeds),
            seed_commands_offset=self.pool.commands_offset,
            answers=tuple(answers.values()),
            **read(AnswerForm("two-step", "strict", shown=len(seeds), most=3), answers)._asdict(),
            cost_usd=0.25 * len(answers),
            reading=READING,
        )
        self.tell(event, id=id, key=id)
        self.decision(id, event)
        return id

    def call(self, cause: str, lane: str, number: int, step: int, raw: str, end: str = "stop") -> CallAnswered:  # type: ignore[override]
        """A call and its answer on the ledger."""
        request = ids.request_id(cause, step)
        started = CallStarted(
            request_id=request,
            attempt=1,
            generation_id=cause,
            lane=lane,
            number=number,
            step=step,
            backend="recorded",
            model="m-1",
        )
        answer = CallAnswered(
            request_id=request,
            attempt=1,
            model="m-1",
            raw=raw,
            finish_reason=end,
            usage=None,
            cost_usd=0.25,
            latency_s=1.0,
        )
        self.tell(started, id=ids.child(request, "started/1"), key=request)
        self.tell(answer, id=ids.child(request, "answered/1"), key=request)
        return answer

    def answered(
        self, id: str, raw: str | None, end: str = "stop", *, kind: str | None = None, fits: bool = True
    ) -> InstructionAnswered:
        """The answer to a kept row.

        raw    None: the endpoint refuses
        kind   of a row in style self-instruct, whether it is a classification task
        fits   whether the event is no larger than a record may be
        """
        row, cause, number = self.kept[id], ids.answered_id(id), list(self.kept).index(id)
        lane, style = "answer/1-of-1", "two-step" if kind is None else "self-instruct"
        answers, failure = {}, None
        if kind is not None:
            answers[0] = self.call(cause, lane, number, 0, kind)
        if raw is None:
            request = ids.request_id(cause, len(answers))
            failed = CallFailed(request_id=request, attempt=1, error="400 flagged", status=400, retry=False)
            self.tell(failed, id=ids.child(request, "failed/1"), key=request)
            failure = Unparsed(reason="flagged", text="400 flagged")
        else:
            answers[len(answers)] = self.call(cause, lane, number, len(answers), raw, end)
        found = read_answer(self.policy, row, style, answers, failure)
        if not fits:
            answers, found = (
                {},
                AnsweredRow(row, (Unparsed(reason="too_large", text="It is on `calls`."),), "too_large"),
            )
        event = InstructionAnswered(
            row=found.row,
            style=style,
            backend="recorded",
            model="m-1",
            parameters=ASKED,
            answers=tuple(answers.values()),
            unparsed=found.unparsed,
            reason=found.reason,
            cost_usd=0.25 * len(answers),
            reading=READING,
        )
        self.tell(event, id=cause, key=id, partition=row.cluster)
        return event

    def command(self, window: TrainingLogged, key: str) -> ReplaceSeeds:
        events = (entry.event for _, entry in self.events(InstructionAnswered))
        answers: dict[str, InstructionKept] = {row.id: row for e in events if (row := usable_row(e)) is not None}
        state, kept = self.state, answered_rows(window, self.state.kept, answers)
        command = feedback.answer(
            self.policy, self.pool, state.scores, kept, window, self.windows, as_of_offset=state.applied
        )
        self.tell(command, id=ids.command_id(self.windows), key=key)
        self.pool.apply(command, self.commands)
        self.commands += 1
        return command


BREAD = "Explain step by step how sourdough bread is baked at home"
RIVERS_ID, POEM_ID, LETTER_ID = row_id(0, 0), row_id(0, 1), row_id(1, 2)
TREES_ID, CHESS_ID, BREAD_ID = row_id(2, 0), row_id(2, 1), row_id(2, 2)


def answered_run(run: str = "demo") -> AnsweredRun:
    """Rivers and letter are trained; of the poem the answer is cut off, of chess it is refused. Then trees and bread
    are trained, and the bread becomes a seed. The last row waits for its answer.
    """
    story = AnsweredRun(run, policy=KEPT_POLICY)
    story.listed(0, [RIVERS, POEM])
    story.listed(1, [RIVERS_AGAIN, SHORT, LETTER])
    story.answered(RIVERS_ID, "Elbe, Oder, Spree.")
    story.answered(POEM_ID, "Snow on", "length")
    story.answered(LETTER_ID, "Dear landlord, it is cold.")
    story.window([RIVERS_ID], [LETTER_ID])
    story.listed(2, [TREES, CHESS, BREAD])
    story.answered(TREES_ID, "Both drop their leaves.")
    story.answered(CHESS_ID, None)
    story.answered(BREAD_ID, "Mix, wait, fold, wait, bake.")
    story.window([TREES_ID], [BREAD_ID])
    story.listed(3, ["List five uses of an old bicycle tyre at home"])
    return story
