"""An engine around a tiny model, closed after the test."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consumers.trainer.distributed.process_group import join_process_group
from consumers.trainer.engine.deepspeed_setup import EngineConfig
from consumers.trainer.engine.step import Engine
from consumers.trainer.record.output_capture import capture_output
from tests.unit.trainer import tiny

MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="session", autouse=True)
def quick_torch(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One thread, since more make such a small model slower; and what was imported is left out of the many garbage
    collections that DeepSpeed makes when a bf16 engine starts."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with capture_output(tmp_path_factory.mktemp("imports") / "log"):
        import deepspeed  # noqa: F401
    import torch

    torch.set_num_threads(1)
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[MakeEngine]:
    """Makes engines on the CPU; a model, `say` and fields of EngineConfig may be given."""
    made: list[Engine] = []

    def make(model: object = None, *, say: Callable[[str], None] = lambda line: None, **changes: object) -> Engine:
        settings = {
            "precision": "fp32",
            "device": "cpu",
            "zero_stage": 1,
            "weight_decay": 0.0,
            "clip": None,
            "micro_batch": 4,
            "pad_token": 257,
            "log_file": tmp_path / "deepspeed.log",
            **changes,
        }
        config = EngineConfig(**settings)  # type: ignore[arg-type]
        made.append(Engine(model or tiny.model(), config, group=join_process_group("cpu"), say=say))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
