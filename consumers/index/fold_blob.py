"""A run's fold as bytes, and back.

Reading back creates nothing but this project's own data and plain containers, so a file that somebody else wrote runs
no code. Bytes of another version of these programs are refused by `program_digest`, not by their form.
"""

import hashlib
import io
import pickle
from functools import cache
from pathlib import Path
from typing import Any

from consumers.folds.run_fold import RunFold
from schemas.errors import SchemaError

_OURS = ("schemas.", "streams.core.", "consumers.folds.")
_ALSO = {("collections", "Counter"), ("collections", "OrderedDict"), ("collections", "deque")} | {
    ("msgspec._utils", "rebuild"),  # how msgspec pickles a struct
    ("builtins", "set"),
    ("builtins", "frozenset"),
}
_DECIDING = ("schemas", "streams/core", "consumers/folds", "consumers/index")


class _OwnDataOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALSO:
            return super().find_class(module, name)
        found = super().find_class(module, name) if module.startswith(_OURS) else None
        if isinstance(found, type) and found.__module__ == module:
            return found
        raise SchemaError(f"{module}.{name} is no data of a fold")


def to_bytes(fold: RunFold) -> bytes:
    return pickle.dumps(fold, protocol=5)


def from_bytes(raw: bytes) -> RunFold:
    """The fold. Raises SchemaError for bytes that `to_bytes` did not write."""
    try:
        found = _OwnDataOnly(io.BytesIO(raw)).load()
    except Exception as error:  # whatever the bytes lead to
        raise SchemaError(f"no fold: {error}") from error
    if not isinstance(found, RunFold):
        raise SchemaError(f"no fold: {type(found).__name__}")
    return found


@cache
def program_digest() -> str:
    """A digest of the code that a fold and an index are made by; another digest, another index."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for folder in _DECIDING:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
