"""The processes that train together: who this one is, and the few things they say to each other.

`joined` makes the process group, once a process. Its size and this process's place in it come from the variables that
every launcher sets (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT: ours, torchrun, DeepSpeed's); without them
the group is of one and made from a store in memory, so that no port is opened.

What ranks tell each other goes over gloo, on a GPU too, so that it never waits for the device. A rank that dies breaks
the connection: the next thing said by any other raises RankLost. Does not know: batches, models, or who started it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from schemas.errors import ConfigurationError, TrainerError

_T = TypeVar("_T")

_SILENCE = timedelta(minutes=30)  # after which a rank that says nothing counts as lost
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class RankLost(TrainerError):
    """Another rank of this training is not there any more."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together. Made without arguments: it is alone."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    group: Any = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def all_gather(self, value: _T) -> list[_T]:
        """Every rank's value, by rank; small things only."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with self.lost_is_told():
            dist.all_gather_object(found, value, group=self.group)
        return found

    def broadcast(self, value: _T) -> _T:
        """The first rank's value."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        held = [value]
        with self.lost_is_told():
            dist.broadcast_object_list(held, src=0, group=self.group)
        return held[0]

    def sum(self, tensor: Any) -> Any:
        """Sum a tensor over all ranks, in place."""
        if self.size > 1:
            import torch.distributed as dist

            with self.lost_is_told():
                dist.all_reduce(tensor, group=self.group if tensor.device.type == "cpu" else None)
        return tensor

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.all_gather(None)

    @contextmanager
    def lost_is_told(self) -> Iterator[None]:
        """What torch raises inside because another rank is gone becomes RankLost; other errors stay what they are."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _is_of_connection(error):
                raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RankLost(
                f"Rank {self.rank} of {self.size} cannot reach the others any more ({first}). One of them has died: "
                "the first message in the ranks' logs says why. Start again: training goes on from the last checkpoint."
            ) from error


def _is_of_connection(error: RuntimeError) -> bool:
    from torch.distributed import DistError

    return isinstance(error, DistError) or any(name in str(error) for name in ("gloo", "NCCL", "Connection closed"))


@cache
def joined(device: str) -> ProcessGroup:
    """The world of this process; `device` is `cpu` or `cuda`. The group stays until the process ends.

    Raises ConfigurationError for variables that do not fit together, RankLost when the others do not come.
    """
    import torch.distributed as dist

    os.environ.setdefault("LOCAL_RANK", "0")
    rank, size, local_rank = place()
    if device == "cuda":
        _take_gpu(local_rank)
    if dist.is_initialized():
        return ProcessGroup(rank, size, local_rank, _gloo(device) if size > 1 else None)
    backend = "nccl" if device == "cuda" else "gloo"
    if size == 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
        return ProcessGroup()
    if os.environ["MASTER_ADDR"] in {"127.0.0.1", "localhost", "::1"}:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        dist.init_process_group(backend, timeout=_SILENCE)
    except RuntimeError as error:
        raise RankLost(
            f"Rank {rank} of {size} did not find the others at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} ({error}). Start all of them, with the same address."
        ) from error
    return ProcessGroup(rank, size, local_rank, _gloo(device))


def place() -> tuple[int, int, int]:
    """(rank, size, rank on this machine) as the launcher says it. Raises ConfigurationError when it says half of it."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1, 0
    missing = [name for name in _NEEDED if name not in os.environ]
    try:
        size, local_rank = int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", "0"))
        rank = int(os.environ.get("RANK", "0"))
    except ValueError as error:
        raise ConfigurationError(f"WORLD_SIZE, RANK and LOCAL_RANK must be whole numbers ({error}).") from error
    if size > 1 and missing:
        raise ConfigurationError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set. Start ranks with `sedi train --processes N`, "
            "torchrun or another launcher that sets them all, or unset WORLD_SIZE."
        )
    if not 0 <= rank < size:
        raise ConfigurationError(f"RANK is {rank} and WORLD_SIZE is {size}: ranks go from 0 to WORLD_SIZE - 1.")
    return rank, size, local_rank


def _take_gpu(local_rank: int) -> None:
    import torch

    if local_rank >= torch.cuda.device_count():
        raise ConfigurationError(
            f"LOCAL_RANK is {local_rank}, but this machine has {torch.cuda.device_count()} CUDA devices. Start at most "
            "one process for each device."
        )
    torch.cuda.set_device(local_rank)


def _gloo(device: str) -> Any:
    """The group that objects go over: the group of all itself where that is gloo."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=_SILENCE) if device == "cuda" else None
