"""The memory of an object, with everything it references.

Sizes are Python's own plus 16 bytes for the garbage collector where tracked, rounded up to the allocator's 16 bytes;
shared objects count once. Small integers are counted too, so the sum is slightly high.
"""

import sys
from array import array

_GRAIN = 16


def held(root: object) -> int:
    """Bytes of an object of plain classes, dicts, lists, tuples, sets, arrays, strings and numbers."""
    total = 0
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or callable(each):
            continue
        seen.add(id(each))
        total += -(-sys.getsizeof(each) // _GRAIN) * _GRAIN
        if isinstance(each, dict):
            waiting += each.keys()
            waiting += each.values()
        elif isinstance(each, list | tuple | set):
            waiting += each
        elif not isinstance(each, str | bytes | int | float | array):
            waiting += [getattr(each, name) for name in getattr(type(each), "__slots__", ()) if hasattr(each, name)]
            waiting += [each.__dict__] if hasattr(each, "__dict__") else []
    return total
