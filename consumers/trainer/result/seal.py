"""The seal of a checkpoint: proof that a training of this installation wrote it.

DeepSpeed loads its files by unpickling, which runs whatever code they hold. So a checkpoint is loaded only with a valid
HMAC of its state and the SHA-256 of each of its files. The key never leaves this installation: it is in `state_dir`,
readable by its owner alone, and not beside the checkpoints, which may be copied from anywhere.

It does not protect against someone who can read the key, or write to the folder while it is being loaded.
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
    """Makes and verifies seals. `trust_all`: the user vouches for checkpoints without a valid seal."""

    key: bytes
    trust_all: bool = False

    @classmethod
    def of(cls, state_dir: Path, *, trust_all: bool = False) -> "Seal":
        """The seal with the installation's key, which is created at the first call."""
        path = state_dir / KEY
        if not path.is_file():
            state_dir.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{KEY}.{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_bytes(secrets.token_bytes(_BYTES))
            with suppress(FileExistsError):  # another training was first
                os.link(draft, path)
            draft.unlink()
        return cls(path.read_bytes(), trust_all)

    def sign(self, content: bytes) -> str:
        """The seal of a content, in hexadecimal."""
        return hmac.digest(self.key, content, "sha256").hex()

    def verifies(self, content: bytes, seal: str) -> bool:
        """Whether the seal is that of the content."""
        return hmac.compare_digest(self.sign(content), seal)
