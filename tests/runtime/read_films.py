"""The reader's process, with films, pipes and lists of them in place of devices.

An address is a path, or `fault:NAME` for what no film does.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import SourceError
from runtime.sources import captures, reader
from runtime.sources.captures import FFmpegCapture, Shot

if TYPE_CHECKING:
    from collections.abc import Iterator


class Faulty:
    """A camera that does what its name says, after ten whole pictures."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def shots(self) -> Iterator[Shot]:
        import numpy as np

        for number in range(1000):
            time.sleep(0.01)
            now_s = time.monotonic()
            if number >= 10:
                if self._fault == "hang":
                    time.sleep(3600)
                if self._fault == "crash":
                    import os

                    os.abort()
                if self._fault == "fail":
                    raise SourceError("it failed (Input/output error) at rtsp://me:secret@camera/1?token=secret")
            picture: Any = np.full((48, 64), number % 200, np.uint8)
            if number >= 10 and self._fault == "broken" and number % 4:
                picture = b"no picture"
            standing = number >= 10 and self._fault == "standing still"
            yield Shot(picture=picture, presented_s=10.0 if standing else now_s, arrived_s=now_s)

    def close(self) -> None:
        pass


def open_film(address: str) -> Any:
    if address.startswith("fault:"):
        return Faulty(address.removeprefix("fault:"))
    if not Path(address).exists():
        raise SourceError("it cannot be opened (No such file or directory)")
    return FFmpegCapture(address)


captures.open_capture = open_film
reader.main()
