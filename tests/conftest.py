"""What every test shares: quiet libraries, and how to ask a fresh interpreter."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# It works beside TensorFlow only where it came first, and some test will import that.
with contextlib.suppress(ImportError):
    importlib.import_module("tflite_runtime.interpreter")

# The same examples everywhere: a law that breaks, breaks for everybody. No deadline: machines that test are busy.
settings.register_profile("framestep", deadline=None, derandomize=True, database=None)
settings.load_profile("framestep")

THIRD_PARTY_WARNINGS = (
    # tensorflow_model_optimization compares versions with distutils' old classes when imported.
    "ignore:distutils Version classes are deprecated:DeprecationWarning",
    # tf.lite announces that it leaves TensorFlow after 2.21; pyproject.toml holds TensorFlow below that.
    "ignore:.*tf.lite.Interpreter is deprecated:UserWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    """Pass over warnings that only other people's code can mend, and let children hear Ctrl-C.

    A shell starts jobs in the background with SIGINT ignored, and children inherit that: tests that send it would wait.
    """
    for line in THIRD_PARTY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def system_program() -> Callable[[str, str], str]:
    """Find a program that pip does not install.

    Where its Debian package is missing the test is skipped, which FRAMESTEP_REQUIRE_SYSTEM=1 forbids.
    """

    def find(program: str, package: str) -> str:
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if found is None:
            missing = f"{program} is missing. Debian: apt install {package}"
            if os.environ.get("FRAMESTEP_REQUIRE_SYSTEM") == "1":
                pytest.fail(missing)
            pytest.skip(missing)
        return found

    return find


@pytest.fixture
def converter_in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Spare a start of TensorFlow for each conversion; test_tflite tests the child process."""
    from converters import tflite

    output = tmp_path_factory.mktemp("converter") / "network.tflite"

    def convert_here(folder: Path, recipe: str) -> bytes:
        tflite._convert(str(folder), str(output), recipe)
        return output.read_bytes()

    monkeypatch.setattr("converters.convert.convert_saved_model", convert_here)


@pytest.fixture(scope="session")
def modules_after() -> Callable[..., set[str]]:
    """The modules that a fresh interpreter holds after it ran some code."""

    def ask(code: str, *, directory: Path = ROOT) -> set[str]:
        script = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=directory, timeout=300
        )
        assert done.returncode == 0, done.stderr
        names: list[str] = json.loads(done.stdout.splitlines()[-1])
        return set(names)

    return ask


@pytest.fixture(scope="session")
def framestep() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `framestep ARGUMENTS…` in a process of its own."""

    def run(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from toolkit.cli import main; main()", *map(str, arguments)]
        settings = {"capture_output": True, "text": True, "timeout": 600, "stdin": subprocess.DEVNULL} | settings
        return subprocess.run(command, check=False, **settings)  # check is given

    return run
