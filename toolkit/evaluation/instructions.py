"""Instructions that a step executes on a board's core, counted where the Pi lab is set up.

The lab (`benchmarks/pi_lab` in framestep's repository) emulates the core; its counts are the same in every run, which
no time on a busy machine is. Its README tells what they are good for, and what not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from runtime.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping

Target: TypeAlias = Literal["pi-zero2w", "pi3", "pi4", "pi5", "x86-64"]

CORES: Mapping[str, str] = {
    "pi-zero2w": "cortex-a53",
    "pi3": "cortex-a53",
    "pi4": "cortex-a72",
    "pi5": "cortex-a76",
}
"""The core of each target that the lab emulates."""

LAB_VARIABLE = "FRAMESTEP_PI_LAB"
LIMIT_S = 300.0


def lab_folder() -> Path:
    """Return where the lab is looked for, whether or not it is there."""
    named = os.environ.get(LAB_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "framestep-pi-lab"


def lab_is_there() -> bool:
    """Whether the lab is set up."""
    return _script().is_file()


def count_instructions(path: Path, core: str, *, limit_s: float = LIMIT_S) -> int:
    """Count the instructions of one invoke of an artifact, one thread.

    Args:
        path: of the artifact.
        core: one of `CORES`.
        limit_s: after which the emulation is ended.

    Raises:
        ConversionError: where the lab gives no count.
    """
    command = [str(_script()), str(path), "--cpu", core, "--dir", str(lab_folder())]
    # A session of its own: the emulator is a grandchild, and must end with the script.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as lab:
        try:
            output, words = lab.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise ConversionError(
                f"The Pi lab has not counted {path.name} within {limit_s:g} s. Leave --target out to time it here."
            ) from None
        finally:
            if lab.poll() is None:
                os.killpg(lab.pid, signal.SIGKILL)
    if lab.returncode:
        last = (words.strip().splitlines() or ["it said nothing"])[-1]
        raise ConversionError(
            f"The Pi lab ended with status {lab.returncode}: {last}. Run its setup.sh again, or leave --target out."
        )
    return _counted(output)


def _script() -> Path:
    return lab_folder() / "count.sh"


def _counted(output: str) -> int:
    """Read the lab's JSON line."""
    try:
        count = json.loads(output)["insn_per_invoke"]
    except (ValueError, KeyError, TypeError):
        count = None
    if type(count) is not int or count <= 0:
        raise ConversionError(
            f"The Pi lab said {output.strip()[:100]!r}, which is no count. Run its setup.sh again, or leave --target "
            "out."
        )
    return count
