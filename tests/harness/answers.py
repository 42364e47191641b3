"""An answerer on a log in memory, as the filter and the audit see one: what it writes, and how the worker reads it."""

from collections.abc import Callable

from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, InstructionKept, Unparsed
from schemas.policy import Policy
from streams.core.answering import read_answer
from streams.core.parse.answers import READING
from streams.worker.releases import FailedAnswers
from tests.harness.memory_log import MemoryLog

STYLE = "two-step"
LISTED = {"list_api": "chat", "asked": 9, "most": 9, "safety": False, "list_temperature": 1.0, "list_max_tokens": 500}
_ASKED = {"answer_api": "chat", "safety": False, "answer_temperature": 0.5, "answer_max_tokens": 200}


class MemoryAnswerer:
    """Answers the kept rows of one log, in the order they were kept."""

    def __init__(self, policy: Policy, log: MemoryLog) -> None:
        self._policy = policy
        self._log = log
        self._done: set[str] = set()

    def answer(self, fails: tuple[bool, ...]) -> None:
        """Answer the rows without an answer; `fails`: whose is not used, in turn."""
        rows = [row for r in self._log.all_records("kept") if isinstance(row := r.event, InstructionKept)]
        for row in sorted(rows, key=lambda row: (row.generated_offset, row.place)):
            if row.id not in self._done:
                self._write(row, fails=fails[len(self._done) % len(fails)])
                self._done.add(row.id)

    def _write(self, row: InstructionKept, *, fails: bool) -> None:
        id, answers, failure = ids.answered_id(row.id), {}, None
        if fails:
            failure = Unparsed(reason="flagged", text="400 flagged")
        else:
            request = ids.request_id(id, 0)
            answers[0] = CallAnswered(
                request_id=request,
                attempt=1,
                model="none",
                raw="So it is.",
                finish_reason="stop",
                usage=None,
                cost_usd=None,
                latency_s=0.0,
            )
            self._log.write(answers[0], key=request, id=ids.child(request, "answered/1"))
        found = read_answer(self._policy, row, STYLE, answers, failure)
        event = InstructionAnswered(
            row=found.row,
            style=STYLE,
            backend="recorded",
            model="none",
            parameters=_ASKED,
            answers=tuple(answers.values()),
            unparsed=found.unparsed,
            reason=found.reason,
            cost_usd=None,
            reading=READING,
        )
        self._log.write(event, key=row.id, id=id, partition=row.cluster)


class MemoryFailedAnswers(FailedAnswers):
    """The worker's reader of `answered`, on a log in memory."""

    def __init__(self, log: MemoryLog, at: Callable[[str], None]) -> None:
        self.failed: dict[str, None] = {}
        self._answered: set[str] = set()
        self._log = log
        self._at = at

    async def read_on(self) -> None:
        self._at("before reading answered")
        for record in self._log.all_records("answered"):
            self.apply(record.event)
