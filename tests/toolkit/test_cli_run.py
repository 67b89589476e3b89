"""`framestep run`, from the outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from runtime.testing import write_film
from toolkit.cli.run import command

if TYPE_CHECKING:
    from click.testing import Result

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "golden" / "tiny.tflite"
CLIP = ROOT / "tests" / "data" / "gestures" / "clockwise" / "block002_1.mp4"
FRAMESTEP = [sys.executable, "-c", "from toolkit.cli import main; main()"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def framestep(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [*FRAMESTEP, "run", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, **options)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten frames a second, as the golden network wants them."""
    return write_film(tmp_path / "x.mkv", [np.full((48, 64, 3), 9 * n, np.uint8) for n in range(25)], fps=10)


def test_json_is_a_line_a_frame_with_what_the_contract_names(film: Path) -> None:
    done = run(TINY, "--source", film, "--json")
    frames = [record for record in lines(done.stdout) if "event" not in record]
    assert done.exit_code == 0
    assert [record["index"] for record in frames] == list(range(25))
    for record in frames:
        assert list(record) == ["index", "time", "label", "probabilities", "decision"]
        assert len(record["probabilities"]) == 3
    assert all(set(record) == {"event", "start", "end"} for record in lines(done.stdout) if record not in frames)


def test_a_real_clip_at_another_rate_is_resampled() -> None:
    done = run(TINY, "--source", CLIP, "--json")
    frames = [record["index"] for record in lines(done.stdout) if "index" in record]
    assert len(frames) == 22  # of 32 at 15 a second
    assert "10 dropped, 0 repeated" in done.stderr


def test_max_frames_is_the_number_of_lines() -> None:
    done = run(TINY, "--source", "synthetic", "--json", "--max-frames", 7)
    assert len([record for record in lines(done.stdout) if "index" in record]) == 7


def test_json_beside_its_own_sink_writes_each_line_once(film: Path, tmp_path: Path) -> None:
    other = tmp_path / "out.jsonl"
    done = run(TINY, "--source", film, "--json", "--sink", "jsonl:-", "--sink", f"jsonl:{other}")
    assert done.stdout == other.read_text()
    assert len({record["index"] for record in lines(done.stdout) if "index" in record}) == 25


def test_without_a_sink_it_says_what_is_decided() -> None:
    done = run(TINY, "--source", "synthetic", "--max-frames", 60)
    assert done.stdout
    assert len(done.stdout.splitlines()) < 60


def test_the_summary_counts_on_stderr(film: Path) -> None:
    done = run(TINY, "--source", film, "--json")
    assert "25 frames; 0 dropped, 0 repeated, 0 missed, 0 broken, 0 gaps, 0 resets" in done.stderr
    assert "µs a frame, p50 / p95: decode" in done.stderr


def test_a_source_that_is_too_slow_is_told(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.mkv", [np.full((48, 64, 3), n, np.uint8) for n in range(9)], fps=5)
    done = run(TINY, "--source", path, "--json")
    assert "The source is too slow: of 17 frames 8 are repeats." in done.stderr


def test_a_dry_run_steps_once_and_writes_nothing(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run(TINY, "--source", film, "--sink", f"jsonl:{out}", "--dry-run")
    assert (done.exit_code, done.stdout, out.read_text()) == (0, "", "")
    assert "dry run: a frame came and was stepped" in done.stderr


def test_a_film_that_ends_early_is_told_and_is_no_failure(tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), n, np.uint8) for n in range(20)]
    path = write_film(tmp_path / "x.avi", pictures, fps=10, codec="mjpeg", pixel_format="yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run(TINY, "--source", path, "--json")
    assert done.exit_code == 0
    assert "ends early: it announces 20 frames" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([TINY, "--source", "nowhere.mp4"], "There is no file nowhere.mp4."),
        ([TINY, "--source", "ftp://host/"], "The source ftp://host/ is not one that framestep reads."),
        ([TINY, "--source", "synthetic", "--sink", "mqqt://host/x"], "The sink mqqt://host/x is not one"),
        ([TINY, "--source", "synthetic", "--sink", "jsonl:/dev/full"], "/dev/full cannot be written (No space left"),
        ([__file__, "--source", "synthetic"], "test_cli_run.py"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_1(arguments: list[object], words: str) -> None:
    done = framestep(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line.startswith("framestep: ")]
    assert len(said) == 1
    assert words in said[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], [TINY], [TINY, "--source", "synthetic", "--max-frames", 0], [TINY, "--sorce", "x"]]
)
def test_wrong_usage_is_exit_2(arguments: list[object]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number: signal.Signals) -> None:
    words = [*FRAMESTEP, "run", str(TINY), "--source", "synthetic", "--json"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        first = child.stdout.readline()
        child.send_signal(number)
        whole, said = first + child.stdout.read(), child.stderr.read()
    assert child.returncode == 0
    assert whole.endswith("}\n")
    frames = [record["index"] for record in lines(whole) if "index" in record]
    assert frames == list(range(len(frames)))
    assert f"{len(frames)} frames; " in said


def test_a_camera_that_is_away_is_waited_for_until_somebody_says_stop() -> None:
    words = [*FRAMESTEP, "run", str(TINY), "--source", "/dev/v4l/by-id/usb-none", "--json"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        said = next(line for line in child.stderr if "backing off" in line)
        child.send_signal(signal.SIGTERM)
        rest = child.stderr.read()
    assert child.returncode == 0
    assert "/dev/v4l/by-id/usb-none is backing off: it cannot be opened (No such file or directory)" in said
    assert "0 frames; " in rest


def test_a_sink_of_a_camera_that_cannot_be_opened_is_tried_again_and_ends_nothing(tmp_path: Path) -> None:
    sink = f"jsonl:{tmp_path}/nowhere/out.jsonl"
    words = [*FRAMESTEP, "run", str(TINY), "--source", "/dev/v4l/by-id/usb-none", "--sink", sink]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        said = ""
        while "is off" not in said or "backing off" not in said:
            said += child.stderr.readline()
        child.send_signal(signal.SIGTERM)
        child.stderr.read()
    assert child.returncode == 0
    assert f"{sink} is off: {tmp_path}/nowhere/out.jsonl cannot be written (No such file or directory)." in said


def test_no_password_of_a_source_is_said() -> None:
    words = [*FRAMESTEP, "run", str(TINY), "--source", "rtsp://me:secret@127.0.0.1:9/x?key=secret", "--max-frames", "1"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        said = next(line for line in child.stderr if "frames a second" in line)
        child.send_signal(signal.SIGTERM)
        said += child.stderr.read()
    assert "rtsp://…@127.0.0.1:9/x?…" in said
    assert "secret" not in said


def test_a_reader_that_goes_away_ends_it_with_one_line() -> None:
    words = [*FRAMESTEP, "run", str(TINY), "--source", "synthetic", "--json"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()
    assert child.returncode == 1
    assert "framestep: Whatever read standard output has gone." in said
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_it_needs_none_of_the_training_libraries(film: Path) -> None:
    blocked = ("tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "sklearn", "matplotlib", "rich")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from toolkit.cli import main\n"
        f"sys.argv = ['framestep', 'run', {str(TINY)!r}, '--source', {str(film)!r}, '--json', '--max-frames', '3']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert len(lines(done.stdout)) >= 3
