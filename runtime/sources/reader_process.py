"""The parent's end of a reader's process: commands out, answers in, and an end to it whatever it hangs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.sources.reader import Header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND = (sys.executable, "-m", "runtime.sources.reader")

_CHUNK_BYTES = 1 << 20
_END_S = 5.0  # after SIGKILL; a process in a driver's uninterruptible sleep is left to init


class ReaderProcess:
    """One child that reads one camera.

    Args:
        command: that starts it.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        # The child finds this package wherever the parent did.
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._child = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # FFmpeg's own words may hold the address
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._child.stdin is not None and self._child.stdout is not None  # noqa: S101, PT018  # both are pipes
        self._commands, self._answers = self._child.stdin, self._child.stdout
        os.set_blocking(self._answers.fileno(), False)
        self._received = bytearray()

    def fileno(self) -> int:
        """What becomes readable when there is an answer."""
        return self._answers.fileno()

    def send(self, command: Mapping[str, Any]) -> None:
        """Give a command; a child that is gone shows when its answer is awaited."""
        with suppress(OSError):
            self._commands.write(json.dumps(command).encode() + b"\n")
            self._commands.flush()

    def receive(self) -> tuple[Header, bytes] | None:
        """Take what has come; None while an answer is not complete.

        Raises:
            EOFError: where the child has ended.
        """
        data = self._answers.read(_CHUNK_BYTES)
        if data is None:
            return None
        if not data:
            raise EOFError
        self._received += data
        if len(self._received) < Header.LENGTH:
            return None
        header = Header.unpack(bytes(self._received[: Header.LENGTH]))
        end = Header.LENGTH + header.size
        if len(self._received) < end:
            return None
        payload = bytes(self._received[Header.LENGTH : end])
        del self._received[:end]
        return header, payload

    def end(self) -> None:
        """End the child, whatever it is doing."""
        self._child.kill()
        for pipe in (self._commands, self._answers):
            with suppress(OSError):  # of what was still to be written
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)
