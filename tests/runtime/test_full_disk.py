"""A real disk that is read-only, and one that fills up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).with_name("fill_disk.py")


def test_a_disk_that_is_read_only_and_then_full_costs_no_event_and_tears_no_line(
    tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    alone = [system_program("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("nobody may mount a disk of their own here")
    done = subprocess.run(
        [*alone, sys.executable, str(SCRIPT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=SCRIPT.parents[2],
        env={"PYTHONPATH": str(SCRIPT.parents[2]), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["starts"] == list(range(500))
    assert result["whole"]
    states = ["on" if words.endswith("is on.") else "off" for words in result["heard"]]
    assert states == ["off", "on", "off", "on"]
