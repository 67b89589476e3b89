"""JSON lines, to standard output or to the end of a file."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import SinkError

if TYPE_CHECKING:
    from typing_extensions import Self

    from runtime.sinks import Record

SMALLEST_BYTES = 10_000
"""The smallest budget: room for lines of a model with hundreds of labels."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much space a file and its predecessors may take.

    Attributes:
        max_bytes: of all together; each takes an equal part.
        keep: predecessors, of which FILE.1 is the newest.
    """

    max_bytes: int
    keep: int = 1

    @property
    def part_bytes(self) -> int:
        """Of one file."""
        return self.max_bytes // (self.keep + 1)


class JsonLinesSink:
    """Write each record as one line, at once.

    A file is added to. Where its last line was torn, by a power cut, a new line is begun: readers skip the torn one.
    A line that a full disk would tear is taken back. With a budget a full file becomes FILE.1, that one FILE.2, and so
    on; the last one gives way.

    Args:
        target: a file's path, or `-` for standard output.
        budget: of bytes; None for as many as there are.

    Raises:
        SinkError: where the file cannot be opened.
    """

    def __init__(self, target: str, budget: Budget | None = None) -> None:
        self._name = "standard output" if target == "-" else target
        self._path, self._budget = Path(target), budget
        self._file = -1
        # What a terminal of another encoding cannot show is written in JSON's own escapes.
        unicode = target != "-" or (sys.stdout.encoding or "").lower().startswith("utf")
        self._encode = json.JSONEncoder(ensure_ascii=not unicode, allow_nan=False).encode
        self._own = target != "-"
        if not self._own:
            return
        try:
            self._open()
            if _is_torn(self._path):
                self._put(b"\n")
        except OSError as error:
            self._close()
            raise SinkError(f"{target} cannot be written ({error.strerror}). Name another file.") from None

    def write(self, record: Record) -> None:
        """Write a line.

        Raises:
            SinkError: where the disk is full, or whoever read the output is gone.
        """
        line = self._encode(record) + "\n"
        try:
            if self._own:
                self._add(line.encode())
            else:
                sys.stdout.write(line)
                sys.stdout.flush()
        except SinkError:
            raise
        except OSError as error:
            raise self._error(error) from None

    def check(self) -> None:
        """See that the file still has its name.

        Raises:
            SinkError: where it was moved or removed, so that nobody would find what is written.
        """
        if not self._own or not self._regular:
            return
        try:
            same = os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            same = False
        if not same:
            raise SinkError(f"{self._name} was moved or removed. Leave it in its place.")

    def close(self) -> None:
        """Close the file; standard output stays open."""
        self._close()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        if self._budget and not self._regular:
            raise SinkError(f"{self._name} is no regular file and cannot have max_bytes. Leave it away.")

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _add(self, line: bytes) -> None:
        budget = self._budget
        if budget is not None:
            if len(line) > budget.part_bytes:
                raise SinkError(
                    f"A line of {len(line)} bytes does not fit {self._name}, which may have {budget.part_bytes}. "
                    f"Give a larger max_bytes."
                )
            size_bytes = os.fstat(self._file).st_size
            if size_bytes and size_bytes + len(line) > budget.part_bytes:
                self._rotate(budget)
        self._put(line)

    def _put(self, line: bytes) -> None:
        """Write all of a line or, of a regular file, nothing."""
        before = os.fstat(self._file).st_size
        done = 0
        try:
            while done < len(line):
                done += os.write(self._file, line[done:])
        except OSError:
            with contextlib.suppress(OSError):
                # Only what is ours: another process may have added to the file.
                if self._regular and done and os.fstat(self._file).st_size == before + done:
                    os.ftruncate(self._file, before)
            raise

    def _rotate(self, budget: Budget) -> None:
        """Make room: each file takes the name of the next older one; a power cut between two renames loses none."""
        os.fsync(self._file)
        for number in range(budget.keep, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1)
            if newer.exists():
                newer.replace(older)
        self._close()
        self._open()
        # A file of before there was a budget may be larger than its part.
        spare = budget.max_bytes - budget.part_bytes
        for number in range(1, budget.keep + 1):
            older = self._numbered(number)
            if older.exists():
                spare -= older.stat().st_size
                if spare < 0:
                    older.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _error(self, error: OSError) -> SinkError:
        if isinstance(error, BrokenPipeError):
            return SinkError(f"Whatever read {self._name} has gone. Let it read on, or ask for --max-frames.")
        return SinkError(f"{self._name} cannot be written ({error.strerror}). Free some space or name another file.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_torn(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
