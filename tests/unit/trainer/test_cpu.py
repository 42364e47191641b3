"""A heap that has grown by half is trimmed, and then measured anew."""

from infra.models.cpu import HeapTrimmer


class Trims:
    def __init__(self) -> None:
        self.times = 0

    def malloc_trim(self, _pad: int) -> int:
        self.times += 1
        return 1


def test_it_is_returned_when_it_has_grown_by_half_and_then_is_measured_anew() -> None:
    libc = Trims()
    heap = HeapTrimmer(libc)
    assert [heap.trim_if_grown(held) for held in (100, 140, 150, 151, 160, 240, 241)] == [
        False,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert libc.times == 2


def test_what_is_held_is_this_process() -> None:
    heap = HeapTrimmer(Trims())
    heap.trim_if_grown()
    assert heap.base is not None
    assert heap.base > 1 << 20
