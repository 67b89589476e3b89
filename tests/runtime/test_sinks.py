"""Where predictions go."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SinkError
from runtime.sinks import open_sink
from runtime.sinks.addresses import SUPPORTED
from runtime.sinks.queued import Checked

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_every_record_is_a_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_sink(f"jsonl:{path}") as sink:
        sink.write({"index": 0, "label": "grün"})
        assert path.read_text(encoding="utf-8") == '{"index": 0, "label": "grün"}\n'
        sink.write({"index": 1})
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"index": 0, "label": "grün"},
        {"index": 1},
    ]


def test_a_file_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for index in range(2):
        with open_sink(f"jsonl:{path}") as sink:
            sink.write({"index": index})
    assert path.read_text() == '{"index": 0}\n{"index": 1}\n'


def test_a_torn_last_line_is_ended_before_the_next_begins(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"index": 0}\n{"ind')
    with open_sink(f"jsonl:{path}") as sink:
        sink.write({"index": 1})
    assert path.read_text().splitlines() == ['{"index": 0}', '{"ind', '{"index": 1}']


def test_a_file_that_was_moved_away_is_noticed_and_begun_anew(tmp_path: Path) -> None:
    path, moved = tmp_path / "out.jsonl", tmp_path / "moved.jsonl"
    with open_sink(f"jsonl:{path}") as sink:
        assert isinstance(sink, Checked)
        sink.write({"index": 0})
        sink.check()
        path.rename(moved)
        with pytest.raises(SinkError, match=r"out\.jsonl was moved or removed\."):
            sink.check()
    with open_sink(f"jsonl:{path}") as sink:
        sink.write({"index": 1})
    assert (path.read_text(), moved.read_text()) == ('{"index": 1}\n', '{"index": 0}\n')


def test_standard_output_stays_open(capsys: pytest.CaptureFixture[str]) -> None:
    with open_sink("jsonl:-") as sink:
        sink.write({"index": 0})
    print("after")  # noqa: T201  # shows that stdout still takes something
    assert capsys.readouterr().out == '{"index": 0}\nafter\n'


def test_an_output_without_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with open_sink("jsonl:-") as sink:
        sink.write({"label": "grün"})
    assert json.loads(raw.getvalue()) == {"label": "grün"}


def test_a_full_disk_is_one_line_that_says_so() -> None:
    with open_sink("jsonl:/dev/full") as sink, pytest.raises(SinkError) as caught:
        sink.write({"index": 0})
    assert (
        str(caught.value)
        == "/dev/full cannot be written (No space left on device). Free some space or name another file."
    )


def test_a_reader_that_has_gone_is_one_line_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    with open_sink("jsonl:-") as sink, pytest.raises(SinkError, match=r"^Whatever read standard output has gone\."):
        sink.write({"index": 0})
    with pytest.raises(BrokenPipeError):
        stream.close()


@contextmanager
def little_room() -> Iterator[None]:
    """Let no file of this process grow over 100 bytes: a disk that fills up in the middle of a line.

    Not as a fixture: what pytest writes between the phases of a test may go to a file as well.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_line_that_does_not_fit_any_more_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with little_room(), open_sink(f"jsonl:{path}") as sink:
        sink.write({"index": 0, "label": "x" * 50})
        for _ in range(3):
            with pytest.raises(SinkError, match=r"cannot be written \(File too large\)"):
                sink.write({"index": 1, "label": "x" * 50})
        sink.write({"index": 2})
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [0, 2]


def numbered(path: Path, keep: int) -> list[Path]:
    """The newest file first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1))]


@given(keep=st.integers(1, 4), lengths=st.lists(st.integers(1, 4000), max_size=60))
def test_all_files_together_keep_to_the_budget_and_hold_the_newest_lines_whole(keep: int, lengths: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        budget = 5000 * (keep + 1)
        with open_sink(f"jsonl:{path}?max_bytes={budget}&keep={keep}") as sink:
            for index, length in enumerate(lengths):
                sink.write({"index": index, "label": "x" * length})
                assert sum(each.stat().st_size for each in path.parent.iterdir()) <= budget
        files = [each for each in numbered(path, keep) if each.exists()]
        assert set(files) == set(path.parent.iterdir())
        found = [json.loads(line)["index"] for each in reversed(files) for line in each.read_text().splitlines()]
    assert found == list(range(len(lengths)))[len(lengths) - len(found) :]


def test_no_file_is_lost_where_the_power_went_between_two_renames(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first, second, third = numbered(path, 2)
    third.write_text('{"index": 0}\n')  # .1 became .2, and then the power went
    first.write_text(json.dumps({"index": 1, "label": "x" * 4000}) + "\n")
    with open_sink(f"jsonl:{path}?max_bytes=15000&keep=2") as sink:
        sink.write({"index": 2, "label": "x" * 4000})
    indices = [json.loads(each.read_text())["index"] for each in (third, second, first)]
    assert indices == [0, 1, 2]


def test_a_file_of_before_there_was_a_budget_gives_way_to_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text((json.dumps({"label": "x" * 1000}) + "\n") * 50)
    with open_sink(f"jsonl:{path}?max_bytes=10000") as sink:
        sink.write({"index": 0})
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_line_longer_than_its_file_may_be_is_told_so(tmp_path: Path) -> None:
    with open_sink(f"jsonl:{tmp_path}/x?max_bytes=10000") as sink, pytest.raises(SinkError) as caught:
        sink.write({"label": "x" * 6000})
    assert str(caught.value) == (
        f"A line of 6014 bytes does not fit {tmp_path}/x, which may have 5000. Give a larger max_bytes."
    )


def test_a_question_mark_that_asks_nothing_is_part_of_the_name(tmp_path: Path) -> None:
    open_sink(f"jsonl:{tmp_path}/what?").close()
    assert [each.name for each in tmp_path.iterdir()] == ["what?"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("max_bytes=100", r"has max_bytes=100\. Give a whole number of 10000 or more\."),
        ("max_bytes=10M", r"has max_bytes=10M\. Give a whole number"),
        ("max_bytes=20000&keep=0", r"has keep=0\. Give a whole number of 1 or more\."),
        ("max_bytes=20000&keep=9", r"leaves 2000 bytes for each file; it must be 5000\."),
        ("keep=2", r"has keep, but no max_bytes\."),
        ("maxbytes=20000", r"has the option maxbytes\. It may have max_bytes, keep\."),
        ("keep=1&keep=2&max_bytes=20000", r"has an option twice\."),
    ],
)
def test_options_that_make_no_sense_are_refused(options: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=words):
        open_sink(f"jsonl:{tmp_path}/x?{options}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["mqtt:host/topic", "prometheus:", "web", "jsonl", "jsonl:", "-", ""])
def test_what_is_no_sink_is_told_what_would_be_one(text: str) -> None:
    with pytest.raises(SinkError, match=rf"Give {re.escape(SUPPORTED)}\.$"):
        open_sink(text)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot be written \(Is a directory\)"):
        open_sink(f"jsonl:{tmp_path}")


def test_the_sink_needs_no_other_library() -> None:
    script = (
        "import sys; sys.modules['numpy'] = None; from runtime.sinks import open_sink; open_sink('jsonl:-').close()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
