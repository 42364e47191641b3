"""A run with rows on the real log, and a tiny model_folder."""

import os
from pathlib import Path

import pytest

from consumers.trainer.record.output_capture import capture_output
from infra.local_broker.temporary_broker import TemporaryBroker
from tests.integration.trainer.rig import TrainerRig
from tests.unit.trainer.tiny import save_tiny


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model_folder")
    with capture_output(folder / "log"):
        return save_tiny(folder / "tiny")


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, model_folder: Path, tmp_path: Path) -> TrainerRig:
    """A configured run with 4 clusters and windows of 5 steps, and no rows yet."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    made = TrainerRig(broker.settings, run, model_folder, tmp_path)
    made.configure()
    return made
