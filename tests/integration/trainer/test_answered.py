"""A training of a run that answers kept instructions alone: it reads `answered`, live and from an archive."""

import threading
import time
from collections.abc import Iterable, Sequence

import pytest

from infra.log.archiving import write_archive
from schemas.events import StepLogged
from tests.integration.trainer.rig import CLUSTERS, TrainerRig

ROWS = 32
UNUSED = {5: "cut_output", 6: "empty_output", 30: "RequestRefused"}


@pytest.fixture
def answers_kept(rig: TrainerRig) -> TrainerRig:
    """A run of its own that answers kept instructions alone, with kept rows and no answer."""
    made = TrainerRig(rig.settings, f"{rig.run}-kept", rig.model_folder, rig.folder)
    made.configure(answer="kept")
    made.write([number % CLUSTERS for number in range(ROWS)])
    return made


def answer(rig: TrainerRig, numbers: Iterable[int]) -> None:
    rig.answer({number: number % CLUSTERS for number in numbers}, UNUSED)


def rows_of(steps: Sequence[StepLogged]) -> list[tuple[int, str]]:
    return [(row.generated_offset, row.id) for step in steps for row in step.rows]


def test_it_trains_answered_rows_and_with_until_end_waits_for_the_last_one(answers_kept: TrainerRig) -> None:
    rig = answers_kept
    answer(rig, range(12))
    waits = "clusters wait for their answer: is `sedi answer` running"

    def go_on_once_it_waits() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any(waits in line for line in rig.lines):
            time.sleep(0.05)
        answer(rig, range(12, ROWS))

    later = threading.Thread(target=go_on_once_it_waits)
    later.start()
    summary, steps = rig.train(last_batch=True, epochs=2)
    later.join()
    used = [number for number in range(ROWS) if number not in UNUSED]
    assert sorted(number for number, _ in rows_of(steps)) == sorted(used * 2)
    assert (summary.reason, summary.epoch, summary.rows) == ("end_of_stream", 2, 2 * len(used))
    assert any(waits in line for line in rig.lines)
    assert summary.model_folder is not None
    assert "topic `answered`" in (summary.model_folder / "README.md").read_text(encoding="utf-8")

    write_archive(rig.settings, rig.run, rig.folder / "archive")
    archive = rig.folder / "archive"
    _, offline = rig.train(from_files=archive, offline=True, output=rig.folder / "b", last_batch=True, epochs=2)
    assert rows_of(offline) == rows_of(steps)


def test_a_kill_of_the_trainer_or_a_stop_of_the_run_loses_no_answered_row(answers_kept: TrainerRig) -> None:
    rig = answers_kept
    answer(rig, range(24))
    rig.train_until_killed(at=3, until_end=False, checkpoint_every=2)
    rig.stop_run()  # the rest is never answered: nothing more comes
    _, offline = rig.train(offline=True, output=rig.folder / "b", last_batch=True)  # it waits for nothing
    summary, _ = rig.train(until_end=False, last_batch=True)
    assert summary.resumed_from == 2
    assert len(rows_of(offline)) == 22
    trained = [row.generated_offset for window in rig.windows() for step in window.steps for row in step.rows]
    assert sorted(trained) == [number for number in range(24) if number not in UNUSED]
