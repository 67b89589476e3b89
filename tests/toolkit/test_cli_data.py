from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from toolkit.cli import framestep
from toolkit.cli.size import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFilm = Callable[..., Any]


def answer(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(framestep, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def failure(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(framestep, list(map(str, arguments)))
    return result.exit_code, result.stderr


@pytest.fixture
def clips(tmp_path: Path, make_film: MakeFilm) -> Path:
    for label in ("left", "right"):
        for number in (1, 2):
            make_film(tmp_path / "clips" / label / f"take{number}_a.mp4")
    (tmp_path / "clips" / "left" / "broken.mp4").write_bytes(b"no film")
    return tmp_path / "clips"


def test_inspect_counts_clips_classes_and_groups_and_names_what_is_unreadable(clips: Path) -> None:
    found = answer("data", "inspect", clips, "--group-by", r"(take\d)_")
    assert (found["clips"], found["classes"], found["groups"]) == (4, {"left": 2, "right": 2}, 2)
    assert [each["path"] for each in found["unreadable"]] == [str(clips / "left" / "broken.mp4")]
    assert (found["fps"], found["frames"]["median"]) == (15, 8)


def test_inspect_tells_people_the_same(clips: Path) -> None:
    result = CliRunner().invoke(framestep, ["data", "inspect", str(clips)])
    assert "4 clips in 4 groups, 15 frames a second" in result.stdout
    assert "1 left out:" in result.stderr
    assert "broken.mp4: cannot be read as a film" in result.stderr


def test_inspect_knows_the_built_in_digits() -> None:
    found = answer("data", "inspect", "digits", "--size", "24x24")
    assert (found["clips"], sorted(found["classes"])) == (1797, ["down", "left", "right", "up"])


def test_inspect_of_nothing_usable_is_one_line_and_status_1(tmp_path: Path) -> None:
    code, words = failure("data", "inspect", tmp_path)
    assert (code, words.count("\n")) == (1, 1)
    assert words.startswith(f"framestep: {tmp_path} has no films in it.")


def test_inspect_of_two_rates_is_one_line_that_asks_for_fps(clips: Path, make_film: MakeFilm) -> None:
    make_film(clips / "right" / "fast.mp4", fps=30)
    code, words = failure("data", "inspect", clips)
    assert code == 1
    assert "Give --fps" in words
    assert answer("data", "inspect", clips, "--fps", "15")["clips"] == 5


def test_inspect_of_nothing_is_wrong_usage() -> None:
    assert failure("data", "inspect")[0] == 2


def test_made_digits_can_be_inspected(tmp_path: Path) -> None:
    made = answer("data", "make", "digits", tmp_path / "d", "--clips", "8", "--stream-frames", "60")
    assert (made["clips"], made["groups"], made["stream_frames"]) == (8, 8, 60)
    assert answer("data", "inspect", tmp_path / "d", "--size", "24x24")["classes"] == made["classes"]
    (stream,) = answer("data", "inspect", tmp_path / "d" / "stream")["streams"]
    assert stream["frames"] == 60


def test_digits_are_not_made_into_a_folder_with_something_in_it(clips: Path) -> None:
    code, words = failure("data", "make", "digits", clips)
    assert (code, words) == (1, f"framestep: {clips} is there and not empty. Name a new folder.\n")


def test_too_few_digits_are_an_error_and_leave_no_folder(tmp_path: Path) -> None:
    code, words = failure("data", "make", "digits", tmp_path / "d", "--clips", "3")
    assert code == 1
    assert "at least 4 clips, one a class, can be made" in words
    assert list(tmp_path.iterdir()) == []


def test_other_data_than_digits_is_wrong_usage(tmp_path: Path) -> None:
    assert failure("data", "make", "faces", tmp_path / "d")[0] == 2


@pytest.mark.parametrize(("text", "size"), [("64x48", (64, 48)), ("8X8", (8, 8)), (" 24×32 ", (24, 32))])
def test_a_size_is_width_and_height(text: str, size: tuple[int, int]) -> None:
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize("text", ["64", "64x", "x48", "0x48", "64x00", "-1x4", "64x48x3", "99999x1"])
def test_what_is_no_size_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size; write width and height in pixels, as 64x48"):
        SIZE.convert(text, None, None)
