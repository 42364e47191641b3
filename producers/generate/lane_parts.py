"""What a lane consists of: its options, the services it works with, and its state."""

from collections.abc import Callable
from dataclasses import dataclass, field

from producers.backends.base import Backend
from producers.calls.caller import Caller
from producers.calls.limits import Limits
from producers.calls.refusals import Refusals
from producers.generate.answer_backlog import AnswerBacklogReader
from producers.generate.backpressure import Backpressure
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import Stalled, StallGuard
from producers.generate.subjects import Subjects
from producers.generate.trainer_backlog import TrainerBacklogReader
from schemas.events import InstructionsGenerated

OnGeneration = Callable[[InstructionsGenerated], None]


@dataclass(frozen=True)
class LaneOptions:
    """The configuration. `concurrency`: generations in progress at once; None: twice the calls in flight."""

    run: str
    name: str
    concurrency: int | None
    limits: Limits
    guard: StallGuard


@dataclass(frozen=True, kw_only=True)
class LaneServices:
    """The collaborators.

    subjects  what its generations are about
    backlog   counts the rows ahead of training; needed where `limits.max_ahead` is set
    unanswered   counts the kept rows without an answer; needed where `limits.max_unanswered` is set
    """

    subjects: Subjects
    reader: ProgressReader
    caller: Caller
    backend: Backend
    backpressure: Backpressure
    backlog: TrainerBacklogReader | None = None
    unanswered: AnswerBacklogReader | None = None
    on_generation: OnGeneration | None = None


@dataclass
class GeneratorState:
    """What changes while the lane works.

    resumed_end   the number after those that an earlier process had begun. They may need no further call, so they are
                  begun whatever was spent; and before others, so that a raised budget goes to them first
    ready         generations that wait for those before them, each with the id of the event that caused it
    refusals      refused requests in a row, whose generations are written empty
    stalled       what the stall guard halted the lane for
    cancelled     whether a second signal cancelled the calls in flight
    """

    next_to_begin: int
    next_to_write: int
    resumed_end: int
    ready: dict[int, tuple[InstructionsGenerated, str]] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    writing: bool = False
    written: int = 0
    instructions: int = 0
    stalled: Stalled | None = None
    cancelled: bool = False
    error: BaseException | None = None
