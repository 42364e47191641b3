"""The `with` statement for objects that have to be closed."""

from typing import Self


class Closing:
    """Calls `close` at the end of a `with` block."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
