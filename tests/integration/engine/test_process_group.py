"""Two ranks train what one process would train: the same loss, the same gradient, the same weights."""

from typing import Any

import msgspec
import pytest

from infra.local_broker.temporary_broker import free_port
from infra.settings import Settings
from tests.harness.forked import fork
from tests.integration.engine import rank
from tests.integration.engine.conftest import MakeEngine
from tests.unit.trainer import tiny


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """What each of two ranks measured, step by step, one kind of engine after the other."""
    folder = tmp_path_factory.mktemp("ranks")
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        fork(
            rank.main,
            folder,
            settings=Settings(),
            output=folder / f"{number}.log",
            folder=folder,
            further={**shared, "RANK": str(number), "LOCAL_RANK": str(number)},
        )
        for number in range(2)
    ]
    try:
        codes = [process.wait(timeout=280) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], "".join((folder / f"{number}.log").read_text() for number in range(2))
    return [[msgspec.json.decode(line) for line in (folder / f"{n}.jsonl").read_bytes().splitlines()] for n in range(2)]


def test_every_rank_has_the_whole_batchs_numbers(measured: list[list[dict[str, Any]]]) -> None:
    first, second = ([{**step, "seconds": 0} for step in steps] for steps in measured)
    assert first == second
    assert len(first) == len(rank.KINDS) * len(rank.BATCHES)


@pytest.mark.parametrize("kind", range(len(rank.KINDS)))
def test_they_equal_one_process(measured: list[list[dict[str, Any]]], make_engine: MakeEngine, kind: int) -> None:
    import torch

    settings = rank.KINDS[kind]
    rough = settings.get("precision") == "bf16"
    model = tiny.model().to(torch.bfloat16 if rough else torch.float32)
    alone = make_engine(model, clip=rank.CLIP, **{**settings, "micro_batch": 8})
    close = {"rel": 0.02} if rough else {"rel": 1e-4}
    for batch, step in zip(rank.BATCHES, measured[0][kind * len(rank.BATCHES) :], strict=False):
        numbers = alone.step([rank.row(number) for each in batch for number in each], 1e-2)
        assert step["loss"] == pytest.approx(numbers.loss, **close)
        assert step["row_losses"] == pytest.approx(numbers.row_losses, **close)
        assert step["loss_variance"] == pytest.approx(numbers.loss_variance, rel=0.1 if rough else 1e-3)
        assert step["grad_norm"] == pytest.approx(numbers.grad_norm, **close)
        assert (step["tokens"], step["all_tokens"], step["updated"]) == (numbers.tokens, numbers.all_tokens, True)
