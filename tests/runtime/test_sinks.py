"""Where predictions go."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runtime.errors import SinkError
from runtime.sinks import open_sink

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("text", ["mqtt://host/topic", "jsonl", "jsonl:", "-", ""])
def test_what_is_no_sink_is_told_what_would_be_one(text: str) -> None:
    with pytest.raises(SinkError, match=r"Give jsonl:- for standard output, or jsonl:FILE\.$"):
        open_sink(text)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot be written \(Is a directory\)"):
        open_sink(f"jsonl:{tmp_path}")


def test_the_sink_needs_no_other_library() -> None:
    script = (
        "import sys; sys.modules['numpy'] = None; from runtime.sinks import open_sink; open_sink('jsonl:-').close()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
