"""A camera: the thread that reads it and the slot that keeps the newest, fed by real films instead of a device."""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from runtime.errors import SourceError
from runtime.preprocess import Preprocessor
from runtime.sources import open_source
from runtime.sources.camera import CameraSource, NewestSlot
from runtime.spec import InputSpec
from runtime.testing import write_film

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.frame import Frame, Pixels


def counted(count: int) -> list[Pixels]:
    """Pictures whose shade tells their number."""
    return [np.full((48, 64, 3), number * 10, np.uint8) for number in range(count)]


def numbers(frames: list[Frame]) -> list[int]:
    prepare = Preprocessor(InputSpec(height=48, width=64, channels=3, colour="rgb"))
    return [round(float(prepare(frame.picture).mean()) / 10) for frame in frames]


def open_film(path: str) -> Any:
    return av.open(path)


def test_a_camera_gives_its_newest_frame(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.mkv", counted(20))
    with CameraSource(str(path), open_device=open_film) as camera:
        frames = camera.frames()
        first = next(frames)
        camera._thread.join()  # everything has come by now, and only the last is kept
        rest = list(frames)
    assert camera.live
    assert 0 <= first.index < 20
    assert [frame.index for frame in rest] == ([19] if first.index < 19 else [])
    assert numbers([first, *rest]) == [frame.index for frame in (first, *rest)]


def test_a_camera_of_jpegs_hands_on_their_bytes(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.avi", counted(3), codec="mjpeg", pixel_format="yuvj420p")
    with CameraSource(str(path), open_device=open_film) as camera:
        frames = list(camera.frames())
    assert frames[-1].index == 2
    assert isinstance(frames[-1].picture, bytes)
    assert numbers(frames[-1:]) == [2]


def test_a_cameras_times_are_the_clocks_and_not_the_films(tmp_path: Path) -> None:
    readings = itertools.count(1000.0, 0.25)
    with CameraSource(
        str(write_film(tmp_path / "x.mkv", counted(5))), open_device=open_film, clock_s=lambda: next(readings)
    ) as camera:
        assert all(frame.time_s >= 1000 for frame in camera.frames())


def test_a_camera_is_read_through_a_pipe_like_a_device(tmp_path: Path) -> None:
    film = write_film(tmp_path / "x.mkv", counted(5))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()))
    writer.start()
    with CameraSource(str(pipe), open_device=open_film) as camera:
        assert list(camera.frames())[-1].index == 4
    writer.join()


class Hung:
    """A device whose reading never returns until it is let go."""

    def __init__(self, path: str) -> None:
        self._container = av.open(path)
        self.streams = self._container.streams
        self.let_go = threading.Event()
        self.closed = False

    def demux(self, _: object) -> Iterator[object]:
        self.let_go.wait()
        return iter(())

    def close(self) -> None:
        self.closed = True
        self._container.close()


def test_a_camera_that_gives_nothing_is_an_error_after_its_time(tmp_path: Path) -> None:
    device = Hung(str(write_film(tmp_path / "x.mkv", counted(1))))
    readings = itertools.count(0.0, 6.0)
    with CameraSource("/dev/video7", open_device=lambda _: device, clock_s=lambda: next(readings)) as camera:
        with pytest.raises(SourceError, match=r"^The camera /dev/video7 gave no picture for 10 s\."):
            next(camera.frames())
        device.let_go.set()
    assert device.closed


def test_a_stopped_camera_ends_although_it_gives_nothing(tmp_path: Path) -> None:
    device = Hung(str(write_film(tmp_path / "x.mkv", counted(1))))
    with CameraSource("/dev/video7", open_device=lambda _: device) as camera:
        camera.stop()
        assert list(camera.frames()) == []
        device.let_go.set()


def test_a_camera_that_is_unplugged_says_so(tmp_path: Path) -> None:
    class Unplugged(Hung):
        def demux(self, stream: object) -> Iterator[object]:
            yield from itertools.islice(self._container.demux(stream), 1)
            raise OSError(19, "No such device")

    device = Unplugged(str(write_film(tmp_path / "x.mkv", counted(3))))
    with (
        CameraSource("/dev/video7", open_device=lambda _: device) as camera,
        pytest.raises(SourceError, match=r"^The camera /dev/video7 failed \(No such device\)\."),
    ):
        list(camera.frames())


def test_a_camera_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(SourceError, match=r"^The camera /dev/video99 cannot be opened \(.*\)\. Plug it in"):
        open_source("99")


def test_the_slot_keeps_the_newest_and_gives_it_once() -> None:
    slot: NewestSlot[int] = NewestSlot()
    for number in range(5):
        slot.put(number)
    slot.end()
    assert not slot.ended
    assert slot.take(0) == 4
    assert slot.ended
    assert slot.take(0) is None


def test_a_camera_that_ends_without_a_picture_is_an_error(tmp_path: Path) -> None:
    device = Hung(str(write_film(tmp_path / "x.mkv", counted(1))))
    device.let_go.set()
    with (
        CameraSource("/dev/video7", open_device=lambda _: device) as camera,
        pytest.raises(SourceError, match=r"^The camera /dev/video7 failed \(it ended without a picture\)\."),
    ):
        list(camera.frames())
