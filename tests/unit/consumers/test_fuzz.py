"""Whatever lies on a log, reading it raises nothing, and what cannot be read is told apart from what can."""

from hypothesis import HealthCheck, given, settings

from consumers.folds.run_fold import RunFold
from consumers.report import report_of
from infra.log.dead_letters import DeadLetter, dead_letter_headers, parse
from infra.log.record import Record
from producers.generate.progress import LaneProgress
from schemas.envelope import decode
from schemas.errors import SchemaError
from schemas.events import InstructionsGenerated, ReplaceSeeds, RunConfigured, TrainingLogged
from schemas.policy import policy_for
from schemas.registry import spec_of
from schemas.seeds import SeedTask
from streams.core import decider
from streams.core.feedback import answer
from streams.core.seeds import SeedPool
from tests.unit.consumers.fuzzed import Fuzzed, fuzzed

SEEDS = tuple(SeedTask(id=f"s{n}", instruction=f"Say {n} things about the number {n}", output="x") for n in range(8))
CONFIGURED = RunConfigured(run="demo", policy=policy_for(batch_size=2), seeds=SEEDS, versions={})


class Everybody:
    """All that reads a run's log, fed with one record after the other."""

    def __init__(self) -> None:
        self.fold = RunFold(CONFIGURED)
        self.progress = LaneProgress("main", CONFIGURED)
        self.pool = SeedPool.of(SEEDS)
        first = decider.first_classifier(CONFIGURED.policy, SEEDS)
        self.state = decider.use_classifier(decider.initial_state(CONFIGURED), first)
        self.ends: dict[tuple[str, int], int] = {}

    def read(self, found: Fuzzed) -> Record:
        place = found.topic, found.partition
        offset = self.ends[place] = self.ends.get(place, -1) + 1
        record = found.record(offset)
        self.fold.apply(record)
        self.progress.apply(record)
        match record.event:
            case InstructionsGenerated() as event:
                verdict = decider.decide(self.state, self.state.applied + 1, record.id, event)
                decider.apply(self.state, verdict.decision)
            case ReplaceSeeds() as command:
                self.pool.apply(command, offset)
            case TrainingLogged() as window:
                state = self.state
                answer(CONFIGURED.policy, self.pool, state.scores, state.kept, window, offset, state.applied)
            case _:
                pass
        return record


EVERYBODY = Everybody()


@settings(max_examples=5000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(fuzzed())
def test_no_reader_ever_raises_and_what_is_read_stands_where_it_belongs(found: Fuzzed) -> None:
    """One log of all examples: a record that is readable by chance stays in everybody's state."""
    record = EVERYBODY.read(found)
    try:
        decoded = decode(found.key, found.value, found.headers)  # type: ignore[arg-type]
    except SchemaError as error:
        assert str(record.error) == str(error)
    else:
        belongs = spec_of(type(decoded.event)).topic == found.topic
        assert record.error is not None or belongs

    if record.error is not None:
        added = dead_letter_headers(record.topic, record.partition, record.offset, str(record.error))
        letter = Record(f"{record.topic}.dlq", 0, 7, 1, record.key, record.value, (*record.headers, *added))
        said = parse(letter)
        assert isinstance(said, DeadLetter)
        assert (said.topic, said.origin) == (record.topic, (record.partition, record.offset))


def test_the_report_of_all_that_can_be_made() -> None:
    report_of(EVERYBODY.fold, seeds=True)
    EVERYBODY.progress.seeds_of(0)
