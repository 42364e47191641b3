"""Generator, workers, trainer and broker all run, and are killed and restarted at random moments."""

import random
import signal
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import temporary_broker
from infra.settings import Settings
from tests.integration.crashes.rig import CrashRig


@pytest.mark.timeout(600)
def test_deaths_rebalances_and_a_broker_that_goes_and_comes_change_nothing(
    settings: Settings, run: str, trainee: Path, tmp_path: Path
) -> None:
    rng = random.Random(7)
    with temporary_broker(settings) as broker:
        rig = CrashRig(broker.settings, run, trainee, tmp_path)
        rig.configure()
        crew = rig.crew
        try:
            rig.start_worker([("revoked", 2)])  # the first is of its own joining, the second when another one joins
            rig.start_generator(lag=32)
            rig.start_trainer()

            def through(generations: int) -> None:
                crew.wait(lambda: rig.ends()["rejected"] >= generations, 90, f"{generations} are decided")

            through(rng.randrange(40, 80))
            rig.start_worker(name="second")
            crew.wait(lambda: "revoked" in crew.marks(), 60, "the rebalance is cut short by a death")
            through(rng.randrange(120, 160))
            crew.kill("second")
            crew.kill("generator")
            through(rng.randrange(220, 260))
            broker.kill()
            broker.restart()
            through(rng.randrange(320, 360))
            crew.kill("trainer")
            second = crew.members["second"].process
            assert second is not None
            second.send_signal(signal.SIGTERM)
            through(rng.randrange(420, 460))
            crew.kill("worker")
            audited = rig.finish(windows=3, timeout_s=200)
            assert audited.checked["commands"] >= 3
        finally:
            crew.stop()
