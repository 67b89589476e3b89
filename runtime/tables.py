"""The tables of a FlatBuffer, read without trusting an offset or a length.

A table is a list of fields, found by slot, each left out where it has its default. Every place is checked against the
file, and what is walked through against a budget: vectors may overlap, so the file's size bounds nothing.
https://flatbuffers.dev/internals tells the encoding.
"""

from __future__ import annotations

import struct
from typing import Any

from runtime.errors import ArtifactError

MAX_ENTRIES = 1 << 19
"""Tables, and entries of vectors, all together. A large network has some ten thousand."""


def damaged(what: str) -> ArtifactError:
    """Make the error for a network that contradicts itself."""
    return ArtifactError(f"the network is damaged: {what}. Convert the model again.")


class Source:
    """The bytes, and what may still be read of them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.left = MAX_ENTRIES

    def number(self, form: str, at: int) -> Any:
        """Read one number, in a form of `struct`."""
        # A negative place would count from the end.
        if at < 0 or at + struct.calcsize(form) > len(self.content):
            raise damaged(f"byte {at} of {len(self.content)} is pointed at")
        return struct.unpack_from(form, self.content, at)[0]

    def vector(self, at: int, width: int) -> tuple[int, int]:
        """Give (place of the first entry, number of entries) of a vector that lies within the file."""
        length = self.number("<I", at)
        if at + 4 + length * width > len(self.content):
            raise damaged(f"a vector of {length} entries at byte {at} ends after byte {len(self.content)}")
        return at + 4, length

    def spend(self, entries: int) -> None:
        """Take entries off the budget."""
        self.left -= entries
        if self.left < 0:
            raise damaged(f"its vectors hold more than {MAX_ENTRIES} entries")

    def table(self, at: int) -> Table:
        """Give the table at a place."""
        return Table(self, at)


class Table:
    """A table: fields by slot, each with a default for where it is left out."""

    __slots__ = ("_at", "_size", "_slots", "_slots_end", "_source")

    def __init__(self, source: Source, at: int) -> None:
        source.spend(1)
        self._source = source
        self._at = at
        self._slots = at - source.number("<i", at)
        self._slots_end = self._slots + source.number("<H", self._slots)
        self._size = source.number("<H", self._slots + 2)

    def _place(self, slot: int, width: int) -> int | None:
        at = self._slots + 4 + 2 * slot
        if at + 2 > self._slots_end:
            return None
        offset: int = self._source.number("<H", at)
        if offset and offset + width > self._size:
            raise damaged(f"a field of the table at byte {self._at} lies outside it")
        return self._at + offset if offset else None

    def _pointer(self, slot: int) -> int | None:
        place = self._place(slot, 4)
        return None if place is None else place + int(self._source.number("<I", place))

    def holds(self, slot: int) -> bool:
        """Tell whether a table or a vector is there."""
        return self._pointer(slot) is not None

    def number(self, slot: int, form: str, default: int) -> int:
        """Read a number, in a form of `struct`."""
        place = self._place(slot, struct.calcsize(form))
        return default if place is None else int(self._source.number(form, place))

    def table(self, slot: int) -> Table:
        """Give a table that must be there."""
        place = self._pointer(slot)
        if place is None:
            raise damaged(f"the table at byte {self._at} lacks its field {slot}")
        return self._source.table(place)

    def tables(self, slot: int) -> list[Table]:
        """Give a vector of tables."""
        place = self._pointer(slot)
        if place is None:
            return []
        first, length = self._source.vector(place, 4)
        self._source.spend(length)
        places = range(first, first + 4 * length, 4)
        return [self._source.table(each + self._source.number("<I", each)) for each in places]

    def numbers(self, slot: int, kind: str) -> tuple[Any, ...]:
        """Read a vector of numbers of a kind of `struct`."""
        place = self._pointer(slot)
        if place is None:
            return ()
        first, length = self._source.vector(place, struct.calcsize(f"<{kind}"))
        self._source.spend(length)
        return struct.unpack_from(f"<{length}{kind}", self._source.content, first)

    def length(self, slot: int) -> int:
        """Give the size of a vector of bytes, or of how many tables it is."""
        place = self._pointer(slot)
        return 0 if place is None else self._source.vector(place, 1)[1]

    def text(self, slot: int) -> str:
        """Read a name of at most 256 bytes."""
        place = self._pointer(slot)
        if place is None:
            return ""
        first, length = self._source.vector(place, 1)
        if length > 256:
            raise damaged(f"a name has {length} bytes")
        return self._source.content[first : first + length].decode("utf-8", "backslashreplace")
