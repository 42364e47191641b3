"""The process group of a training: this process's rank, and the collectives that it takes part in.

`join_process_group` makes the group, once a process. Size and rank come from the variables that every launcher sets
(RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT: `launcher`, torchrun, DeepSpeed's). Without them the group has
one rank and is made from a store in memory, so that no port is opened.

Python objects go over gloo, on a GPU too, so that they never wait for the device. A rank that dies breaks the
connection: the next collective of any other rank raises RankLost. Knows nothing of batches and models.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from infra.visible import first_line
from schemas.errors import ConfigurationError, RankLost

_T = TypeVar("_T")

_TIMEOUT = timedelta(minutes=30)  # a rank that sends nothing for so long counts as lost
_REQUIRED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class ProcessGroup:
    """The ranks that train together, as this one sees them. `ProcessGroup()` has a single rank.

    gloo   torch's group for Python objects; None: the default group
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    gloo: Any = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def all_gather(self, value: _T) -> list[_T]:
        """Every rank's value, by rank. For small values."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        with self.detect_lost_rank():
            dist.all_gather_object(values, value, group=self.gloo)
        return values

    def broadcast(self, value: _T) -> _T:
        """The first rank's value."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        values = [value]
        with self.detect_lost_rank():
            dist.broadcast_object_list(values, src=0, group=self.gloo)
        return values[0]

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.all_gather(None)

    @contextmanager
    def detect_lost_rank(self) -> Iterator[None]:
        """Raise RankLost for an error of torch that another rank's death has caused. Other errors pass."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _is_connection_error(error):
                raise
            raise RankLost(
                f"Rank {self.rank} of {self.size} has lost the connection to the others ({first_line(error)}). One of "
                "them has died; the first message in the ranks' logs says why. Start again: training resumes from the "
                "last checkpoint."
            ) from error


def _is_connection_error(error: RuntimeError) -> bool:
    from torch.distributed import DistError

    return isinstance(error, DistError) or any(name in str(error) for name in ("gloo", "NCCL", "Connection closed"))


@cache
def join_process_group(device: str) -> ProcessGroup:
    """The process group for `cpu` or `cuda`. It stays until the process ends.

    Raises ConfigurationError for variables that contradict one another, RankLost when the other ranks do not join.
    """
    import torch.distributed as dist

    os.environ.setdefault("LOCAL_RANK", "0")
    rank, size, local_rank = rank_from_environment()
    if device == "cuda":
        _select_gpu(local_rank)
    if dist.is_initialized():
        return ProcessGroup(rank, size, local_rank, _gloo_group(device) if size > 1 else None)
    backend = "nccl" if device == "cuda" else "gloo"
    if size == 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
        return ProcessGroup()
    if os.environ["MASTER_ADDR"] in {"127.0.0.1", "localhost", "::1"}:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        dist.init_process_group(backend, timeout=_TIMEOUT)
    except RuntimeError as error:
        raise RankLost(
            f"Rank {rank} of {size} did not find the others at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} ({error}). Start all of them, with the same address."
        ) from error
    return ProcessGroup(rank, size, local_rank, _gloo_group(device))


def rank_from_environment() -> tuple[int, int, int]:
    """(rank, size, local rank) from the launcher's variables; (0, 1, 0) without any.

    Raises ConfigurationError when some are missing or wrong.
    """
    if "WORLD_SIZE" not in os.environ:
        return 0, 1, 0
    missing = [name for name in _REQUIRED if name not in os.environ]
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


def _select_gpu(local_rank: int) -> None:
    import torch

    if local_rank >= torch.cuda.device_count():
        raise ConfigurationError(
            f"LOCAL_RANK is {local_rank}, but this machine has {torch.cuda.device_count()} CUDA devices. Start at most "
            "one process for each device."
        )
    torch.cuda.set_device(local_rank)


def _gloo_group(device: str) -> Any:
    """A gloo group beside NCCL's on a GPU; None on the CPU, where the default group is gloo."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=_TIMEOUT) if device == "cuda" else None
