from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from runtime.errors import ConfigError, DatasetError
from toolkit.cli import framestep
from toolkit.training.run_folder import Run

if TYPE_CHECKING:
    from pathlib import Path


QUICK = ("--preset", "tiny", "--epochs", "1", "--no-bound", "--no-baselines", "--window", "8", "--units", "8")


@pytest.fixture
def films(make_film: Any, tmp_path: Path) -> Path:
    """Two classes of four films each."""
    for label, level in (("dark", 20), ("light", 200)):
        for number in range(4):
            make_film(tmp_path / "films" / label / f"{number}.mp4", frames=8, level=level)
    return tmp_path / "films"


def call(*arguments: object) -> Any:
    return framestep.main([*map(str, arguments)], "framestep", standalone_mode=False)


def test_films_become_a_run_and_one_json_object(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("train", "--data", films, "--out", tmp_path / "run", "--size", "16x16", *QUICK, "--reset", "every:5", "--json")
    out, words = capsys.readouterr()
    told = json.loads(out)
    assert {"run", "val_accuracy", "baselines", "seconds", "reset", "decision", "resets", "events"} <= told.keys()
    assert told["reset"] == {"policy": "every", "gap_s": 1.0, "every_frames": 5}
    assert told["events"]["target_per_hour"] == 60
    assert out.count("\n") == 1
    assert "train" in words
    run = Run.load(tmp_path / "run")
    assert run.labels == ("dark", "light")
    assert run.name == "run"
    assert run.data.sources == (str(films.resolve()),)


def test_words_for_people_go_without_json(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("train", "--data", films, "--out", tmp_path / "run", "--size", "16x16", "--cell", "none", *QUICK)
    out = capsys.readouterr().out
    assert "this model" in out
    assert "false alarms an hour" in out
    assert Run.load(tmp_path / "run").reset.policy == "gap"


@pytest.mark.parametrize(
    "options", [("--reset", "sometimes"), ("--reset", "every:0"), ("--false-alarms-per-hour", "-1")]
)
def test_a_policy_or_a_rate_that_is_none_is_wrong_usage(options: tuple[str, str]) -> None:
    with pytest.raises(click.UsageError):
        call("train", "--data", "digits", "--out", "never", *options)


def test_ctrl_c_tells_how_to_go_on_in_one_line(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.cli.watching import Teller

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command = ("train", "--data", films, "--out", tmp_path / "run", "--size", "16x16", *QUICK)
    with monkeypatch.context() as patched:
        patched.setattr(Teller, "step", interrupt)
        assert call(*command) == 130
    words = capsys.readouterr().err.strip().splitlines()
    assert words == [
        f"framestep: Interrupted; {tmp_path / 'run'} keeps what was done. Go on with the same command and --resume."
    ]
    call(*command, "--resume")
    assert Run.load(tmp_path / "run").results["clips_trained"] == 6


def test_a_folder_without_films_leaves_no_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError):
        call("train", "--data", tmp_path / "empty", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_size_that_the_preset_cannot_take_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 32x32, not 24x24"):
        call("train", "--data", "digits", "--out", tmp_path / "run", "--preset", "mobilenet", "--size", "24x24")
    assert not (tmp_path / "run").exists()
