"""Where frames come from: real films, pictures and pipes through the real decoders."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
import simplejpeg

from runtime.errors import SourceError
from runtime.preprocess import Preprocessor
from runtime.sources import open_source
from runtime.sources.film import FilmSource
from runtime.sources.pictures import PictureSource
from runtime.sources.synthetic import SyntheticSource
from runtime.spec import InputSpec
from runtime.testing import make_spec, write_film

if TYPE_CHECKING:
    from runtime.frame import Frame, Pixels

GESTURES = Path(__file__).resolve().parents[1] / "data" / "gestures"
RGB = InputSpec(height=48, width=64, channels=3, colour="rgb")


def counted(count: int, height: int = 48, width: int = 64) -> list[Pixels]:
    """Pictures whose top left square tells their number."""
    pictures = []
    for number in range(count):
        picture = np.full((height, width, 3), 60, np.uint8)
        picture[: height // 2, : width // 2] = number * 10
        pictures.append(picture)
    return pictures


def numbers(frames: list[Frame]) -> list[int]:
    prepare = Preprocessor(RGB)
    return [round(float(prepare(frame.picture)[0, :20, :28].mean()) / 10) for frame in frames]


def read(path: Path) -> tuple[list[Frame], list[str]]:
    with FilmSource(path) as film:
        return list(film.frames()), film.problems


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("x.mkv", "ffv1", "bgr0"),
        ("x.mp4", "libx264", "yuv420p"),
        ("x.avi", "mpeg4", "yuv420p"),
        ("x.avi", "mjpeg", "yuvj420p"),
        ("x.h264", "libx264", "yuv420p"),
    ],
)
def test_a_film_gives_every_frame_in_order_at_its_rate(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    path = write_film(tmp_path / name, counted(12), fps=25, codec=codec, pixel_format=pixel_format)
    frames, problems = read(path)
    assert numbers(frames) == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    # Matroska keeps milliseconds, and a raw stream may begin a few frames late.
    times_s = np.array([frame.time_s for frame in frames])
    assert np.allclose(np.diff(times_s), 1 / 25, atol=0.0011)
    assert problems == []


def test_a_lossless_film_gives_its_very_pictures(tmp_path: Path) -> None:
    pictures = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), dtype=np.uint8) for n in range(5)]
    frames, _ = read(write_film(tmp_path / "x.mkv", pictures))
    prepare = Preprocessor(RGB)
    assert all(np.array_equal(prepare(frame.picture)[0], each) for frame, each in zip(frames, pictures, strict=True))


def test_a_film_of_variable_rate_gives_its_own_times(tmp_path: Path) -> None:
    times_s = [0.0, 0.1, 0.15, 0.4, 0.41, 1.5]
    frames, _ = read(write_film(tmp_path / "x.mkv", counted(6), times_s=times_s))
    assert [round(frame.time_s, 3) for frame in frames] == times_s


def test_a_film_tells_its_rate_and_length(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.mp4", counted(12), fps=12.5, codec="mpeg4", pixel_format="yuv420p")
    with FilmSource(path) as film:
        assert (film.fps, film.announced, film.live) == (12.5, 12, False)


def test_a_real_clip_is_read_whole() -> None:
    frames, problems = read(GESTURES / "clockwise" / "block002_1.mp4")
    assert len(frames) == 32
    assert np.allclose([frame.time_s for frame in frames], np.arange(32) / 15)
    assert problems == []


def test_a_film_that_lies_on_its_side_is_set_upright(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.mp4", counted(2), codec="mpeg4", pixel_format="yuv420p")
    content = bytearray(path.read_bytes())
    # The track header's matrix, in 16.16 and 2.30 fixed point: a quarter turn clockwise, as telephones write it.
    matrix = content.index(b"tkhd") + 4 + 40
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    path.write_bytes(content)
    upright = Preprocessor(InputSpec(height=64, width=48, channels=1, colour="gray"))(read(path)[0][0].picture)[
        0, ..., 0
    ]
    # The dark square moves from the top left to the top right.
    assert upright[:28, 28:].mean() < 10
    assert abs(upright[:28, :20].mean() - 60) < 5


def test_a_film_that_is_cut_short_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.avi", counted(20), codec="mjpeg", pixel_format="yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, problems = read(path)
    assert 0 < len(frames) < 20
    assert numbers(frames) == list(range(len(frames)))
    assert any("ends early: it announces 20 frames and has" in problem for problem in problems)


def test_a_film_damaged_in_the_middle_goes_on_after_it(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.mkv", counted(20), codec="ffv1")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = b"\x55" * 60
    path.write_bytes(content)
    frames, problems = read(path)
    assert numbers(frames)[-1] == 19
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) == 20 or problems


def test_a_film_can_be_a_pipe(tmp_path: Path) -> None:
    film = write_film(tmp_path / "x.mkv", counted(5))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()))
    writer.start()
    frames, _ = read(pipe)
    writer.join()
    assert numbers(frames) == list(range(5))


def test_a_stopped_film_gives_no_more_frames(tmp_path: Path) -> None:
    with FilmSource(write_film(tmp_path / "x.mkv", counted(5))) as film:
        frames = film.frames()
        next(frames)
        film.stop()
        assert list(frames) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5000, b"RIFF\xff\xff\xff\xffAVI LIST"])
def test_a_file_that_is_no_film_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"x\.mp4 (cannot be read as a film|has no)") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_film_of_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(SourceError, match=r"x\.wav has no pictures, only audio\."):
        FilmSource(path)


def test_a_playlist_cannot_reach_the_network(tmp_path: Path) -> None:
    path = tmp_path / "x.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceError, match=r"cannot be read as a film|has no pictures"):
        read(path)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number, picture in enumerate(counted(12)):
        (tmp_path / f"frame{number}.jpg").write_bytes(simplejpeg.encode_jpeg(picture, 95))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    with PictureSource(tmp_path, fps=10) as pictures:
        frames = list(pictures.frames())
    assert numbers(frames) == list(range(12))
    assert [frame.time_s for frame in frames] == [index / 10 for index in range(12)]


@pytest.mark.parametrize(("suffix", "codec"), [(".png", "png"), (".bmp", "bmp"), (".ppm", "ppm")])
def test_pictures_without_loss_arrive_without_loss(tmp_path: Path, suffix: str, codec: str) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.time_base = 64, 48, Fraction(1)
    encoder.pix_fmt = "bgr24" if codec == "bmp" else "rgb24"
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=encoder.pix_fmt)
    (tmp_path / f"0{suffix}").write_bytes(b"".join(bytes(packet) for packet in encoder.encode(frame)))
    (read_,) = PictureSource(tmp_path).frames()
    assert np.array_equal(Preprocessor(RGB)(read_.picture)[0], picture)


def test_a_picture_that_is_none_is_left_out_with_its_number(tmp_path: Path) -> None:
    for number, picture in enumerate(counted(3)):
        (tmp_path / f"{number}.jpg").write_bytes(simplejpeg.encode_jpeg(picture))
    (tmp_path / "1.jpg").unlink()
    (tmp_path / "1.png").write_bytes(b"no picture")
    source = PictureSource(tmp_path)
    assert [frame.index for frame in source.frames()] == [0, 2]
    assert [problem.split("/")[-1] for problem in source.problems] == ["1.png is no picture that can be decoded."]


def test_a_folder_of_nothing_but_broken_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"none of its 1 pictures can be read"):
        list(PictureSource(tmp_path).frames())


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no pictures\. Name a folder that has some"):
        PictureSource(tmp_path)


def test_the_same_seed_draws_the_same_stream() -> None:
    first = [frame.picture for frame in itertools.islice(open_source("synthetic:7").frames(), 20)]
    again = [frame.picture for frame in itertools.islice(open_source("synthetic:7").frames(), 20)]
    other = [frame.picture for frame in itertools.islice(open_source("synthetic:8").frames(), 20)]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_synthetic_shapes_move() -> None:
    source = SyntheticSource(height=48, width=64, fps=15)
    frames = [frame.picture.astype(int) for frame in itertools.islice(source.frames(), 30)]
    assert all(np.abs(after - before).max() > 0 for before, after in itertools.pairwise(frames))


@pytest.mark.parametrize(("colour", "channels"), [("gray", 1), ("rgb", 3)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 3), (48, 64)])
def test_synthetic_pictures_fit_the_model(colour: Any, channels: Any, height: int, width: int) -> None:
    spec = make_spec(input=InputSpec(height=height, width=width, channels=channels, colour=colour), fps=9.0)
    first, second = itertools.islice(open_source("synthetic", spec).frames(), 2)
    assert np.shares_memory(Preprocessor(spec.input)(first.picture), first.picture)
    assert second.time_s == 1 / 9


def test_synthetic_frames_need_numpy_alone() -> None:
    script = """
import sys
sys.modules["av"] = sys.modules["simplejpeg"] = None
from runtime.sources import open_source
assert next(open_source("synthetic").frames()).picture.shape == (120, 160, 3)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("text", ["picamera", "ftp://host/stream"])
def test_what_is_no_source_is_told_what_would_be_one(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(text)
    assert str(caught.value) == (
        f"The source {text} is not one that framestep reads. Give a camera's number (0), /dev/videoN or "
        "/dev/v4l/by-id/NAME, rtsp://…, http://…, a film, a folder of pictures, or synthetic."
    )


def test_a_seed_that_is_no_number_is_refused() -> None:
    with pytest.raises(SourceError, match="has the seed 'x'; it must be a whole number"):
        open_source("synthetic:x")


def test_a_film_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^There is no file .*nowhere\.mp4\. Name a film"):
        open_source(str(tmp_path / "nowhere.mp4"))


def test_a_folder_is_read_at_the_models_rate(tmp_path: Path) -> None:
    for number, picture in enumerate(counted(2)):
        (tmp_path / f"{number}.jpeg").write_bytes(simplejpeg.encode_jpeg(picture))
    with open_source(str(tmp_path), make_spec(fps=4.0)) as source:
        assert [frame.time_s for frame in source.frames()] == [0, 0.25]


def test_a_film_without_pyav_names_the_extra(tmp_path: Path) -> None:
    path = write_film(tmp_path / "x.mkv", counted(1))
    script = f"""
import sys
sys.modules["av"] = None
from runtime.errors import MissingDependencyError
from runtime.sources import open_source
try:
    open_source({str(path)!r})
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == ("Reading a film needs PyAV, which is not installed. Run: pip install 'framestep[video]'\n")
