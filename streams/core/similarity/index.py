"""The similarity index in use: the compiled one where it is installed, else the reference.

Both give the same answers, bit for bit (`tests/unit/core/test_native.py`).
"""

from typing import TYPE_CHECKING

from schemas.native import CORE
from streams.core.similarity.items import Position

if TYPE_CHECKING or CORE is None:
    from streams.core.similarity.reference import ReferenceIndex as RougeLIndex
else:
    from streams.core.similarity.native import NativeIndex as RougeLIndex

__all__ = ["Position", "RougeLIndex"]
