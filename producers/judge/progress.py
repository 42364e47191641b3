"""What a judge knows of its run, kept up to date from the log: the ledger, and which rows it has judged.

A judge that was killed and starts again knows what it knew before: which rows are judged, which calls of the others
were answered (and are not paid again), and their numbers in its lane of the ledger.

All of `judged` and `calls` is read at every start; `judged` first, so that only calls of rows not judged are held in
memory.
"""

from dataclasses import dataclass, field

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.events import CallAnswered, CallFailed, CallStarted, InstructionJudged, RunConfigured


@dataclass
class JudgeProgress(LaneProgress):
    """The state of the fold. A judge's lane writes no generations; its calls are held by judgement.

    judge   the judge's name
    done    ids of the judgements on the log
    """

    judge: str = ""
    done: set[str] = field(default_factory=set)
    _calls: dict[str, set[str]] = field(default_factory=dict)  # request ids, by judgement
    _requests: dict[str, int] = field(default_factory=dict)  # the last attempt, by request id

    def apply(self, record: Record) -> None:
        """Apply one record. Records must come in log order within each topic; repeats have no effect."""
        match record.event:
            case CallStarted() | CallAnswered() | CallFailed() as event if self.ledger.apply(event, record.id):
                self._take(event)
            case InstructionJudged() as event if event.judge.name == self.judge:
                self.done.add(record.id)
                for request_id in self._calls.pop(record.id, ()):
                    self._requests.pop(request_id, None)
                    self.answers.pop(request_id, None)
            case _:
                pass

    def next_attempt(self, request_id: str) -> int:
        return self._requests.get(request_id, 0) + 1

    def attempts(self) -> dict[str, int]:
        return dict(self._requests)

    def number_of(self, judgement_id: str) -> int | None:
        """The number that a judgement was begun with, if the ledger still has it."""
        state = self.ledger.requests.get(ids.request_id(judgement_id, 0))
        return None if state is None or not state.lane else state.number

    @property
    def next_free(self) -> int:
        """The number after the lane's newest."""
        lane = self.ledger.lanes.get(self.lane)
        return 0 if lane is None else lane.newest + 1

    def unfinished(self) -> int:
        """Judgements that were begun and are not on the log."""
        return len(self._calls)

    def _take(self, event: CallStarted | CallAnswered | CallFailed) -> None:
        match event:
            case CallStarted() if event.lane == self.lane and event.generation_id not in self.done:
                self._calls.setdefault(event.generation_id, set()).add(event.request_id)
                self._requests[event.request_id] = max(event.attempt, self._requests.get(event.request_id, 0))
            case CallAnswered() if event.request_id in self._requests:
                self.answers.setdefault(event.request_id, event)
            case _:
                pass


class JudgeReader:
    """Keeps a `JudgeProgress` up to date; one thread at a time."""

    def __init__(self, settings: Settings, configured: RunConfigured, lane: str, judge: str) -> None:
        self.progress = JudgeProgress(lane, configured, judge=judge)
        run = configured.run
        self._readers = [LogReader(settings, run, [topic], f"judge-{topic}") for topic in ("judged", "calls")]
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    def refresh(self) -> JudgeProgress:
        """Apply everything that is on the log now."""
        for reader in self._readers:
            for record in reader.read_to_end():
                self.progress.apply(record)
        return self.progress

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
