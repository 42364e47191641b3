"""Every fact that `explain` tells is the log's."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest

from consumers.explain.schema.explanation import Explanation
from consumers.explain.schema.instruction import InstructionStory
from consumers.explain.schema.seed import SeedReplacement, SeedStory
from consumers.explain.story import explain
from infra.log.record import Record
from schemas import ids
from schemas.errors import RunError
from schemas.events import (
    CallFailed,
    ClassifierFitted,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    ReplaceSeeds,
)
from tests.unit.consumers.recorded_run import (
    LETTER,
    POEM,
    RIVERS,
    RIVERS_AGAIN,
    SEEDS,
    MemoryReading,
    MemorySource,
    ToldRun,
    row_id,
    source_of,
    whole_run,
)
from tests.unit.consumers.story import Written

RIVERS_ID, AGAIN_ID, SHORT_ID, LETTER_ID = row_id(0, 0), row_id(1, 0), row_id(1, 1), row_id(1, 2)
TREES_ID, CHESS_ID, POEM_ID = row_id(2, 0), row_id(3, 1), row_id(0, 1)


@pytest.fixture
def story() -> ToldRun:
    return whole_run()


def told(story: ToldRun, id: str) -> Explanation:
    return explain(source_of(story), id)


def instruction(story: ToldRun, id: str) -> InstructionStory:
    found = told(story, id).instruction
    assert found is not None
    return found


def seed(story: ToldRun, id: str) -> SeedStory:
    found = told(story, id).seed
    assert found is not None
    return found


# -- where it came from --------------------------------------------------------------------------------------------


def test_an_instruction_tells_the_seeds_it_was_generated_from_and_since_when_they_were_in_the_pool(
    story: ToldRun,
) -> None:
    first, later = instruction(story, RIVERS_ID).generation, instruction(story, CHESS_ID).generation

    assert [seed.id for seed in first.seeds] == ["seed_task_1", "seed_task_0"]
    assert [(s.instruction, s.since) for s in first.seeds] == [
        (SEEDS[1].instruction, None),
        (SEEDS[0].instruction, None),
    ]
    rivers, french = later.seeds
    assert (rivers.id, rivers.instruction, french.since) == (RIVERS_ID, RIVERS, None)
    assert rivers.since is not None
    assert (rivers.since.topic, rivers.since.offset) == ("seed-commands", 1)
    assert (first.seed_commands_offset, later.seed_commands_offset) == (-1, 1)


def test_it_is_told_whether_the_seeds_are_those_that_the_pool_gives(story: ToldRun) -> None:
    assert instruction(story, CHESS_ID).generation.sampled_as_told

    story.change(InstructionsGenerated, 3, seed_ids=("seed_task_1", "seed_task_2"))

    assert not instruction(story, CHESS_ID).generation.sampled_as_told


def test_a_seed_that_the_run_does_not_know_has_no_text(story: ToldRun) -> None:
    story.change(InstructionsGenerated, 0, seed_ids=("seed_task_1", "stranger"))

    assert instruction(story, RIVERS_ID).generation.seeds[1].instruction is None


def test_the_request_is_told_with_every_attempt(story: ToldRun) -> None:
    generation = instruction(story, LETTER_ID).generation
    (request,) = generation.requests
    failed, answered = request.attempts

    assert (generation.lane, generation.number, generation.style, generation.backend) == (
        "main",
        1,
        "alpaca",
        "recorded",
    )
    assert (generation.model, generation.cost_usd, generation.parameters["api"]) == ("m-1", 0.002, "chat")
    assert (request.request_id, request.step) == (ids.request_id(ids.generation_id("main", 1), 0), 0)
    assert (failed.attempt, failed.outcome, failed.error, failed.status) == (1, "failed", "429 slow down", 429)
    assert (answered.attempt, answered.outcome, answered.latency_s, answered.cost_usd) == (2, "answered", 2.5, 0.002)
    assert answered.usage is not None
    assert (answered.usage.prompt_tokens, answered.usage.completion_tokens) == (501, 61)
    assert answered.started is not None
    assert answered.ended is not None
    assert answered.started.offset < answered.ended.offset


def test_an_attempt_without_an_outcome_says_so(story: ToldRun) -> None:
    place, _ = next(iter(story.events(CallFailed)))
    del story.written[place]

    lost = instruction(story, LETTER_ID).generation.requests[0].attempts[0]

    assert (lost.outcome, lost.ended, lost.error) == ("none", None, None)


def test_the_place_of_the_instruction_in_the_raw_answer_is_told(story: ToldRun) -> None:
    (answer,) = instruction(story, LETTER_ID).answers

    assert answer.holds == "both"
    assert answer.span is not None
    assert answer.raw[slice(*answer.span)] == LETTER
    assert answer.raw.count("###") == 2


def test_in_two_steps_the_list_and_the_answer_to_the_instruction_are_told(story: ToldRun) -> None:
    generation = ids.generation_id("main", 0)
    event = story.generations_written()[0]
    (first,) = event.answers
    listed = msgspec.structs.replace(first, raw=f"1. {RIVERS}\n2. **{POEM}**")
    second = msgspec.structs.replace(first, request_id=ids.request_id(generation, 2), raw="Snow.")
    story.change(InstructionsGenerated, 0, style="two-step", answers=(listed, second))

    of_list, of_answer = instruction(story, POEM_ID).answers

    assert (of_list.holds, of_answer.holds, of_answer.raw, of_answer.span) == ("instruction", "output", "Snow.", None)
    assert of_list.span is not None
    assert of_list.raw[slice(*of_list.span)] == POEM
    assert [answer.holds for answer in instruction(story, RIVERS_ID).answers] == ["instruction"]


# -- the verdict ---------------------------------------------------------------------------------------------------


def test_a_rejected_instruction_tells_reason_similarity_threshold_and_the_row_it_is_like(story: ToldRun) -> None:
    found = instruction(story, AGAIN_ID)

    assert (found.verdict.outcome, found.verdict.reason, found.verdict.threshold) == ("rejected", "similar", 0.7)
    assert (found.verdict.similarity, found.verdict.nearest_id) == (10 / 11, RIVERS_ID)
    assert (found.verdict.recomputed, found.verdict.agrees) == ("similar", True)
    assert found.verdict.at is not None
    assert (found.verdict.at.topic, found.verdict.at.offset) == ("rejected", 1)
    assert found.nearest is not None
    assert (found.nearest.id, found.nearest.similarity, found.nearest.lcs) == (RIVERS_ID, 10 / 11, 10)
    assert found.nearest.instruction == RIVERS
    assert found.nearest.marks is not None
    assert [RIVERS_AGAIN[start:end] for start, end in found.nearest.marks] == RIVERS_AGAIN.replace(" west", "").split()
    assert found.cluster is None


def test_every_rule_of_the_policy_is_told_as_passed_or_broken(story: ToldRun) -> None:
    rules = {rule.name: rule.passed for rule in instruction(story, SHORT_ID).rules}

    assert rules.pop("too_short") is False
    assert set(rules) == {*story.policy.rules, "no_tokens"} - {"too_short"}
    assert all(rules.values())
    assert instruction(story, SHORT_ID).verdict.reason == "too_short"


def test_a_kept_row_tells_its_cluster_its_classifier_and_the_nearest_row_below_the_threshold(story: ToldRun) -> None:
    found = instruction(story, LETTER_ID)

    assert (found.verdict.outcome, found.verdict.agrees, found.cluster) == ("kept", True, story.kept[LETTER_ID].cluster)
    assert found.classifier is not None
    assert (found.classifier.from_offset, found.classifier.fitted_on, found.classifier.texts) == (0, "seeds", 4)
    assert found.nearest is not None
    assert (found.nearest.id, found.nearest.at and found.nearest.at.topic) == (POEM_ID, "kept")
    assert 0 < found.nearest.similarity < 0.7


def test_only_what_stands_before_a_row_is_near_it(story: ToldRun) -> None:
    assert instruction(story, RIVERS_ID).nearest is None

    later = instruction(story, row_id(5, 0))
    assert (later.verdict.outcome, later.verdict.recomputed, later.verdict.agrees) == ("undecided", None, None)
    assert later.nearest is not None


def test_a_verdict_that_deciding_again_does_not_give_is_told(story: ToldRun) -> None:
    rejected = story.written[next(place for place, e in story.events(InstructionsRejected) if e.event.rejections)].event
    assert isinstance(rejected, InstructionsRejected)
    wrong = msgspec.structs.replace(rejected.rejections[0], similarity=0.8)
    story.change(InstructionsRejected, 1, rejections=(wrong, *rejected.rejections[1:]))

    verdict = instruction(story, AGAIN_ID).verdict

    assert (verdict.similarity, verdict.recomputed, verdict.agrees) == (0.8, "similar", False)


def test_where_the_policy_compares_with_seeds_they_may_be_the_nearest() -> None:
    policy = msgspec.structs.replace(ToldRun().policy, compare_with_seeds=True)
    story = ToldRun(policy=policy)
    story.generation(0, ["Explain to a child why the sky looks grey at noon"])

    found = instruction(story, row_id(0, 0))

    assert found.nearest is not None
    assert (found.nearest.kind, found.nearest.id, found.nearest.at) == ("seed", "seed_task_0", None)
    assert (found.verdict.nearest_id, found.verdict.agrees) == ("seed_task_0", True)


def test_a_later_classifier_is_the_one_in_force_from_its_offset_on(story: ToldRun) -> None:
    _, first = next(iter(story.events(ClassifierFitted)))
    later = msgspec.structs.replace(first.event, from_offset=3, fitted_on="kept")
    story.tell(later, id=ids.classifier_id(3), key=story.run)

    before, after = instruction(story, AGAIN_ID).classifier, instruction(story, row_id(4, 0)).classifier

    assert before is not None
    assert after is not None
    assert (before.from_offset, after.from_offset, after.fitted_on) == (0, 3, "kept")


# -- training ------------------------------------------------------------------------------------------------------


def test_the_steps_a_row_was_trained_in_are_told_with_their_numbers(story: ToldRun) -> None:
    steps = instruction(story, RIVERS_ID).training

    assert [(s.epoch, s.window, s.step) for s in steps] == [(1, 0, 1), (1, 0, 2), (1, 1, 4), (1, 2, 6)]
    assert [(s.loss, s.grad_norm) for s in steps] == [(3.0, 2.0), (4.0, 3.0), (6.0, 5.0), (8.0, 7.0)]
    assert [s.chosen for s in steps] == [False, False, True, True]
    cluster = story.kept[RIVERS_ID].cluster
    assert [(s.slot, s.borrowed) for s in steps] == [(0, cluster != 0), (1, cluster != 1)] * 2
    assert instruction(story, AGAIN_ID).training == ()


def test_the_verdict_on_a_candidate_and_what_came_of_it_are_told(story: ToldRun) -> None:
    taken, again = instruction(story, RIVERS_ID).candidacies
    (command,) = [
        e.event for _, e in story.events(ReplaceSeeds) if isinstance(e.event, ReplaceSeeds) and e.event.step == 4
    ]

    assert (taken.window, taken.step, taken.value, taken.verdict) == (1, 4, 5.0, "taken")
    assert (taken.similarity, taken.nearest_id) == (command.candidates[0].similarity, command.candidates[0].nearest_id)
    assert taken.replaced is not None
    assert replaced(taken.replaced) == ("seed_task_3", 3, 1, RIVERS_ID)
    assert (again.step, again.verdict, again.replaced) == (6, "already_seed", None)


def test_a_replacement_that_took_no_effect_is_not_told(story: ToldRun) -> None:
    commands = [e.event for _, e in story.events(ReplaceSeeds)]
    command = commands[1]
    assert isinstance(command, ReplaceSeeds)
    gone = msgspec.structs.replace(command.replacements[0], victim_id="nobody")
    story.change(ReplaceSeeds, 1, replacements=(gone, *command.replacements[1:]))

    found = told(story, RIVERS_ID)

    assert found.kinds == ("instruction",)
    assert found.instruction is not None
    assert found.instruction.candidacies[0].replaced is None


def test_a_victim_that_an_earlier_command_replaced_is_not_replaced_again(story: ToldRun) -> None:
    command = next(e.event for _, e in story.events(ReplaceSeeds) if getattr(e.event, "window", 0) == 2)
    assert isinstance(command, ReplaceSeeds)
    again = msgspec.structs.replace(command.replacements[0], victim_id="seed_task_3")
    story.change(ReplaceSeeds, 2, replacements=(again,))

    assert instruction(story, TREES_ID).candidacies[0].replaced is None


# -- a seed --------------------------------------------------------------------------------------------------------


def test_a_promoted_seed_has_the_story_of_its_instruction_and_its_own(story: ToldRun) -> None:
    found = told(story, RIVERS_ID)

    assert set(found.kinds) == {"instruction", "seed"}
    assert found.seed is not None
    assert (found.seed.origin, found.seed.instruction) == ("promoted", RIVERS)
    assert found.seed.since is not None
    assert replaced(found.seed.since) == ("seed_task_3", 3, 1, RIVERS_ID)
    assert found.seed.until is not None
    assert replaced(found.seed.until) == (RIVERS_ID, 4, 1, TREES_ID)
    assert (found.seed.until.window, found.seed.until.step, found.seed.until.victim_score) == (2, 6, 0.25)


def test_a_seeds_score_is_told_over_its_generations(story: ToldRun) -> None:
    found = seed(story, RIVERS_ID)

    assert [(g.offset, g.generated, g.kept, g.score) for g in found.generations] == [(3, 2, 1, 0.5), (4, 2, 0, 0.25)]
    assert found.generations[0].generation_id == ids.generation_id("main", 3)
    assert (found.generated, found.kept, found.score) == (4, 1, 0.25)
    assert found.score == story.state.scores[RIVERS_ID].value


def test_an_initial_seed_is_there_from_the_start_and_tells_who_replaced_it(story: ToldRun) -> None:
    gone, there, never = (seed(story, f"seed_task_{number}") for number in (3, 2, 1))

    assert (gone.origin, gone.since) == ("initial", None)
    assert gone.until is not None
    assert (gone.until.new_id, gone.until.step, gone.until.victim_instruction) == (RIVERS_ID, 4, SEEDS[3].instruction)
    assert there.until is None
    assert [(g.generated, g.score) for g in there.generations][-1] == (None, None)
    assert len(never.generations) == 1


def replaced(change: SeedReplacement) -> tuple[str, int, int, str]:
    return change.victim_id, change.victim_generated, change.victim_kept, change.new_id


# -- a generation, a request ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["generation", "request"])
def test_a_generation_and_its_request_tell_its_instructions_in_brief(story: ToldRun, asked: str) -> None:
    generation = ids.generation_id("main", 1)
    found = told(story, generation if asked == "generation" else ids.request_id(generation, 0))

    assert (found.kinds, found.instruction, found.seed) == ((asked,), None, None)
    assert found.made is not None
    assert found.made.step == (None if asked == "generation" else 0)
    briefs = found.made.instructions
    assert [(b.id, b.outcome, b.reason) for b in briefs] == [
        (AGAIN_ID, "rejected", "similar"),
        (SHORT_ID, "rejected", "too_short"),
        (LETTER_ID, "kept", None),
    ]
    assert (briefs[0].nearest_id, briefs[2].cluster) == (RIVERS_ID, story.kept[LETTER_ID].cluster)
    assert ([b.became_seed for b in briefs], briefs[2].steps) == ([False, False, True], ((1, 3), (1, 4)))


def test_a_request_whose_generation_is_not_written_yet_tells_its_calls(story: ToldRun) -> None:
    story.asked(7, "...", "m-1", fail=True)

    found = told(story, ids.request_id(ids.generation_id("main", 7), 0))

    assert found.made is not None
    assert (found.made.generation, found.made.instructions) == (None, ())
    assert [attempt.outcome for attempt in found.made.requests[0].attempts] == ["failed", "answered"]


# -- ids, repeats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [RIVERS_ID, AGAIN_ID, row_id(5, 0), ids.generation_id("main", 2), "seed_task_2"])
def test_the_start_of_an_id_from_six_characters_on_stands_for_it(story: ToldRun, id: str) -> None:
    start = id[:-1] if id.startswith("seed") else id[:6]

    if id.startswith("seed"):
        with pytest.raises(RunError, match=r"'seed_task_' is the start of 4 ids: seed_task_0 \(seed\), "):
            told(story, start)
    else:
        assert told(story, start) == told(story, id)
        with pytest.raises(RunError, match="from 6 characters on"):
            told(story, id[:5])


def test_an_id_given_whole_is_meant_also_where_it_is_the_start_of_another() -> None:
    story = ToldRun()
    configured = msgspec.structs.replace(
        story.configured, seeds=(*SEEDS, msgspec.structs.replace(SEEDS[0], id="seed_task_00"))
    )
    story.written[0] = Written("run", 0, configured, story.written[0].id, story.written[0].key)

    assert told(story, "seed_task_0").id == "seed_task_0"
    assert told(story, "seed_task_00").id == "seed_task_00"


def test_an_unknown_id_is_a_clear_error(story: ToldRun) -> None:
    with pytest.raises(RunError, match="Nothing in run 'demo' in memory has the id 'ffffffffff'"):
        told(story, "ffffffffff")


@pytest.mark.parametrize("id", [RIVERS_ID, LETTER_ID, AGAIN_ID, "seed_task_2", ids.generation_id("main", 1)])
def test_events_that_stand_twice_change_nothing(story: ToldRun, id: str) -> None:
    once = told(story, id)
    # a torn end is written again, and then all of it
    story.written += story.written[-8:]
    story.written += story.written[: len(story.written) - 8]

    assert told(story, id) == once


def test_a_record_that_the_filter_could_not_read_counts_only_where_its_copy_stands(story: ToldRun) -> None:
    story = ToldRun()
    id = story.generation(0, [RIVERS], decide=False)
    event = story.generations_written()[0]
    nothing = InstructionsRejected(
        generation_id="", generated_offset=0, rejections=(), generated=0, kept=0, generated_total=0, kept_total=0
    )
    story.tell(nothing, id=ids.verdict_id(0), key="offset-0")
    story.offset = 1
    story.tell(event, id=id, key=id)
    story.decision(id, event)

    found = instruction(story, RIVERS_ID)

    assert (found.generation.at.offset, found.verdict.outcome, found.verdict.agrees) == (1, "kept", True)


def test_a_run_is_read_twice_and_no_more(story: ToldRun) -> None:
    source = source_of(story)
    read: list[int] = []

    explain(source, RIVERS_ID, read.append)

    assert source.opened == 2
    assert 0 < sum(read) <= 2 * len(source.records)


def test_a_run_without_configuration_is_told(story: ToldRun) -> None:
    records = [record for record in source_of(story).records if record.topic != "run"]

    with pytest.raises(RunError, match="has no RunConfigured"):
        explain(MemorySource(records), AGAIN_ID)


def test_a_decided_instruction_whose_generation_is_missing_is_an_error(story: ToldRun) -> None:
    records = [record for record in source_of(story).records if record.topic != "generated"]

    with pytest.raises(RunError, match="is not on `generated`: the log is incomplete"):
        explain(MemorySource(records), AGAIN_ID)


def test_the_whole_of_it_is_json(story: ToldRun) -> None:
    found = told(story, RIVERS_ID)

    assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found


# -- how much is read ----------------------------------------------------------------------------------------------


class CountingSource(MemorySource):
    """Counts the records that are read, by topic."""

    def __init__(self, source: MemorySource) -> None:
        vars(self).update(vars(source))
        self.read: Counter[str] = Counter()

    def open(self, topics: Iterable[str]) -> MemoryReading:
        reading, read = super().open(topics), self.read
        following = reading.next

        def counted(topic: str, partition: int) -> Record | None:
            record = following(topic, partition)
            read[topic] += record is not None
            return record

        reading.next = counted  # type: ignore[method-assign]
        return reading


def test_a_whole_id_is_read_up_to_where_it_is_found_and_no_row_after_its_generation(story: ToldRun) -> None:
    of_whole, of_start = (CountingSource(source_of(story)) for _ in range(2))
    rows = sum(written.event.__class__ is InstructionKept for written in story.written)

    assert explain(of_whole, RIVERS_ID) == explain(of_start, RIVERS_ID[:8])

    assert of_whole.read["calls"] < of_start.read["calls"]  # once for the story alone
    assert of_whole.read["kept"] < of_start.read["kept"] < 2 * rows
