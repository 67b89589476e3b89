"""Imports are a promise: a device loads what a device needs."""

from __future__ import annotations

import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runtime
from toolkit.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    Modules = Callable[..., set[str]]

ROOT = Path(__file__).resolve().parents[2]
TRAINING = {"tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "sklearn", "scipy", "matplotlib"}
HEAVY = (
    TRAINING
    | {"numpy", "cv2", "av", "simplejpeg", "ai_edge_litert", "tflite_runtime", "rich"}
    | {
        "paho",
        "prometheus_client",
    }
)
RUNTIME_MODULES = sorted(name for _, name, _ in pkgutil.walk_packages(runtime.__path__, "runtime."))

HELP = """
from toolkit.cli import framestep
try:
    framestep.main(["--help"])
except SystemExit:
    pass
"""


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_runtime_loads_nothing_but_the_standard_library(modules_after: Modules) -> None:
    assert not roots(modules_after("import runtime")) & HEAVY


@pytest.mark.parametrize("module", ["runtime.errors", "runtime.spec", "runtime.frame"])
def test_what_everyone_reads_needs_no_numpy(module: str, modules_after: Modules) -> None:
    assert not roots(modules_after(f"import {module}")) & HEAVY


def test_no_module_of_runtime_loads_a_training_library_an_interpreter_or_a_decoder(modules_after: Modules) -> None:
    assert len(RUNTIME_MODULES) > 10
    loaded = roots(modules_after("\n".join(f"import {name}" for name in RUNTIME_MODULES)))
    assert not loaded & (HEAVY - {"numpy"})


def test_help_loads_click_and_the_standard_library_alone(modules_after: Modules) -> None:
    ours = modules_after(HELP) - modules_after("pass")
    foreign = {name for name in ours if name.partition(".")[0] not in sys.stdlib_module_names | {"click", "colorama"}}
    assert {name for name in foreign if not name.startswith("__editable__")} == {"toolkit", "toolkit.cli"}


def test_help_loads_at_most_a_few_modules_more_than_click(modules_after: Modules) -> None:
    assert len(modules_after(HELP)) - len(modules_after("import click")) < 25


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_module_loads_click_but_no_library(command: str, modules_after: Modules) -> None:
    assert not roots(modules_after(f"import {COMMANDS[command][0]}")) & HEAVY


def test_every_command_in_the_table_exists() -> None:
    missing = [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(module) is None]
    assert missing == []


def test_imports_go_down_only() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
