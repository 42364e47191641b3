"""A new folder that is never seen incomplete: it is written beside, and renamed when it is complete.

A process that is killed leaves `.<name>.<random>.partial`, which may be deleted.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError


def require_new(folder: Path) -> None:
    """Raise ConfigurationError when something is there under this name."""
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} exists already, and an export never changes one. Give another folder.")


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder, which becomes `folder` when the block ends without an error; else nothing is left behind.

    Raises ConfigurationError when it cannot be written, or is there by then.
    """
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        work.mkdir(parents=True)
        yield work
        if folder.exists():
            raise ConfigurationError(f"{folder} was created by another process meanwhile. Give another folder.")
        work.rename(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error}. Clear the way, or give another folder."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
