"""Offline, a run's log and its archive are trained as they would have been live: same batches, same losses."""

import shutil

from infra.log.archiving import write_archive
from schemas.events import StepLogged
from tests.integration.trainer.rig import CLUSTERS, TrainerRig


def numbers_of(steps: list[StepLogged]) -> list[tuple[int, float | None, tuple[tuple[int, str], ...]]]:
    return [(step.step, step.loss, tuple((row.slot, row.id) for row in step.rows)) for step in steps]


def test_offline_trains_the_batches_of_a_live_training_from_the_log_and_from_an_archive(rig: TrainerRig) -> None:
    rig.write([(n * 7 + n // 5) % CLUSTERS for n in range(22)] + [2] * 12)  # so the last batches borrow
    rig.write([0, 1])  # what stands twice is trained once
    rig.stop_run()
    _, live = rig.train(output=rig.folder / "live", until_end=False, epochs=2, write_log=False)
    assert any(row.slot != row.cluster for step in live for row in step.rows)

    write_archive(rig.settings, rig.run, rig.folder / "archive")
    archive = {"offline": True, "from_files": rig.folder / "archive", "until_end": False}
    of_archive, steps = rig.train(output=rig.folder / "archived", epochs=2, **archive)
    assert numbers_of(steps) == numbers_of(live)
    assert (of_archive.run, of_archive.epoch, rig.windows()) == (rig.run, 2, [])

    rig.train(max_steps=5, epochs=2)  # begun on the log, and gone on with from there
    shutil.copytree(rig.folder / "out", rig.folder / "moved")
    assert numbers_of(rig.train(output=rig.folder / "moved", epochs=2, **archive)[1]) == numbers_of(live)[5:]
    of_log, rest = rig.train(offline=True, until_end=False, epochs=2)
    assert (of_log.resumed_from, numbers_of(rest)) == (5, numbers_of(live)[5:])
    assert rig.logged_steps() == [step.step for step in live]
