"""Files that are old or new, never half."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from runtime.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_written_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with replacing(path) as temporary:
        temporary.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_nothing_else(interruption: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_names_the_file_that_was_meant(tmp_path: Path) -> None:
    def full() -> None:
        with replacing(tmp_path / "file"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as error:
        full()
    assert error.value.filename == str(tmp_path / "file")


def test_a_folder_that_is_not_there_is_told_with_the_file_that_was_meant(tmp_path: Path) -> None:
    def nowhere() -> None:
        with replacing(tmp_path / "no" / "file") as temporary:
            temporary.write_text("text")

    with pytest.raises(FileNotFoundError) as error:
        nowhere()
    assert error.value.filename == str(tmp_path / "no" / "file")
