"""A state as bytes, and back.

Reading back creates nothing but this project's own data and plain containers, so a file that somebody else wrote runs
no code. Bytes of another version of these programs are refused by `program_digest`, not by their form.
"""

import gc
import hashlib
import io
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from schemas.errors import SchemaError

T = TypeVar("T")

_ROOT = Path(__file__).parents[2]
_COMMON = ("schemas", "streams/core", "infra/log/record.py", "infra/log/placement.py", "infra/snapshots")
_OURS = ("schemas.", "streams.core.")
_ALSO = {("collections", "Counter"), ("collections", "OrderedDict"), ("collections", "deque")} | {
    ("msgspec._utils", "rebuild"),  # how msgspec pickles a struct
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("array", "_array_reconstructor"),
    ("array", "array"),
}


class _OwnDataOnly(pickle.Unpickler):
    def __init__(self, raw: bytes, modules: tuple[str, ...]) -> None:
        super().__init__(io.BytesIO(raw))
        self._modules = modules

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALSO:
            return super().find_class(module, name)
        ours = module.startswith(_OURS) or module in self._modules
        found = super().find_class(module, name) if ours else None
        if isinstance(found, type) and found.__module__ == module:
            return found
        raise SchemaError(f"{module}.{name} is no data of a state")


def to_bytes(state: object) -> bytes:
    with _without_collection():
        return pickle.dumps(state, protocol=5)


def from_bytes(raw: bytes, kind: type[T], modules: tuple[str, ...]) -> T:
    """The state, of this kind. `modules`: those whose classes it may hold, beside the schemas' and the core's.

    Raises SchemaError for bytes that `to_bytes` did not write.
    """
    try:
        with _without_collection():
            found = _OwnDataOnly(raw, modules).load()
    except Exception as error:  # whatever the bytes lead to
        raise SchemaError(f"no {kind.__name__}: {error}") from error
    if not isinstance(found, kind):
        raise SchemaError(f"no {kind.__name__}: {type(found).__name__}")
    return found


@cache
def program_digest(*places: str) -> str:
    """A digest of the code that a state is made by: these files and folders of the project, beside the schemas, the
    core and the reading of records. Another digest, another state."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {version('msgspec')}".encode())
    for place in (*_COMMON, *places):
        path = _ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(_ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Millions of new objects make the collector look at all of them again and again; none of them is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
