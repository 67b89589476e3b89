"""The command line's manners: suggestions, one line for a failure, its exit status."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from runtime.errors import ConfigError, DatasetError, FidelityError, MissingDependencyError
from toolkit.cli import COMMANDS, LazyGroup, failure
from toolkit.cli import framestep as group
from toolkit.cli.output import Progress, bytes_words, json_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    Framestep = Callable[..., subprocess.CompletedProcess[str]]

REPORT: dict[str, object] = {"agreement": 0.5}


def ends_with(error: BaseException, *options: str) -> tuple[int, str, str]:
    """A group of one command that raises: exit status, stdout and stderr."""

    @click.command()
    @json_option
    def command(*, as_json: bool) -> None:  # noqa: ARG001  # click passes it by name
        raise error

    lazy = LazyGroup({"fail": ("nowhere", "Fail.")})
    lazy.get_command = lambda *_: command  # type: ignore[method-assign]
    result = CliRunner().invoke(lazy, ["fail", *options])
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command_with_its_line() -> None:
    text = CliRunner().invoke(group, ["--help"]).output
    assert all(f"  {name} " in text and line in text for name, (_, line) in COMMANDS.items())


def test_a_misspelt_command_gets_a_suggestion() -> None:
    result = CliRunner().invoke(group, ["trian"])
    assert result.exit_code == 2
    assert "No such command 'trian'. Did you mean train?" in result.stderr


def test_a_command_like_no_other_gets_none() -> None:
    result = CliRunner().invoke(group, ["xyzzy"])
    assert result.exit_code == 2
    assert result.stderr.endswith("No such command 'xyzzy'.\n")


def test_a_misspelt_option_gets_a_suggestion() -> None:
    result = CliRunner().invoke(group, ["inspect", "--jsn"])
    assert result.exit_code == 2
    assert "--json" in result.stderr


def test_the_version_is_said() -> None:
    assert CliRunner().invoke(group, ["--version"]).output == "framestep 0.1.0\n"


def test_a_failure_is_one_line_and_1() -> None:
    assert ends_with(DatasetError("There are no films\nin here. Put some there.")) == (
        1,
        "",
        "framestep: There are no films in here. Put some there.\n",
    )


def test_a_missing_library_names_the_extra() -> None:
    code, _, words = ends_with(MissingDependencyError("PyAV", extra="video", purpose="Reading a film"))
    assert (code, words.endswith("pip install 'framestep[video]'\n")) == (1, True)


@pytest.mark.parametrize(("library", "extra"), [("tensorflow.lite", "train"), ("av", "video")])
def test_an_import_that_fails_names_the_extra(library: str, extra: str) -> None:
    code, _, words = ends_with(ModuleNotFoundError(name=library))
    assert (code, words) == (
        1,
        f"framestep: {library.partition('.')[0]} is not installed. Run: pip install 'framestep[{extra}]'\n",
    )


def test_a_gate_that_does_not_hold_is_3() -> None:
    assert ends_with(FidelityError("Agreement is 0.5.", report=REPORT)) == (3, "", "framestep: Agreement is 0.5.\n")


def test_a_gate_that_does_not_hold_prints_its_report_where_json_is_wanted() -> None:
    code, printed, words = ends_with(FidelityError("Agreement is 0.5.", report=REPORT), "--json")
    assert (code, json.loads(printed), words) == (3, REPORT, "framestep: Agreement is 0.5.\n")


def test_ctrl_c_is_one_line_and_130() -> None:
    code, _, words = ends_with(KeyboardInterrupt())
    assert (code, words.strip()) == (130, "framestep: Interrupted. What was finished is kept.")


def test_a_full_disk_is_one_line_that_names_the_file() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.tflite")
    line = "framestep: No space left on device at model.tflite. Free some space and run it again.\n"
    assert ends_with(error) == (1, "", line)


def test_what_nobody_foresaw_is_one_line_that_tells_how_to_see_more() -> None:
    code, _, words = ends_with(ZeroDivisionError("division by zero"))
    assert (code, words) == (
        1,
        "framestep: Internal error (ZeroDivisionError): division by zero. FRAMESTEP_DEBUG=1 shows where.\n",
    )


def test_framestep_debug_lets_the_traceback_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESTEP_DEBUG", "1")
    with pytest.raises(ConfigError):
        CliRunner().invoke(
            LazyGroup({"fail": ("toolkit.cli.nowhere", "")}, callback=_raise, invoke_without_command=True),
            [],
            catch_exceptions=False,
        )


def _raise() -> None:
    raise ConfigError("No.")


def test_output_to_a_full_disk_is_one_line(framestep: Framestep) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device, not a path to read
        done = framestep("--help", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        1,
        "framestep: No space left on device. Free some space and run it again.\n",
    )


def test_a_reader_that_went_away_leaves_no_traceback(framestep: Framestep) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = framestep("--help", capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_an_option_may_come_from_the_environment() -> None:
    result = CliRunner().invoke(group, ["bench", "nowhere.tflite"], env={"FRAMESTEP_BENCH_FRAMES": "0"})
    assert result.exit_code == 2
    assert "Invalid value for '--frames'" in result.stderr


def test_completion_offers_names_without_importing_commands() -> None:
    context = click.Context(group)
    assert [item.value for item in group.shell_complete(context, "in")] == ["inspect"]


def test_numbers_that_are_not_finite_are_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1.5, float("inf")], "c": "ü"})
    assert capsys.readouterr().out == '{"a": null, "b": [1.5, null], "c": "ü"}\n'


def test_a_table_stands_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "size"), [("a", 10), ("long name", None)])
    assert capsys.readouterr().out == "name       size\na            10\nlong name     –\n"


@pytest.mark.parametrize(("count", "words"), [(999, "999 B"), (1234, "1.2 kB"), (2_345_678, "2.35 MB")])
def test_sizes_are_said_in_decimal_units(count: int, words: str) -> None:
    assert bytes_words(count) == words


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0.0, 0.0, 1.0, 6.0, 6.0, 7.0, 7.0])
    with Progress("train", 4, clock=lambda: next(seconds)) as progress:
        for epoch in range(4):
            progress.advance(note=f"epoch {epoch}")
    assert capsys.readouterr().err == "train 1/4 epoch 0\ntrain 3/4 epoch 2\ntrain 4/4 epoch 3\n"


def test_an_interrupt_is_no_plain_failure() -> None:
    assert failure.report(click.Abort()) == 130
