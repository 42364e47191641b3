"""Each process of a run is killed at every point where a crash could leave something half done."""

import pytest

from tests.harness.victims import points_of
from tests.integration.crashes.rig import CrashRig

WORKER = [
    ("decided", 3),
    ("half emitted", 3),
    ("emitted", 3),
    ("half remembered", 3),
    ("remembered", 3),
    ("classifier fitted", 1),
    ("classifier emitted", 1),
    ("before recovering", 1),
    ("recovered", 1),
    ("starting", 2),
    ("filling", 2),
    ("scores mended", 1),
    ("window seen", 1),
    ("answered", 1),
    ("seeds read again", 3),
    ("command emitted", 1),
]
GENERATOR = [
    ("call announced", 20),
    ("call under way", 20),
    ("answer in hand", 20),
    ("answer stored", 20),
    ("generation sent", 20),
    ("generation written", 20),
]
TRAINER = [
    ("step done", 7),
    ("window complete", 1),
    ("window written", 1),
    ("before saving", 1),
    ("half saved", 2),
    ("saved", 1),
]


@pytest.mark.timeout(900)
def test_a_death_at_any_point_changes_nothing(rig: CrashRig) -> None:
    rig.start_worker(WORKER)
    rig.start_generator(GENERATOR)
    rig.start_trainer(TRAINER)
    crew = rig.crew
    crew.wait(lambda: len(crew.marks()) == len(WORKER + GENERATOR + TRAINER), 450, "everybody has died everywhere")
    audited = rig.finish(windows=6, timeout_s=200)
    for victim, deaths in (("worker", WORKER), ("generate", GENERATOR), ("train", TRAINER)):
        names = [name for name, _ in deaths]
        assert [mark for mark in crew.marks() if mark in names] == names, "each died where it was to, one by one"
        assert set(points_of(victim)) - set(names) <= {"revoked"}, "a point that nobody dies at proves nothing"
    assert crew.failed == 0, "nobody ended by an error"
    assert audited.checked["commands"] >= 6
    assert sum(audited.repeats.values()) > 0, "something was written again, or the deaths came to nothing"
