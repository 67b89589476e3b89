"""Live sources: a real reader's process, fed by films and faults in place of a device."""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.sources.live import LiveSource
from runtime.sources.watch import Patience
from runtime.testing import make_spec, write_film

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.frame import Frame, Pixels

READER = (sys.executable, str(Path(__file__).with_name("read_films.py")))
SPEC = make_spec(height=48, width=64, fps=100.0)
SOON = Patience(stall_s=0.3, first_s=0.05, longest_s=0.2)


def live(address: object, *, patience: Patience = SOON, **options: Any) -> LiveSource:
    return LiveSource(str(address), SPEC, patience=patience, command=READER, **options)


def counted(count: int) -> list[Pixels]:
    """Pictures whose shade tells their number."""
    return [np.full((48, 64, 3), number * 10, np.uint8) for number in range(count)]


def test_frames_come_at_the_models_size_and_are_numbered(tmp_path: Path) -> None:
    film = write_film(tmp_path / "x.mkv", counted(5))
    with live(film) as camera:
        frame = next(camera.frames())
    assert frame.picture.shape == (1, 48, 64, 1)
    assert 0 <= frame.index < 5
    assert not frame.begins


@pytest.mark.parametrize("fault", ["hang", "crash", "fail", "broken", "standing still"])
def test_after_a_fault_frames_come_again_and_begin_anew(fault: str) -> None:
    told: list[str] = []
    with live(f"fault:{fault}", tell=told.append) as camera:
        frames = list(itertools.takewhile(_until_two_beginnings(), camera.frames()))
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert [frame.time_s for frame in frames] == sorted(frame.time_s for frame in frames)
    assert sum(frame.begins for frame in frames) == 1
    assert camera.counts.openings == 3
    states = [words.partition(" is ")[2].partition(":")[0] for words in told]
    assert states[:3] in (["live", "backing off", "connecting"], ["live", "stalled", "backing off"])


def _until_two_beginnings() -> Callable[[Frame], bool]:
    begun = itertools.count()
    return lambda frame: not (frame.begins and next(begun) == 1)


def test_a_reader_that_hangs_is_ended() -> None:
    with live("fault:hang") as camera:
        frames = camera.frames()
        next(frames)
        assert camera._reader is not None
        first = camera._reader._child
        assert next(frame for frame in frames if frame.begins)
        assert first.poll() is not None
        assert camera.counts.stalls == 1


def test_no_password_is_told() -> None:
    with live("fault:fail") as camera:
        assert next(frame for frame in camera.frames() if frame.begins)
    assert camera.problems
    assert not any("secret" in problem for problem in camera.problems)
    assert "rtsp://…@camera/1?…" in camera.problems[0]


def test_a_device_that_is_absent_is_waited_for_and_read_as_soon_as_it_is_there(tmp_path: Path) -> None:
    device, film = tmp_path / "by-id-camera", write_film(tmp_path / "x.mkv", counted(5))
    told: list[str] = []
    arrived = threading.Event()

    def tell(words: str) -> None:
        told.append(words)
        if "backing off" in words and not arrived.is_set():
            arrived.set()
            threading.Timer(0.1, film.rename, [device]).start()

    # Without a look at the device the pause of 30 s would be waited out.
    with live(device, patience=Patience(first_s=30.0, jitter=0.0), tell=tell) as camera:
        assert next(camera.frames()).index >= 0
    assert [words.removeprefix(f"{device} is ") for words in told] == [
        "backing off: it cannot be opened (No such file or directory); another try in 30.0 s.",
        "connecting: another try.",
        "live: pictures come.",
    ]


def test_it_stops_while_it_waits(tmp_path: Path) -> None:
    with live(tmp_path / "nowhere", patience=Patience(first_s=60.0)) as camera:
        threading.Timer(0.3, camera.stop).start()
        assert list(camera.frames()) == []


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with live("fault:none") as camera:
        next(camera.frames())
        assert camera._reader is not None
        child = camera._reader._child
    assert child.poll() is not None
    assert sorted(Path("/proc/self/fd").iterdir()) == before
