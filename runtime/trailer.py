"""The zip at the end of an artifact.

`zipfile` is made to read any zip that people meet: of two members with one name it gives the last, it takes `../evil`
for a name, and it searches for the end of the archive. This reads one layout and no other, told in docs/artifact.md.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from runtime.errors import ArtifactError

SPEC_NAME = "framestep.json"
LABELS_NAME = "labels.txt"
MAX_SPEC_BYTES = 4 << 20
MAX_LABELS_BYTES = 1 << 20

_MEMBERS = ((SPEC_NAME, MAX_SPEC_BYTES), (LABELS_NAME, MAX_LABELS_BYTES))

# PKWARE's APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")


@dataclass(frozen=True, kw_only=True)
class Trailer:
    """What the zip holds.

    Attributes:
        start: its first byte in the file; the FlatBuffer ends here.
        spec: content of `framestep.json`.
        labels: content of `labels.txt`.
    """

    start: int
    spec: bytes
    labels: bytes


def read_trailer(data: bytes) -> Trailer:
    """Read the zip that ends a file.

    Raises:
        ArtifactError: where there is none, or one that differs from the format in anything.
    """
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != b"PK\x05\x06":
        raise ArtifactError(
            "the file has no framestep spec at its end: it is cut short, or another program wrote it. "
            "Convert the trained model with framestep convert."
        )
    _, disk, start_disk, here, entries, directory_bytes, directory, comment_bytes = _END.unpack_from(data, end)
    _demand(disk == start_disk == 0, "it spans disks")
    _demand(here == entries == len(_MEMBERS), f"it has {entries} members and not {len(_MEMBERS)}")
    _demand(comment_bytes == 0, "it has a comment")
    _demand(directory + directory_bytes == end, "its directory does not end where the archive's end begins")
    place = directory
    members = []
    for name, most in _MEMBERS:
        _demand(place + _CENTRAL.size + len(name) <= end, "its directory is too short")
        members.append(_member(data, place, name.encode(), most))
        place += _CENTRAL.size + len(name)
    _demand(place == end, "its directory holds more than the members")
    (start, spec, spec_end), (labels_start, labels, labels_end) = members
    _demand(spec_end == labels_start and labels_end == directory, "there are bytes between its parts")
    return Trailer(start=start, spec=spec, labels=labels)


def _member(data: bytes, place: int, name: bytes, most: int) -> tuple[int, bytes, int]:
    """Give (start of the local header, content, its end) of the member whose directory entry is at `place`."""
    magic, _made_by, *shared, name_bytes, extra, comment, disk, _, _, local = _CENTRAL.unpack_from(data, place)
    needed, flags, method, _time, _date, checksum, stored, size = shared
    title = name.decode()
    found = data[place + _CENTRAL.size : place + _CENTRAL.size + name_bytes]
    _demand(magic == b"PK\x01\x02", "its directory is damaged")
    _demand(found == name, f"a member is named {found[:40]!r} where {title} must stand")
    _demand(needed <= 20 and flags == method == extra == comment == disk == 0, f"{title} is not plainly stored")
    _demand(stored == size <= most, f"{title} has {size} bytes, stored in {stored}; at most {most}")
    _demand(local + _LOCAL.size + name_bytes + size <= place, f"{title} lies outside the file")
    header = _LOCAL.unpack_from(data, local)
    _demand(header == (b"PK\x03\x04", *shared, name_bytes, 0), f"the two headers of {title} differ")
    first = local + _LOCAL.size + name_bytes
    _demand(data[local + _LOCAL.size : first] == name, f"the two names of {title} differ")
    content = data[first : first + size]
    _demand(zlib.crc32(content) == checksum, f"{title} does not match its checksum")
    return local, content, first + size


def _demand(holds: bool, what: str) -> None:  # noqa: FBT001  # reads as a sentence where it is called
    if not holds:
        raise ArtifactError(f"the zip at the file's end is damaged or foreign: {what}. Convert the model again.")
