"""The digest by which a file is known again."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of the file as it lies there, compressed or not, in hexadecimal. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
