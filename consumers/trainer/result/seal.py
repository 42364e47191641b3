"""The seal of a checkpoint: a proof that a training of this installation wrote it.

DeepSpeed loads its files by unpickling them, which runs whatever code they hold. So a checkpoint is loaded only when
its state and the SHA-256 of each of its files stand under an HMAC whose key never leaves this installation: it lies in
`state_dir`, readable by its owner alone, and not beside the checkpoints, which may be copied from anywhere.

It does not protect from who can read the key, or write to the folder while it is being loaded.
"""

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KEY = "checkpoint.key"
_BYTES = 32


@dataclass(frozen=True)
class Seal:
    """Makes and proves seals. `trusts_all`: whoever starts the training vouches for checkpoints without one."""

    key: bytes
    trusts_all: bool = False

    @classmethod
    def of(cls, state_dir: Path, *, trusts_all: bool = False) -> "Seal":
        """With the installation's key, which is made when there is none yet."""
        path = state_dir / KEY
        if not path.is_file():
            state_dir.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{KEY}.{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_bytes(secrets.token_bytes(_BYTES))
            with suppress(FileExistsError):  # another training was first
                os.link(draft, path)
            draft.unlink()
        return cls(path.read_bytes(), trusts_all)

    def make(self, content: bytes) -> str:
        """The seal of what stands under it, in hexadecimal."""
        return hmac.digest(self.key, content, "sha256").hex()

    def proves(self, content: bytes, seal: str) -> bool:
        """Whether this is the seal of the content."""
        return hmac.compare_digest(self.make(content), seal)
