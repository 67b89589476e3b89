"""JSON lines, to standard output or to the end of a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from runtime.errors import SinkError

if TYPE_CHECKING:
    from typing_extensions import Self

    from runtime.sinks import Record


class JsonLinesSink:
    """Write each record as one line, at once.

    A file is added to. Where its last line was torn, by a power cut or a full disk, a new line is begun: readers skip
    the torn one.

    Args:
        target: a file's path, or `-` for standard output.

    Raises:
        SinkError: where the file cannot be opened.
    """

    def __init__(self, target: str) -> None:
        self._name = "standard output" if target == "-" else target
        self._own = target != "-"
        self._failed = False
        # What a terminal of another encoding cannot show is written in JSON's own escapes.
        unicode = self._own or (sys.stdout.encoding or "").lower().startswith("utf")
        self._encode = json.JSONEncoder(ensure_ascii=not unicode, allow_nan=False).encode
        if not self._own:
            self._stream: TextIO = sys.stdout
            return
        try:
            torn = _is_torn(Path(target))
            self._stream = Path(target).open("a", encoding="utf-8", newline="\n")  # noqa: SIM115  # close() is ours
        except OSError as error:
            raise SinkError(f"{target} cannot be written ({error.strerror}). Name another file.") from None
        if torn:
            self._put("\n")

    def write(self, record: Record) -> None:
        """Write a line.

        Raises:
            SinkError: where the disk is full, or whoever read the output is gone.
        """
        self._put(self._encode(record) + "\n")

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            self._failed = True
            raise self._error(error) from None

    def close(self) -> None:
        """Close the file; standard output stays open.

        Raises:
            SinkError: where its rest cannot be written, unless a write has said so already.
        """
        if not self._own:
            return
        try:
            self._stream.close()
        except OSError as error:
            if not self._failed:
                raise self._error(error) from None

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
