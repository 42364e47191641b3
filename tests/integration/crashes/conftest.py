"""A configured run on the real broker, with recorded answers and a crew of processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.trainer.record.output_capture import capture_output
from infra.local_broker.temporary_broker import TemporaryBroker
from tests.integration.crashes.rig import CrashRig
from tests.unit.trainer.tiny import save_tiny


@pytest.fixture(scope="session")
def trainee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainee")
    with capture_output(folder / "log"):
        return save_tiny(folder / "tiny")


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, trainee: Path, tmp_path: Path) -> Iterator[CrashRig]:
    rig = CrashRig(broker.settings, run, trainee, tmp_path)
    rig.configure()
    yield rig
    rig.crew.stop()
