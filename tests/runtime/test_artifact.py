"""The reader of artifacts: what it takes, and what it refuses and how."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.artifact import MAX_BYTES, read_artifact
from runtime.errors import ArtifactError, SpecError
from runtime.trailer import MAX_LABELS_BYTES, MAX_SPEC_BYTES, read_trailer

if TYPE_CHECKING:
    from types import ModuleType

HOSTILE = Path(__file__).resolve().parents[1] / "hostile"
EXPECTED: dict[str, str] = json.loads((HOSTILE / "expected.json").read_text())


def refusal(path: Path) -> str:
    with pytest.raises((ArtifactError, SpecError)) as caught:
        read_artifact(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["tiny", "lstm-int8", "gru-float32"])
def test_a_golden_artifact_is_read(golden: Path, name: str) -> None:
    path = golden / f"{name}.tflite"
    artifact = read_artifact(path)
    assert artifact.path == path
    assert artifact.size_bytes == path.stat().st_size
    assert hashlib.sha256(artifact.content).hexdigest() == artifact.spec.sha256
    assert set(artifact.network.inputs) == {"frame", *(state.name for state in artifact.spec.states)}


def test_golden_artifacts_are_the_bytes_that_were_checked_in(golden: Path) -> None:
    for name, answer in json.loads((golden / "answers.json").read_text()).items():
        assert hashlib.sha256((golden / f"{name}.tflite").read_bytes()).hexdigest() == answer["sha256"]


def test_the_file_opens_as_a_zip_that_shows_spec_and_labels(golden: Path) -> None:
    with zipfile.ZipFile(golden / "tiny.tflite") as archive:
        assert archive.namelist() == ["framestep.json", "labels.txt"]
        assert archive.testzip() is None
        assert archive.read("labels.txt") == b"still\nleft\nright\n"


def test_every_hostile_file_has_its_reason() -> None:
    assert {path.stem for path in HOSTILE.glob("*.tflite")} == EXPECTED.keys()
    assert len(EXPECTED) > 60


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_hostile_file_is_refused_for_its_reason_in_one_line_with_its_name(name: str) -> None:
    path = HOSTILE / f"{name}.tflite"
    message = refusal(path)
    assert EXPECTED[name] in message
    assert message.startswith(f"{path}: ")
    assert message.isprintable()


def test_a_file_of_another_program_says_what_makes_one(tmp_path: Path, drawing: ModuleType) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(drawing.tiny())
    assert refusal(path) == (
        f"{path}: the file has no framestep spec at its end: it is cut short, or another program wrote it. "
        "Convert the trained model with framestep convert."
    )


def test_a_text_file_is_no_tensorflow_lite_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk")
    assert refusal(path) == (
        f"{path}: the file is no TensorFlow Lite file: its identifier is b'mber', not b'TFL3'. "
        "Give the file that framestep convert wrote."
    )


def test_a_missing_file_is_an_artifact_error(tmp_path: Path) -> None:
    path = tmp_path / "none.tflite"
    assert refusal(path) == f"{path}: the file cannot be read: No such file or directory. Check the path."


def test_a_folder_is_an_artifact_error(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.tflite"
    os.mkfifo(path)
    assert refusal(path) == f"{path}: this is not a file. Give the file that framestep convert wrote."


def test_a_file_above_the_cap_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: it takes no room
    assert refusal(path) == (
        f"{path}: the file is larger than 268435456 bytes, the most an artifact may have. Check the path."
    )


@pytest.mark.parametrize(("member", "most"), [("framestep.json", MAX_SPEC_BYTES), ("labels.txt", MAX_LABELS_BYTES)])
def test_a_member_above_its_cap_is_refused(drawing: ModuleType, member: str, most: int) -> None:
    members = {"framestep.json": b"{}", "labels.txt": b""} | {member: b" " * (most + 1)}
    with pytest.raises(ArtifactError, match=f"{member} has {most + 1} bytes, stored in {most + 1}; at most {most}"):
        read_trailer(drawing.artifact(b"", drawing.spec_for(b""), members=members))


def test_a_checksum_that_does_not_hold_is_told_with_both(tmp_path: Path, golden: Path) -> None:
    data = bytearray((golden / "lstm-int8.tflite").read_bytes())
    data[2000] ^= 1
    path = tmp_path / "flipped.tflite"
    path.write_bytes(bytes(data))
    end = read_trailer(bytes(data)).start
    stored = hashlib.sha256((golden / "lstm-int8.tflite").read_bytes()[:end]).hexdigest()
    found = hashlib.sha256(bytes(data[:end])).hexdigest()
    assert refusal(path) == (
        f"{path}: the network's SHA-256 is {found} and its spec says {stored}: the file is damaged. "
        "Copy it again, or convert the model again."
    )


@given(data=st.data())
@settings(max_examples=200)
def test_no_changed_byte_gets_past_the_reader(
    data: st.DataObject, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good = (golden / "tiny.tflite").read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[at] = data.draw(st.integers(0, 255).filter(lambda value: value != good[at]))
    path = tmp_path_factory.getbasetemp() / "changed.tflite"
    path.write_bytes(bytes(changed))
    if at in _times_and_attributes(good):
        read_artifact(path)
    else:
        refusal(path)


def _times_and_attributes(data: bytes) -> set[int]:
    """Bytes that mean nothing to a reader: who made the archive, and the members' attributes."""
    free: set[int] = set()
    place = data.index(b"PK\x01\x02")
    for name in ("framestep.json", "labels.txt"):
        free |= {place + 4, place + 5, *range(place + 36, place + 42)}
        place += 46 + len(name)
    return free


@given(data=st.data())
def test_a_trailer_with_many_bytes_changed_is_read_or_refused(data: st.DataObject, golden: Path) -> None:
    changed = bytearray((golden / "tiny.tflite").read_bytes())
    start = changed.index(b"PK\x03\x04")
    for _ in range(data.draw(st.integers(1, 12))):
        changed[data.draw(st.integers(start, len(changed) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    with contextlib.suppress(ArtifactError):
        read_trailer(bytes(changed))


@given(data=st.data())
def test_the_same_bytes_in_another_order_are_refused(
    data: st.DataObject, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good = (golden / "tiny.tflite").read_bytes()
    cut, end = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    moved = good[:cut] + good[end:] + good[cut:end]
    path = tmp_path_factory.getbasetemp() / "moved.tflite"
    path.write_bytes(moved)
    if moved != good:
        refusal(path)
