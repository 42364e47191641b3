"""Everything that came from a thing is found, once, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from consumers.explain.withdraw import withdraw
from consumers.explain.withdrawal_schema import DerivationPath, Withdrawal
from schemas import ids
from schemas.errors import RunError
from schemas.events import InstructionsGenerated, RunConfigured
from sedi.main import main
from sedi.options import ExitCode
from tests.unit.consumers.recorded_run import SEEDS, ToldRun, row_id, source_of, whole_run

RIVERS, POEM, LETTER, TREES, CHESS = row_id(0, 0), row_id(0, 1), row_id(1, 2), row_id(2, 0), row_id(3, 1)
GENERATIONS = [ids.generation_id("main", number) for number in range(6)]


@pytest.fixture
def story() -> ToldRun:
    return whole_run()


def found(story: ToldRun, id: str) -> Withdrawal:
    return withdraw(source_of(story), id=id)


def way(path: DerivationPath) -> list[tuple[str, str]]:
    return [(link.kind, link.id) for link in path]


def rows(told: Withdrawal) -> list[str]:
    return [row.id for row in told.rows]


def test_from_a_seed_come_its_generations_their_instructions_and_what_came_of_those_as_seeds(story: ToldRun) -> None:
    told = found(story, "seed_task_0")

    assert [seed.id for seed in told.seeds] == ["seed_task_0", RIVERS, LETTER, TREES]
    assert {generation.id for generation in told.generations} == set(GENERATIONS)
    assert rows(told) == [RIVERS, POEM, LETTER, TREES, CHESS]
    assert (told.totals.instructions, told.totals.rejected, told.totals.undecided) == (11, 5, 1)
    assert (told.totals.seeds, told.totals.generations, told.totals.kept) == (4, 6, 5)
    assert (told.totals.trained, told.totals.steps) == (5, 6)
    assert sum(told.totals.clusters.values()) == 5


def test_from_a_seed_comes_only_what_was_shown_it(story: ToldRun) -> None:
    told = found(story, "seed_task_3")

    assert [generation.id for generation in told.generations] == [GENERATIONS[number] for number in (1, 2, 5)]
    assert rows(told) == [LETTER, TREES]
    assert [(s.epoch, s.step, s.rows, s.of) for s in told.steps] == [(1, 3, 1, 2), (1, 4, 1, 2), (1, 6, 1, 2)]


def test_each_thing_is_found_once_by_the_shortest_way(story: ToldRun) -> None:
    told = found(story, "seed_task_0")

    ways = {row.id: way(row.path) for row in told.rows}
    assert ways[POEM] == [("seed", "seed_task_0"), ("generation", GENERATIONS[0])]
    assert ways[CHESS] == [*ways[RIVERS], ("instruction", RIVERS), ("seed", RIVERS), ("generation", GENERATIONS[3])]
    assert len({row.id for row in told.rows}) == len(told.rows)
    assert way(told.seeds[0].path) == []
    assert way(told.seeds[1].path) == [*ways[RIVERS], ("instruction", RIVERS)]


def test_a_row_tells_its_steps_and_whether_it_became_a_seed(story: ToldRun) -> None:
    by_id = {row.id: row for row in found(story, "seed_task_0").rows}

    assert by_id[RIVERS].steps == ((1, 1), (1, 2), (1, 4), (1, 6))
    assert (by_id[RIVERS].became_seed, by_id[POEM].became_seed) == (True, False)
    assert by_id[LETTER].cluster == story.kept[LETTER].cluster
    assert by_id[LETTER].instruction == story.kept[LETTER].instruction


def test_from_an_instruction_comes_itself_and_what_it_seeded_but_no_sibling(story: ToldRun) -> None:
    assert rows(found(story, RIVERS)) == [RIVERS, CHESS]
    assert rows(found(story, POEM)) == [POEM]
    assert found(story, row_id(1, 0)).totals.rejected == 1
    assert rows(found(story, row_id(1, 0))) == []


@pytest.mark.parametrize("asked", ["generation", "request"])
def test_from_a_generation_or_its_request_come_all_its_instructions(story: ToldRun, asked: str) -> None:
    told = found(story, GENERATIONS[1] if asked == "generation" else ids.request_id(GENERATIONS[1], 0))

    assert rows(told) == [LETTER, TREES]
    assert way(told.rows[0].path) == [("generation", GENERATIONS[1])]


def test_in_two_steps_a_later_request_gave_one_instruction_its_output(story: ToldRun) -> None:
    event = story.generations_written()[0]
    story.change(InstructionsGenerated, 0, style="two-step")
    request = ids.request_id(GENERATIONS[0], 2)
    first = next(e.event for e in story.written if e.topic == "calls")
    story.tell(msgspec.structs.replace(first, request_id=request, step=2), id=ids.child(request, "s"), key=request)

    assert len(event.instructions) == 2
    assert rows(found(story, request)) == [POEM]


def test_from_a_model_comes_all_that_it_generated(story: ToldRun) -> None:
    source = source_of(story)

    assert withdraw(source, model="m-2").totals.instructions == 1
    assert [generation.id for generation in withdraw(source, model="m-2").generations] == [GENERATIONS[5]]
    assert rows(withdraw(source, model="m-1")) == [RIVERS, POEM, LETTER, TREES, CHESS]
    with pytest.raises(RunError, match=r"was made by the model 'm-3'\. It has used: m-1, m-2"):
        withdraw(source, model="m-3")


def test_a_seed_of_the_start_with_an_instruction_s_id_did_not_come_from_it() -> None:
    story = ToldRun()
    twin = msgspec.structs.replace(SEEDS[3], id=row_id(0, 0))
    story.change(RunConfigured, 0, seeds=(*SEEDS[:3], twin))
    story.generation(0, ["Name three long rivers of the east"])
    story.generation(1, ["Write a haiku about snow at night"])
    story.change(InstructionsGenerated, 1, seed_ids=(twin.id, "seed_task_1"))

    told = found(story, GENERATIONS[0])

    assert (told.seeds, rows(told)) == ((), [row_id(0, 0)])


def test_events_that_stand_twice_change_nothing(story: ToldRun) -> None:
    once = found(story, "seed_task_0")
    story.written += story.written[-8:]
    story.written += story.written[: len(story.written) - 8]

    assert found(story, "seed_task_0") == once


def test_the_whole_of_it_is_json(story: ToldRun) -> None:
    told = found(story, "seed_task_0")

    assert msgspec.json.decode(msgspec.json.encode(told), type=Withdrawal) == told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["seed_task_0"], "Nothing is ever removed from the log"),
        (["--dry-run"], "Give an ID or --model NAME"),
        (["x", "--model", "m", "--dry-run"], "Give an ID or --model NAME"),
        (["x", "--dry-run", "--ids", "--json"], "--ids and --json were both given"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(
    arguments: Sequence[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["withdraw", *arguments, "--from-files", str(tmp_path / "nothing")]) == ExitCode.USAGE

    assert sentence in capsys.readouterr().err


def test_without_a_dry_run_the_way_to_leave_rows_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["withdraw", "seed_task_0"]) == ExitCode.USAGE

    assert "sedi export FOLDER --exclude FILE" in capsys.readouterr().err
