"""The wheel, and a device that has nothing but what the wheel declares."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACT = min((ROOT / "tests/golden").glob("*.tflite"), default=ROOT / "tests/golden")
# tflite-runtime ends at Python 3.11.
INTERPRETERS = ("litert", "tflite") if sys.version_info < (3, 12) else ("litert",)
PACKAGES = ("runtime", "converters", "toolkit")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: setuptools would take what an older build left in the checkout.
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", source / "dist", source)
    (path,) = (source / "dist").glob("framestep-*.whl")
    return path


class Device:
    """An environment of its own, far from the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv/bin"
        venv.create(folder / "venv", with_pip=False)

    def install(self, *requirements: object) -> None:
        pip("--python", self.bin / "python", "install", "--no-compile", *requirements)

    def framestep(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self._run(self.bin / "framestep", *arguments)

    def python(self, code: str) -> str:
        return self._run(self.bin / "python", "-c", code).stdout.strip()

    def _run(self, *command: object) -> subprocess.CompletedProcess[str]:
        words = list(map(str, command))
        return subprocess.run(
            words, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture(scope="module")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    made = Device(tmp_path_factory.mktemp("device"))
    made.install(wheel)
    return made


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(12):
            picture = np.full((48, 64, 3), 20 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def device_with_video(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    made = Device(tmp_path_factory.mktemp("video"))
    made.install(f"{wheel}[video]")
    return made


def test_the_wheel_holds_every_package_and_nothing_else(wheel: Path) -> None:
    expected = {str(path.parent.relative_to(ROOT)) for each in PACKAGES for path in (ROOT / each).rglob("__init__.py")}
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert {str(Path(name).parent) for name in files} == expected


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {f"{package}/py.typed" for package in PACKAGES} <= set(archive.namelist())


def test_the_base_install_has_no_training_library(device: Device) -> None:
    code = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    found = set(device.python(code).split())
    assert {"framestep", "numpy", "click", "ai-edge-litert"} <= found
    assert not found & {"tensorflow", "tf-keras", "tf_keras", "keras", "scikit-learn", "matplotlib", "av", "rich"}


def test_the_base_install_runs_an_artifact(device: Device) -> None:
    done = device.framestep("run", ARTIFACT, "--source", "synthetic", "--max-frames", 7, "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["index"] for line in done.stdout.splitlines() if '"index"' in line] == list(range(7))


def test_the_base_install_names_the_extra_that_a_film_needs(device: Device, film: Path) -> None:
    done = device.framestep("run", ARTIFACT, "--source", film)
    assert done.returncode == 1
    # The interpreter itself says a line when it loads a network.
    (words,) = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]
    assert words.startswith("framestep: ")
    assert "pip install 'framestep[video]'" in words


def test_the_base_install_names_the_extra_that_training_needs(device: Device) -> None:
    done = device.framestep("train", "--data", "digits", "--out", "run")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "pip install 'framestep[train]'" in done.stderr


def test_the_base_install_inspects_an_artifact(device: Device) -> None:
    done = device.framestep("inspect", ARTIFACT, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ops"]


def test_the_video_extra_runs_a_film(device_with_video: Device, film: Path) -> None:
    done = device_with_video.framestep("run", ARTIFACT, "--source", film, "--json")
    assert done.returncode == 0, done.stderr
    assert sum('"index"' in line for line in done.stdout.splitlines()) > 0


@pytest.mark.parametrize("command", ["run", "inspect", "bench"])
def test_a_device_command_loads_no_training_library(command: str) -> None:
    extra = {"run": ["--source", "synthetic", "--max-frames", "3"], "inspect": [], "bench": ["--frames", "60"]}[command]
    code = (
        "import sys\nfrom toolkit.cli import main\n"
        f"sys.argv = ['framestep', {command!r}, {str(ARTIFACT)!r}, *{extra!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    roots = {name.partition(".")[0] for name in done.stderr.split()}
    assert not roots & {"tensorflow", "tf_keras", "keras", "sklearn", "scipy", "matplotlib", "cv2"}


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_each_interpreter_steps_the_golden_artifact(interpreter: str) -> None:
    command = [Path(sys.executable).parent / "framestep", "run", ARTIFACT, "--source", "synthetic", "--max-frames", "9"]
    done = subprocess.run(
        [*map(str, command), "--interpreter", interpreter, "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert sum('"index"' in line for line in done.stdout.splitlines()) == 9
