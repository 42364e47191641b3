"""Checkpoints: a training's whole state at one step, in a folder that exists complete or not at all.

    <folder>/step-00000010/   DeepSpeed's files (weights, optimizer, random states) and state.json, written last
    <folder>/latest           the name of the newest

A checkpoint is written under a temporary name and renamed when it is complete. state.json holds the length and SHA-256
of every other file, under a seal (`seal`). A checkpoint that another installation wrote is refused, since loading it
would run code that it may hold. One with missing, changed or additional files is skipped before anything is loaded.
Restoring takes the newest complete checkpoint that loads, and reports each one it skips. Files are not synced to disk:
after a power failure the newest may be damaged, which restoring detects, and the one before is used.

With several ranks each writes its part into the same folder, which all of them must see; the first one verifies, seals
and removes. When one rank fails all of them end, and the checkpoint before stays as it is.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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

STATE = "state.json"
"""The state and the digests of all other files, in a checkpoint."""

Settings = dict[str, str | int | float | bool | None]


class SavedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position in a partition: the next offset to read, and the key of the last row trained."""

    offset: int
    generated_offset: int
    place: int


class TrainedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """What a training began with, so that its checkpoints can become models (`checkpoint_model`).

    model      an absolute path, or a hub name; `layers` and `lora_...` as in TrainOptions, the alpha resolved
    from_log   whether positions are those of a run's log, and not of a file
    """

    model: str
    from_log: bool
    layers: int | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] | None = None


class TrainerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a training besides weights and optimizer.

    positions    next row to take from each cluster's partition; rows that were only read are read again
    epoch_ends   where the first epoch ended, once it has: the limits of later epochs
    pending      steps of the incomplete window
    last_window  (epoch, window) closed last
    settings     of the training: some must not change when it resumes (checked), changes of others are reported
    trained_from None in checkpoints from before it was saved; then left out, so that their seals stay valid
    documents_offset  the last record of `documents` whose withdrawal counts in the window, -1 for none
    """

    run: str
    model: str
    step: int
    epoch: int
    positions: dict[int, SavedPosition]
    epoch_ends: dict[int, SavedPosition] | None
    pending: tuple[StepLogged, ...]
    last_window: tuple[int, int] | None
    settings: Settings
    trained_from: TrainedFrom | None = None
    documents_offset: int = -1


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
        """What the seal is of."""
        return msgspec.json.encode((self.state, self.files))


def pack(positions: dict[int, PartitionPosition]) -> dict[int, SavedPosition]:
    """Positions in the form that is saved."""
    return {
        cluster: SavedPosition(offset=at.offset, generated_offset=at.key[0], place=at.key[1])
        for cluster, at in positions.items()
    }


def unpack(saved: dict[int, SavedPosition]) -> dict[int, PartitionPosition]:
    """Positions from the form that is saved."""
    return {cluster: PartitionPosition(at.offset, (at.generated_offset, at.place)) for cluster, at in saved.items()}


def offsets_of(positions: Mapping[int, SavedPosition | PartitionPosition]) -> tuple[int, ...] | None:
    """Of each partition, the offset after the last row trained; None when some partition is missing."""
    if not positions or sorted(positions) != list(range(len(positions))):
        return None
    return tuple(positions[place].offset for place in range(len(positions)))


def checkpoint_path(folder: Path, step: int) -> Path:
    """The checkpoint of a step, in a folder of checkpoints."""
    return folder / f"step-{step:08d}"


def last_settings(folder: Path) -> Settings | None:
    """The settings in the newest readable checkpoint; None without one."""
    for path in _all(folder):
        try:
            return msgspec.json.decode((path / STATE).read_bytes(), type=_Sealed).state.settings
        except (OSError, msgspec.MsgspecError):
            continue
    return None


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one training. Every method is for all ranks.

    keep   how many of the newest stay
    say    called with a line for each checkpoint that is skipped
    """

    folder: Path
    engine: Engine
    group: ProcessGroup
    seal: Seal
    keep: int = 2
    say: Callable[[str], None] = lambda line: None

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of a step."""
        return checkpoint_path(self.folder, step)

    def save(self, state: TrainerState) -> Path:
        """Write a checkpoint and remove the oldest. Returns its folder. Raises TrainerError when it cannot be written;
        the one before then stays."""
        target = self.path(state.step)
        draft = self.folder / f".draft-{target.name}"
        try:
            if self.group.is_first:
                for abandoned in self.folder.glob(".draft-step-*"):  # by a training that was killed while it saved
                    shutil.rmtree(abandoned, ignore_errors=True)
                draft.mkdir(parents=True)
            self.group.barrier()
            if not draft.is_dir():
                raise TrainerError(
                    f"Rank {self.group.rank} does not see {draft}, which rank 0 has made. Give an output folder on a "
                    "disk that all machines share."
                )
            self.engine.save(self.folder, draft.name)
            self.group.barrier()
            if self.group.is_first:
                _seal(draft, target, state, self.seal)
        except (OSError, RuntimeError) as error:
            if self.group.is_first:
                shutil.rmtree(draft, ignore_errors=True)
            raise TrainerError(
                f"The checkpoint of step {state.step} could not be written to {self.folder}: {error}. The one before "
                "it is whole. Make room or repair the disk, and start again: training resumes from there."
            ) from error
        for old in _all(self.folder)[self.keep :] if self.group.is_first else ():
            shutil.rmtree(old, ignore_errors=True)
        return target

    def restore(self, check: Callable[[TrainerState], None]) -> TrainerState | None:
        """Load the newest complete checkpoint into the engine; None when there is none at all.

        `check` gets the state before anything is loaded and raises when this training cannot resume from it. Raises
        TrainerError when there are checkpoints but none can be used, UntrustedCheckpoint, before anything is loaded,
        for one without our seal.
        """
        found = _all(self.folder) if self.group.is_first else []
        untried = iter(found)
        while (candidate := self.group.broadcast(self._next(untried) if self.group.is_first else None)) is not None:
            name, state = candidate
            check(state)
            try:
                self.engine.load(self.folder, name)
            except TrainerError as error:
                if self.group.size > 1:  # other ranks may have loaded their parts
                    raise
                self.say(f"{error} Trying the one before.")
                continue
            return state
        if number := self.group.broadcast(len(found)):
            raise TrainerError(
                f"None of the {number} checkpoints under {self.folder} can be used. Put a good one back, or start "
                "afresh (`--fresh`): the batches that are on the training log are then trained again."
            )
        return None

    def remove(self) -> None:
        """Remove all checkpoints and drafts."""
        if self.group.is_first:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.group.barrier()

    def _next(self, untried: Iterator[Path]) -> tuple[str, TrainerState] | None:
        for path in untried:
            try:
                return path.name, verified(path, self.seal)
            except UntrustedCheckpoint:
                raise
            except TrainerError as error:
                self.say(f"{error} Trying the one before.")
        return None


def _all(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted(folder.glob("step-????????"), reverse=True)


def _seal(draft: Path, target: Path, state: TrainerState, seal: Seal) -> None:
    """Turn a draft into the newest checkpoint."""
    files = tuple(_File(path.name, path.stat().st_size, sha256_of(path)) for path in sorted(draft.iterdir()))
    # Encoded as it will be when it is read: a whole number in a field of floats loses its fraction.
    sealed = msgspec.json.decode(msgspec.json.encode(_Sealed(state, files)), type=_Sealed)
    (draft / STATE).write_bytes(msgspec.json.encode(replace(sealed, seal=seal.sign(sealed.content))))
    if target.exists():
        shutil.rmtree(target)
    draft.rename(target)
    pointer = target.parent / ".draft-latest"
    pointer.write_text(target.name, encoding="utf-8")
    pointer.replace(target.parent / "latest")


def verified(path: Path, seal: Seal) -> TrainerState:
    """The state of a checkpoint that this installation wrote and whose files are unchanged: only then load them.

    Raises UntrustedCheckpoint without our seal, TrainerError for files that are missing or not what was written.
    """
    try:
        sealed = msgspec.json.decode((path / STATE).read_bytes(), type=_Sealed)
        if not seal.trust_all and not seal.verifies(sealed.content, sealed.seal):
            raise UntrustedCheckpoint(
                f"The checkpoint {path} was not sealed by this installation (its key is another, or the seal is "
                "gone), and loading it runs whatever code it holds. If you trust its source, load it with "
                "--trust-checkpoint; if not, give another --output, or start afresh with --fresh."
            )
        additional = {file.name for file in path.iterdir()} - {STATE, *(file.name for file in sealed.files)}
        if additional:
            raise TrainerError(f"The checkpoint {path} is damaged: {min(additional)} is none of its files.")
        for file in sealed.files:
            is_whole = (path / file.name).stat().st_size == file.length
            if not is_whole or (file.sha256 and sha256_of(path / file.name) != file.sha256):
                raise TrainerError(f"The checkpoint {path} is damaged: {file.name} is not what was written.")
    except (OSError, msgspec.MsgspecError) as error:
        raise TrainerError(f"The checkpoint {path} is not whole ({error}).") from error
    return sealed.state
