"""The whole way, small: what the demo says is what the commands say of the files that it leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from toolkit.cli import framestep
from toolkit.cli.demo import _tell
from toolkit.demo import DemoConfig, Listener, demo

STREAM_FRAMES = 800
FILM_FRAMES = 120
CONFIG = DemoConfig(
    variants=(("lstm", "float32"), ("lstm", "int8")),
    steps=260,
    baseline_share=0.1,
    stream_frames=STREAM_FRAMES,
    bench_frames=100,
    film_frames=FILM_FRAMES,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("way") / "demo"


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(folder: Path, stages: list[str]) -> dict[str, Any]:
    return demo(folder, CONFIG, Listener(stage=stages.append))


def ask(*arguments: object) -> Any:
    result = CliRunner().invoke(framestep, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_model_that_remembers_tells_what_one_frame_cannot(found: dict[str, Any]) -> None:
    lstm = found["runs"]["lstm"]
    assert lstm["val_accuracy"] > 0.97
    assert lstm["baselines"]["single_frame"] < 0.35


def test_the_agreement_is_what_verify_says(found: dict[str, Any], folder: Path) -> None:
    for variant in found["variants"]:
        against = ["--against", folder / "lstm", "--data", "digits", "--frames", STREAM_FRAMES]
        told = ask("verify", variant["path"], *against)
        assert {name: told[name] for name in variant["fidelity"]} == variant["fidelity"]


def test_the_accuracy_is_what_evaluate_says(found: dict[str, Any]) -> None:
    for variant in found["variants"]:
        assert ask("evaluate", variant["path"], "--data", "digits")["accuracy"] == variant["accuracy"]


def test_the_costs_are_what_bench_says(found: dict[str, Any]) -> None:
    files = ask("bench", *[variant["path"] for variant in found["variants"]], "--frames", 60)["files"]
    for variant, file in zip(found["variants"], files, strict=True):
        assert {key: variant[key] for key in ("path", "bytes", "gzip_bytes")} == {
            key: file[key] for key in ("path", "bytes", "gzip_bytes")
        }
        assert variant["step_us"].keys() == file["step_us"].keys()


def test_the_table_says_these_figures(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    _tell(found)
    printed = capsys.readouterr().out
    for variant in found["variants"]:
        (row,) = [line.split() for line in printed.splitlines() if line.startswith(f"{variant['name']} ")]
        assert row[1:3] == [f"{variant['accuracy']:.4f}", f"{variant['fidelity']['agreement']:.4f}"]
        assert row[-1] == f"{variant['step_us']['p50']:.1f}"
    assert found["artifact"] in printed


def test_the_film_has_a_line_for_each_frame(found: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in Path(found["film"]["answers"]).read_text().splitlines()]
    assert [line["index"] for line in lines if "index" in line] == list(range(FILM_FRAMES))


def test_framestep_run_says_the_same_of_the_film(found: dict[str, Any]) -> None:
    result = CliRunner().invoke(framestep, ["run", found["artifact"], "--source", found["film"]["path"], "--json"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == Path(found["film"]["answers"]).read_text()


def test_the_int8_artifact_is_one_partition_and_much_smaller(found: dict[str, Any]) -> None:
    plain, small = (ask("inspect", variant["path"]) for variant in found["variants"])
    assert (plain["delegated"]["partitions"], small["delegated"]["partitions"]) == (1, 1)
    assert small["bytes"] < 0.4 * plain["bytes"]


def test_every_stage_is_told(found: dict[str, Any], stages: list[str]) -> None:
    assert found["seconds"] > 0
    assert [stage.split()[0] for stage in stages] == ["training", "converting", "converting", "timing", "running"]


def test_an_artifact_that_fails_its_gate_is_not_written(found: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    assert found
    output = tmp_path / "a.tflite"
    dark = ["--calibrate", darkness(tmp_path / "dark"), "--frames", "200", "--keep", "--json"]
    result = CliRunner().invoke(
        framestep, ["convert", str(folder / "lstm"), "-o", str(output), "--precision", "int8", *dark]
    )
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert report["fidelity"]["agreement"] < 0.99
    assert not output.exists()
    assert Path(report["path"]).name == "a.failed.tflite"
    assert Path(report["path"]).is_file()


def darkness(folder: Path) -> str:
    import numpy as np

    from toolkit.data.digits_files import write_film

    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        write_film(folder / name / "film.mp4", np.zeros((40, 24, 24, 1), np.uint8), fps=15)
    return os.fspath(folder)
