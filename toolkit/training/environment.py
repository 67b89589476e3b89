"""What a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("framestep", "tensorflow", "tf_keras", "tensorflow-model-optimization", "numpy")


def environment(command: str) -> dict[str, str]:
    """Tell versions, machine and command, for people.

    Args:
        command: how the user asked; "" for not by command.
    """
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if command:
        found["command"] = command
    return found
