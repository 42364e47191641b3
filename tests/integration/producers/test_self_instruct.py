"""Self-Instruct from end to end: recorded answers with faults, a real worker, and a replay of the whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.replay import audit
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import KafkaSource
from producers.backends.recorded import Faults, RecordedOptions
from producers.calls.caller import Retries
from producers.calls.limits import Limits
from producers.generate.generator import GenerateOptions, generate
from producers.generate.style_factory import StyleInUse
from schemas.events import CallAnswered, CallStarted, InstructionKept, InstructionsGenerated
from schemas.policy import policy_for
from tests.integration.producers.driver import Rig as Answers
from tests.integration.worker.driver import Rig, seeds

ASKED = 4
GENERATIONS = 8
NOUNS = (
    "harbour",
    "violin",
    "glacier",
    "bakery",
    "meadow",
    "compass",
    "lantern",
    "orchard",
    "kettle",
    "ladder",
    "garden",
    "engine",
    "pillow",
    "castle",
    "bridge",
    "carpet",
    "basket",
    "hammer",
    "mirror",
    "island",
    "candle",
    "tunnel",
    "blanket",
    "window",
)
TASKS = (
    "Describe a {} beside the {} and {}.",
    "Is a {} larger or smaller than {} with {}?",
    "Compare {} and {} to a {}.",
    "Draw a picture of one {} by {} and {}.",
)


def answers(number: int) -> list[str]:
    """A generation's answers: the list, and for each instruction yes or no and its instances."""
    nouns = NOUNS[3 * number : 3 * number + 3]
    raws = ["\n".join(f"{9 + n}. {task.format(*nouns)}" for n, task in enumerate(TASKS)).removeprefix("9.")]
    for task in TASKS:
        if task.startswith("Is"):
            raws += ["yes", f"Class label: larger\nInput: one {nouns[0]}\nClass label: smaller\nInput: two {nouns[1]}"]
        else:
            raws += ["no", f"Example 1\nOutput: Something of the {nouns[0]}.\nExample 2\nInput: one\nOutput: two"]
    return raws


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    settings = broker.settings.model_copy(update={"backend": "recorded"})
    policy = policy_for("self-instruct", seeds_per_request=8)
    rig = Rig(type(settings)(**settings.model_dump()), run, policy, tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


def test_a_run_of_self_instruct_stands_the_audit_with_what_it_showed_and_what_it_kept(rig: Rig, tmp_path: Path) -> None:
    file = Answers(rig.settings, rig.run, tmp_path).file([raw for n in range(GENERATIONS) for raw in answers(n)])
    each = 1 + 2 * ASKED
    rig.start_worker()
    options = GenerateOptions(
        run=rig.run,
        style=StyleInUse(style="self-instruct", asked=ASKED),
        recorded=RecordedOptions(file, per_generation=each, faults=Faults(server_error=0.1, seed=3)),
        limits=Limits(max_generations=GENERATIONS, max_filter_lag=0),
        retries=Retries(first_pause_s=0.0, longest_pause_s=0.0),
    )
    summary = generate(options, rig.settings)
    rig.wait_decided(GENERATIONS - 1)

    records = rig.records("generated", "calls", "kept")
    generations = [r.event for r in records if isinstance(r.event, InstructionsGenerated)]
    kept = {r.event.id: r.event for r in records if isinstance(r.event, InstructionKept)}
    assert (summary.generations, summary.instructions) == (GENERATIONS, GENERATIONS * ASKED)
    assert summary.calls > GENERATIONS * each, "some attempts fail"
    assert sum(isinstance(r.event, CallAnswered) for r in records) == GENERATIONS * each
    assert all(len(generation.answers) == each for generation in generations)
    assert generations[0].kept_shown is not None
    assert generations[0].kept_shown.ids == ()
    for number, generation in enumerate(generations):
        shown = generation.kept_shown
        assert shown is not None
        assert shown.as_of == number - 1, "it waits for the filter"
        assert len(shown.ids) == min(2, sum(row.generated_offset < number for row in kept.values()))
        assert all(kept[id].generated_offset < number for id in shown.ids)
        assert len(set(generation.seed_ids)) + len(shown.ids) == 8
        assert {seed.id for seed in seeds()}.issuperset(generation.seed_ids)
    starts = [r.event for r in records if isinstance(r.event, CallStarted)]
    assert all(start.kept_shown == generations[start.number].kept_shown for start in starts)
    labels = {row.output for row in kept.values() if row.instruction.startswith("Is")}
    assert labels == {"larger", "smaller"}
    assert len(kept) == GENERATIONS * (ASKED - 1), "all but the pictures"

    found = audit(KafkaSource(rig.settings, rig.run))
    assert found.divergences == 0, found.found
    assert found.checked["answers"] == GENERATIONS * each
