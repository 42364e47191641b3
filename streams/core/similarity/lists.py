"""Inverted lists: the slots of the texts listed under each element.

A long list is split by the length of its texts. The rank of the first shared element in a text's rarity order bounds
the length of the other text (`LengthBounds.reach`), so only some parts are read.
"""

from array import array
from typing import TypeAlias

from streams.core.similarity.bounds import LONGEST, LengthBounds

_SPLIT_FROM = 256  # slots; shorter lists are not worth splitting

SlotList: TypeAlias = "array[int]"


class InvertedLists:
    """Lists of slots by element; `lengths`, by slot, is only read."""

    def __init__(self, lengths: SlotList) -> None:
        self._lengths = lengths
        self._whole: dict[int, SlotList] = {}
        self._parts: dict[int, dict[int, SlotList]] = {}

    def add(self, element: int, slot: int) -> None:
        """List a slot under an element."""
        if element in self._parts:
            self._add_to_part(element, slot)
            return
        listed = self._whole.get(element)
        if listed is None:
            listed = self._whole[element] = array("I")
        listed.append(slot)
        if len(listed) > _SPLIT_FROM:
            del self._whole[element]
            self._parts[element] = {}
            for each in listed:
                self._add_to_part(element, each)

    def _add_to_part(self, element: int, slot: int) -> None:
        parts = self._parts[element]
        length = min(self._lengths[slot], LONGEST)
        part = parts.get(length)
        if part is None:
            part = parts[length] = array("I")
        part.append(slot)

    def take(self, element: int) -> SlotList:
        """Remove and return all slots of an element."""
        whole = self._whole.pop(element, None)
        if whole is not None:
            return whole
        return array("I", b"".join(self._parts.pop(element, {}).values()))

    def remove(self, element: int, slot: int) -> None:
        """Take a slot out of an element's list; its length must still be the one that it was listed with."""
        parts = self._parts.get(element)
        listed = self._whole[element] if parts is None else parts[min(self._lengths[slot], LONGEST)]
        listed.remove(slot)

    def tokens(self, element: int) -> int:
        """The total tokens of the texts under an element; in a split list at most LONGEST each."""
        whole = self._whole.get(element)
        if whole is not None:
            return sum(map(self._lengths.__getitem__, whole))
        return sum(length * len(part) for length, part in self._parts.get(element, {}).items())

    def read(self, rarest: list[int], row: LengthBounds, enough: float) -> tuple[int, list[SlotList]]:
        """The number of slots to check for a text with these rarest elements, and their lists.

        No lists when there are more slots than `enough`.
        """
        whole, parts, shortest = self._whole, self._parts, min(row.shortest, LONGEST)
        named = 0
        lists = []
        for place, element in enumerate(rarest):
            listed = whole.get(element)
            if listed is not None:
                lists.append(listed)
                named += len(listed)
            elif element in parts:
                by_length = parts[element]
                reach = row.reach[place]
                if reach - shortest < len(by_length):
                    fitting = [part for n in range(shortest, reach + 1) if (part := by_length.get(n))]
                else:
                    fitting = [part for n, part in by_length.items() if shortest <= n <= reach]
                lists += fitting
                named += sum(map(len, fitting))
            if named > enough:
                return named, []
        return named, lists
