"""A checkpoint brings a training back to the last bit, and one that is damaged is skipped for the one before."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.step import Engine
from consumers.trainer.result import checkpoint
from consumers.trainer.result.checkpoint import Checkpoints, TrainerState
from consumers.trainer.result.seal import KEY, Seal
from infra.models.templates import encode
from schemas.errors import TrainerError, UntrustedCheckpoint
from schemas.events import BatchRow, StepLogged
from streams.core.batches import PartitionPosition
from tests.integration.engine.conftest import MakeEngine
from tests.unit.trainer import tiny

READER = tiny.tokenizer()
SEAL = Seal(b"a key of these tests")
ROWS = [encode(tiny.kept(number, 0), READER, "chat", 96) for number in range(24)]


def state(step: int) -> TrainerState:
    row = BatchRow(id="r", slot=0, cluster=1, generated_offset=4)
    logged = StepLogged(
        step=step, loss=None, loss_variance=0.5, grad_norm=1.0, learning_rate=1e-3, tokens=9, seconds=0.1, rows=(row,)
    )
    return TrainerState(
        run="r",
        model="tiny",
        step=step,
        epoch=1,
        positions=checkpoint.pack({0: PartitionPosition(), 1: PartitionPosition(7, (4, 2))}),
        epoch_ends=None,
        pending=(logged,),
        last_window=(1, 0),
        settings={"precision": "fp32"},
    )


def losses(engine: Engine, first: int, count: int) -> list[float | None]:
    return [engine.step(ROWS[4 * n : 4 * n + 4], 1e-2).loss for n in range(first, first + count)]


def checkpoints(
    folder: Path, engine: Engine, say: Callable[[str], None] = pytest.fail, seal: Seal = SEAL
) -> Checkpoints:
    return Checkpoints(folder=folder, engine=engine, group=ProcessGroup(), seal=seal, say=say)


def accept(_state: TrainerState) -> None:
    """Every state will do."""


@pytest.fixture
def folder(tmp_path: Path, make_engine: MakeEngine) -> Path:
    """Two checkpoints: after step 1 and after step 2."""
    engine = make_engine()
    for step in (1, 2):
        losses(engine, step - 1, 1)
        checkpoints(tmp_path / "checkpoints", engine).save(state(step))
    return tmp_path / "checkpoints"


@pytest.mark.parametrize(("precision", "zero_stage"), [("fp32", 1), ("bf16", 1), ("fp32", 2), ("fp32", 3), ("bf16", 3)])
def test_a_restored_training_goes_on_with_the_same_losses_to_the_last_bit(
    tmp_path: Path, make_engine: MakeEngine, precision: str, zero_stage: int
) -> None:
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (
        make_engine(tiny.model(seed=seed).to(dtype), precision=precision, zero_stage=zero_stage) for seed in (0, 1)
    )
    losses(first, 0, 3)
    checkpoints(tmp_path, first).save(state(3))
    undisturbed = losses(first, 3, 3)
    assert checkpoints(tmp_path, second).restore(accept) == state(3)
    assert losses(second, 3, 3) == undisturbed


def test_positions_come_back_as_they_were() -> None:
    positions = {0: PartitionPosition(), 3: PartitionPosition(12, (9, 1))}
    assert checkpoint.unpack(checkpoint.pack(positions)) == positions


def test_only_the_last_ones_are_kept_and_the_newest_is_named(folder: Path, make_engine: MakeEngine) -> None:
    checkpoints(folder, make_engine()).save(state(3))
    assert sorted(path.name for path in folder.glob("step-*")) == ["step-00000002", "step-00000003"]
    assert (folder / "latest").read_text() == "step-00000003"


def test_a_step_made_again_replaces_its_checkpoint(folder: Path, make_engine: MakeEngine) -> None:
    checkpoints(folder, make_engine()).save(state(2))
    assert sorted(path.name for path in folder.glob("*step-*")) == ["step-00000001", "step-00000002"]


def cut_short(newest: Path) -> None:
    file = next(newest.glob("*optim_states.pt"))
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_bit(newest: Path) -> None:
    file = next(newest.glob("mp_rank*"))
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def lose_state(newest: Path) -> None:
    (newest / "state.json").unlink()


def garble_state(newest: Path) -> None:
    (newest / "state.json").write_text('{"state": {}}')


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lose_state, garble_state])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(
    folder: Path, make_engine: MakeEngine, damage
) -> None:
    damage(folder / "step-00000002")
    lines: list[str] = []
    found = checkpoints(folder, make_engine(), say=lines.append).restore(accept)
    assert found == state(1)
    assert len(lines) == 1
    assert "step-00000002" in lines[0]


class Malice:
    """What unpickling makes a file of."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_checkpoint_from_elsewhere_is_not_unpickled_unless_it_is_trusted(
    folder: Path, make_engine: MakeEngine, tmp_path: Path
) -> None:
    elsewhere, mark = Seal(b"another key"), tmp_path / "mark"
    (folder / "step-00000002").rename(folder / ".draft-step-00000002")
    for file in (folder / ".draft-step-00000002").glob("*.pt"):
        file.write_bytes(pickle.dumps(Malice(mark)))
    (folder / ".draft-step-00000002" / "state.json").unlink()
    checkpoint._seal(folder / ".draft-step-00000002", folder / "step-00000002", state(2), elsewhere)

    with pytest.raises(UntrustedCheckpoint, match=r"not sealed by this installation.*--trust-checkpoint"):
        checkpoints(folder, make_engine()).restore(accept)
    assert not mark.exists()

    checkpoints(folder, make_engine(), say=lambda line: None, seal=Seal(b"", trust_all=True)).restore(accept)
    assert mark.exists(), "it was malicious"


def test_a_checkpoint_from_before_there_were_seals_is_used_when_it_is_trusted(
    folder: Path, make_engine: MakeEngine
) -> None:
    file = folder / "step-00000002" / "state.json"
    sealed = json.loads(file.read_bytes())
    old = [{"name": each["name"], "length": each["length"], "crc32": 1} for each in sealed["files"]]
    file.write_text(json.dumps({"state": sealed["state"], "files": old}))
    with pytest.raises(UntrustedCheckpoint):
        checkpoints(folder, make_engine()).restore(accept)
    assert checkpoints(folder, make_engine(), seal=Seal(b"", trust_all=True)).restore(accept) == state(2)


@pytest.mark.parametrize("name", ["mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"], ids=["changed", "added"])
def test_a_file_put_into_a_sealed_checkpoint_is_refused_before_anything_is_unpickled(
    folder: Path, make_engine: MakeEngine, tmp_path: Path, name: str
) -> None:
    mark = tmp_path / "mark"
    (folder / "step-00000002" / name).write_bytes(pickle.dumps(Malice(mark)))
    lines: list[str] = []

    assert checkpoints(folder, make_engine(), say=lines.append).restore(accept) == state(1)
    assert "damaged" in lines[0] and name in lines[0]
    assert not mark.exists()


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = Seal.of(tmp_path / "var")
    assert Seal.of(tmp_path / "var") == first and len(first.key) == 32
    assert (tmp_path / "var" / KEY).stat().st_mode & 0o777 == 0o600


def test_a_crash_while_saving_leaves_the_one_before(folder: Path, make_engine: MakeEngine) -> None:
    (folder / ".draft-step-00000003").mkdir()
    assert checkpoints(folder, make_engine()).restore(accept) == state(2)


def test_when_none_is_whole_nothing_is_started_from_scratch_silently(folder: Path, make_engine: MakeEngine) -> None:
    for path in folder.glob("step-*"):
        cut_short(path)
    with pytest.raises(TrainerError, match="--fresh"):
        checkpoints(folder, make_engine(), say=lambda line: None).restore(accept)


def test_without_any_checkpoint_there_is_nothing_to_restore(tmp_path: Path, make_engine: MakeEngine) -> None:
    assert checkpoints(tmp_path, make_engine()).restore(accept) is None


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path, make_engine: MakeEngine) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TrainerError, match="could not be written"):
        checkpoints(tmp_path / "file", make_engine()).save(state(1))
