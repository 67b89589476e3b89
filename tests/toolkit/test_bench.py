"""`framestep bench` measures every file alike. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runtime.errors import ArtifactError, ConfigError, SourceError
from toolkit.cli import framestep
from toolkit.evaluation.bench import BLOCK, BenchConfig, bench

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*.tflite"))
ARTIFACT = GOLDEN[0]
FRAMES = 2 * BLOCK + 7


@pytest.fixture(scope="module")
def files() -> list[dict[str, Any]]:
    result = CliRunner().invoke(framestep, ["bench", str(ARTIFACT), str(ARTIFACT), "--frames", str(FRAMES), "--json"])
    assert result.exit_code == 0, result.stderr
    answer: dict[str, list[dict[str, Any]]] = json.loads(result.stdout)
    return answer["files"]


def test_every_file_gets_the_same_frames(files: list[dict[str, Any]]) -> None:
    assert [file["frames"] for file in files] == [FRAMES, FRAMES]


def test_percentiles_stand_in_order(files: list[dict[str, Any]]) -> None:
    for file in files:
        for stage in ("preprocess", "step", "decide"):
            times = file["stages_us"][stage]
            assert 0 < times["p50"] <= times["p95"] <= times["p99"]


def test_synthetic_pictures_are_not_decoded(files: list[dict[str, Any]]) -> None:
    assert [file["stages_us"]["decode"] for file in files] == [None, None]


def test_memory_and_cold_start_come_from_a_process_of_their_own(files: list[dict[str, Any]]) -> None:
    # Python with numpy and an interpreter holds some 50 MB; this process, with TensorFlow's tests in it, far more.
    assert all(10e6 < file["rss_bytes"] < 200e6 and file["cold_start_ms"] > 0 for file in files)


def test_sizes_are_the_files(files: list[dict[str, Any]]) -> None:
    assert {file["bytes"] for file in files} == {ARTIFACT.stat().st_size}
    assert all(0 < file["gzip_bytes"] <= file["bytes"] for file in files)


def test_people_get_a_row_for_each_file() -> None:
    result = CliRunner().invoke(framestep, ["bench", str(ARTIFACT), "--frames", "60"])
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["file", str(ARTIFACT)]


def test_a_short_source_goes_round_again(pictures: Path) -> None:
    (result,) = bench([ARTIFACT], BenchConfig(source=str(pictures), frames=BLOCK))
    assert result["frames"] == BLOCK
    assert result["stages_us"]["decode"]["p50"] > 0


def test_a_source_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        bench([ARTIFACT], BenchConfig(source=str(tmp_path), frames=1))


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"not a model" * 99)
    with pytest.raises(ArtifactError):
        bench([path], BenchConfig(frames=1))


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="frames is 0; it must be at least 1"):
        BenchConfig(frames=0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    import numpy as np
    import simplejpeg

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        picture = np.full((48, 64, 3), 50 * i, np.uint8)
        (folder / f"{i}.jpg").write_bytes(simplejpeg.encode_jpeg(picture))
    return folder
