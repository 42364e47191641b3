"""Fields that a result has in common with what it is made of."""

from typing import Any

import msgspec


def fields_of(kind: type[msgspec.Struct], *sources: object) -> dict[str, Any]:
    """The fields of `kind` that the sources have under the same names; of several sources the last one counts."""
    return {
        name: getattr(source, name) for source in sources for name in kind.__struct_fields__ if hasattr(source, name)
    }
