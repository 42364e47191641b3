"""Checkpoints: all of a training at one step, in a folder that is there whole or not at all.

    <folder>/step-00000010/   DeepSpeed's files (weights, optimizer, random states) and state.json, written last
    <folder>/latest           the name of the last one

A checkpoint is made under a temporary name and renamed when it is complete; state.json holds the length and SHA-256 of
every other file, under a seal (`seal`). One that another installation wrote is refused, since loading it would run code
that it may hold; one with a file too many, or another than was written, is passed over before anything of it is loaded.
Reading takes the newest that proves whole and loads; each one passed over is told. The files are not forced to the
disk: after a power cut the newest may be damaged, which reading notices, and the older one is used.

With several ranks each writes its own part into the same folder, which all of them must see; the first one proves,
seals and removes. What fails on one rank ends the others too: the checkpoint before stays as it is.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.step import Engine
from consumers.trainer.result.seal import Seal
from infra.digest import sha256_of
from schemas.errors import TrainerError, UntrustedCheckpoint
from schemas.events import StepLogged
from streams.core.batches import PartitionPosition

FOLDER = "checkpoints"
"""Where they are in a training's output folder."""

_STATE = "state.json"


class SavedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a partition stood: the next offset to read, and the key of the last row trained."""

    offset: int
    generated_offset: int
    place: int


class TrainerState(msgspec.Struct, frozen=True, kw_only=True):
    """What a training must know besides weights and optimizer to go on as if nothing had happened.

    positions    next row to take from each partition of `kept`; rows that were only read are read again
    epoch_ends   where the first epoch ended, once it has: what the later ones read up to
    pending      steps of the incomplete window
    last_window  (epoch, window) closed last
    settings     what must not change between sessions (checked) and what may (told), as given
    """

    run: str
    model: str
    step: int
    epoch: int
    positions: dict[int, SavedCheckpoint]
    epoch_ends: dict[int, SavedCheckpoint] | None
    pending: tuple[StepLogged, ...]
    last_window: tuple[int, int] | None
    settings: dict[str, str | int | float | bool | None]


class _File(msgspec.Struct, frozen=True):
    name: str
    length: int
    sha256: str = ""  # none in a checkpoint from before there were seals


class _Sealed(msgspec.Struct, frozen=True):
    state: TrainerState
    files: tuple[_File, ...]
    seal: str = ""

    @property
    def content(self) -> bytes:
        """What stands under the seal."""
        return msgspec.json.encode((self.state, self.files))


def pack(positions: dict[int, PartitionPosition]) -> dict[int, SavedCheckpoint]:
    """Positions as they are saved."""
    return {
        cluster: SavedCheckpoint(offset=at.offset, generated_offset=at.key[0], place=at.key[1])
        for cluster, at in positions.items()
    }


def unpack(saved: dict[int, SavedCheckpoint]) -> dict[int, PartitionPosition]:
    """Saved positions as the queues take them."""
    return {cluster: PartitionPosition(at.offset, (at.generated_offset, at.place)) for cluster, at in saved.items()}


def save(folder: Path, engine: Engine, state: TrainerState, keep: int, world: ProcessGroup, seal: Seal) -> Path:
    """Write a checkpoint and remove all but the last `keep` (all ranks). Returns its folder."""
    name = f"step-{state.step:08d}"
    draft, target = folder / f".draft-{name}", folder / name
    try:
        if world.is_first:
            for left in folder.glob(".draft-step-*"):  # by a training that was killed while it saved
                shutil.rmtree(left, ignore_errors=True)
            draft.mkdir(parents=True)
        world.barrier()
        if not draft.is_dir():
            raise TrainerError(
                f"Rank {world.rank} does not see {draft}, which rank 0 has made. Give an output folder on a disk that "
                "all machines share."
            )
        engine.save(folder, draft.name)
        world.barrier()
        if world.is_first:
            _seal(draft, target, state, seal)
    except (OSError, RuntimeError) as error:
        if world.is_first:
            shutil.rmtree(draft, ignore_errors=True)
        raise TrainerError(
            f"The checkpoint of step {state.step} could not be written to {folder}: {error}. The one before it is "
            "whole. Make room or mend the disk, and start again: training goes on from there."
        ) from error
    for old in _all(folder)[keep:] if world.is_first else ():
        shutil.rmtree(old, ignore_errors=True)
    return target


def restore(
    folder: Path,
    engine: Engine,
    check: Callable[[TrainerState], None],
    say: Callable[[str], None],
    world: ProcessGroup,
    seal: Seal,
) -> TrainerState | None:
    """Load the newest whole checkpoint into the engine (all ranks); None when there is none at all.

    `check` sees the state before anything is loaded and raises when this training cannot go on from it.
    Raises TrainerError when there are checkpoints but none can be used, UntrustedCheckpoint for one without our seal;
    nothing of it is loaded then.
    """
    found = _all(folder) if world.is_first else []
    left = iter(found)
    while (whole := world.broadcast(_next_whole(left, say, seal) if world.is_first else None)) is not None:
        name, state = whole
        check(state)
        try:
            engine.load(folder, name)
        except TrainerError as error:
            if world.size > 1:  # the others may have loaded theirs: they cannot agree on another one here
                raise
            say(f"{error} Trying the one before.")
            continue
        return state
    if number := world.broadcast(len(found)):
        raise TrainerError(
            f"None of the {number} checkpoints under {folder} can be used. Put a good one back, or start afresh "
            "(`--fresh`): the batches that are on the training log are then trained again."
        )
    return None


def last_settings(folder: Path) -> dict[str, str | int | float | bool | None] | None:
    """The settings of the newest checkpoint whose state can be read; None when there is none."""
    for path in _all(folder):
        try:
            return msgspec.json.decode((path / _STATE).read_bytes(), type=_Sealed).state.settings
        except (OSError, msgspec.MsgspecError):
            continue
    return None


def forget(folder: Path, world: ProcessGroup) -> None:
    """Remove all checkpoints and drafts (all ranks)."""
    if world.is_first:
        shutil.rmtree(folder, ignore_errors=True)
    world.barrier()


def _seal(draft: Path, target: Path, state: TrainerState, seal: Seal) -> None:
    """Make a draft the checkpoint, and the last one."""
    files = tuple(_File(path.name, path.stat().st_size, sha256_of(path)) for path in sorted(draft.iterdir()))
    # As it will be read: a whole number in a field of floats is written without its fraction.
    sealed = msgspec.json.decode(msgspec.json.encode(_Sealed(state, files)), type=_Sealed)
    (draft / _STATE).write_bytes(msgspec.json.encode(replace(sealed, seal=seal.make(sealed.content))))
    if target.exists():
        shutil.rmtree(target)
    draft.rename(target)
    pointer = target.parent / ".draft-latest"
    pointer.write_text(target.name, encoding="utf-8")
    pointer.replace(target.parent / "latest")


def _next_whole(left: Iterator[Path], say: Callable[[str], None], seal: Seal) -> tuple[str, TrainerState] | None:
    for path in left:
        try:
            return path.name, _opened(path, seal)
        except UntrustedCheckpoint:
            raise
        except TrainerError as error:
            say(f"{error} Trying the one before.")
    return None


def _all(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted(folder.glob("step-????????"), reverse=True)


def _opened(path: Path, seal: Seal) -> TrainerState:
    """The state of a checkpoint whose files are what was written, by us: only then may they be loaded."""
    try:
        sealed = msgspec.json.decode((path / _STATE).read_bytes(), type=_Sealed)
        if not seal.trusts_all and not seal.proves(sealed.content, sealed.seal):
            raise UntrustedCheckpoint(
                f"The checkpoint {path} was not sealed by this installation (its key is another, or the seal is "
                "gone), and loading it runs whatever code it holds. If you know who wrote it, go on with "
                "--trust-checkpoint; if not, give another --output, or start afresh with --fresh."
            )
        strange = {file.name for file in path.iterdir()} - {_STATE, *(file.name for file in sealed.files)}
        if strange:
            raise TrainerError(f"The checkpoint {path} is damaged: {min(strange)} is none of its files.")
        for file in sealed.files:
            is_whole = (path / file.name).stat().st_size == file.length
            if not is_whole or (file.sha256 and sha256_of(path / file.name) != file.sha256):
                raise TrainerError(f"The checkpoint {path} is damaged: {file.name} is not what was written.")
    except (OSError, msgspec.MsgspecError) as error:
        raise TrainerError(f"The checkpoint {path} is not whole ({error}).") from error
    return sealed.state
