"""The one definition of what the network sees, against arithmetic in double precision."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import FrameError
from runtime.preprocess import Preprocessor
from runtime.spec import InputSpec

if TYPE_CHECKING:
    import numpy.typing as npt

LUMA = np.array([0.299, 0.587, 0.114])
ROUNDING = 1.0  # swscale rounds luma and mean apart, so that half a level twice is the most they can be off
LIMITED, FULL = 1, 2  # FFmpeg's AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG


def to_gray(height: int, width: int, **changes: Any) -> Preprocessor:
    return Preprocessor(InputSpec(height=height, width=width, channels=1, colour="gray", **changes))


def to_rgb(height: int, width: int, **changes: Any) -> Preprocessor:
    return Preprocessor(InputSpec(height=height, width=width, channels=3, colour="rgb", **changes))


def area_mean(picture: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[np.float64]:
    """The mean over each target pixel's area, in float64; [height, width, channels]."""

    def weights(size: int, target: int) -> npt.NDArray[np.float64]:
        edges = np.arange(target + 1) * size / target
        pixels = np.arange(size)
        low = np.maximum(edges[:-1, None], pixels)
        high = np.minimum(edges[1:, None], pixels + 1)
        overlap = np.maximum(high - low, 0)
        shares: npt.NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
        return shares

    cube = np.atleast_3d(picture).astype(np.float64).transpose(2, 0, 1)
    means: npt.NDArray[np.float64] = weights(cube.shape[1], height) @ cube @ weights(cube.shape[2], width).T
    return means.transpose(1, 2, 0)


def noise(*shape: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def scene(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A picture as cameras give them: shades that change slowly, and edges."""
    rows, columns = np.mgrid[:height, :width]
    random = np.random.default_rng(seed)
    picture = np.stack([128 + 90 * np.sin(rows / (9 + c) + columns / (23 - c)) for c in range(3)], axis=-1)
    for _ in range(4):
        top, left = random.integers(0, height), random.integers(0, width)
        picture[top : top + height // 3, left : left + width // 4] = random.integers(0, 256, 3)
    return np.asarray(picture.clip(0, 255), np.uint8)


def plain_frame(pixel_format: str, planes: tuple[int, ...], colour_range: int, colour_space: int = 5) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, pixel_format)
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.color_range = colour_range
    frame.colorspace = colour_space
    return frame


@pytest.mark.parametrize("size", [(480, 640), (481, 643), (120, 160), (97, 131), (48, 64)])
def test_gray_is_the_area_mean_of_bt601_luma(size: tuple[int, int]) -> None:
    picture = noise(*size, 3)
    expected = area_mean(picture @ LUMA, 48, 64)
    assert np.abs(to_gray(48, 64)(picture)[0] - expected).max() <= ROUNDING


@pytest.mark.parametrize("size", [(480, 640), (481, 643), (120, 160), (97, 131), (48, 64)])
def test_rgb_is_the_area_mean_of_each_channel(size: tuple[int, int]) -> None:
    picture = noise(*size, 3)
    assert np.abs(to_rgb(48, 64)(picture)[0] - area_mean(picture, 48, 64)).max() <= ROUNDING


@pytest.mark.parametrize("size", [(480, 640), (481, 643), (97, 131)])
def test_a_gray_array_stays_gray(size: tuple[int, int]) -> None:
    picture = noise(*size)
    assert np.abs(to_gray(45, 61)(picture)[0] - area_mean(picture, 45, 61)).max() <= ROUNDING


@settings(max_examples=40)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    target=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    shade=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_a_picture_of_one_shade_keeps_it_at_any_size(
    height: int, width: int, target: tuple[int, int], shade: tuple[int, int, int]
) -> None:
    picture = np.full((height, width, 3), shade, np.uint8)
    assert np.array_equal(to_rgb(*target)(picture), np.full((1, *target, 3), shade, np.uint8))
    gray = to_gray(*target)(picture)
    assert np.unique(gray).size == 1
    assert abs(float(gray.flat[0]) - np.dot(shade, LUMA)) <= ROUNDING


@pytest.mark.parametrize(
    ("pixel_format", "luma", "colour_range", "expected"),
    [
        ("yuv420p", 16, LIMITED, 0),
        ("yuv420p", 235, LIMITED, 255),
        ("yuv420p", 126, LIMITED, 128),
        ("yuv420p", 16, 0, 0),  # a film that says nothing has limited range
        ("yuv420p", 235, 0, 255),
        ("yuv420p", 16, FULL, 16),
        ("yuv420p", 235, FULL, 235),
        ("yuvj420p", 16, 0, 16),
        ("yuvj420p", 255, 0, 255),
    ],
)
def test_limited_range_is_stretched_and_full_range_kept(
    pixel_format: str, luma: int, colour_range: int, expected: int
) -> None:
    frame = plain_frame(pixel_format, (luma, 128, 128), colour_range)
    for height, width in ((48, 64), (24, 32), (17, 23)):
        assert np.unique(to_gray(height, width)(frame)).tolist() == [expected]
        assert np.unique(to_rgb(height, width)(frame)).tolist() == [expected]


@pytest.mark.parametrize(("space", "planes"), [(5, (81, 90, 240)), (1, (63, 102, 240))])
def test_red_is_red_in_the_colour_space_that_a_film_names(space: int, planes: tuple[int, int, int]) -> None:
    red = to_rgb(24, 32)(plain_frame("yuv420p", planes, LIMITED, space))
    assert np.abs(red[0, 0, 0].astype(int) - (255, 0, 0)).max() <= 1


def test_a_video_frame_gives_the_area_mean_of_its_luma() -> None:
    luma = noise(120, 160)
    frame = av.VideoFrame.from_ndarray(np.vstack([luma, np.full((60, 160), 128, np.uint8)]), "yuv420p")
    frame.color_range = FULL
    assert np.abs(to_gray(45, 61)(frame)[0] - area_mean(luma, 45, 61)).max() <= ROUNDING


def pattern() -> npt.NDArray[np.uint8]:
    """Slopes with edges in whole numbers, the same on every machine."""
    rows, columns = np.mgrid[:240, :320]
    return np.asarray(np.stack([(rows * (3 + c) + columns * (5 - c)) % 256 for c in range(3)], axis=-1), np.uint8)


# Taken on x86-64 and found the same on an emulated Cortex-A72; with PyAV 17.0 and 18.1.
@pytest.mark.parametrize(
    ("prepare", "of_array", "of_frame"),
    [
        (to_gray(45, 61), "985d6ec7476c8fb2", "59cdb2569a106163"),
        (to_rgb(45, 61), "9abfaaffafa2ab04", "02089889cda85fc2"),
    ],
    ids=["gray", "rgb"],
)
def test_pixels_are_the_same_bits_on_every_machine(prepare: Preprocessor, of_array: str, of_frame: str) -> None:
    picture = pattern()
    frame = av.VideoFrame.from_ndarray(np.vstack([picture[..., 0], picture[:120, :, 1]]), "yuv420p")
    frame.color_range = LIMITED
    assert hashlib.sha256(prepare(picture).tobytes()).hexdigest()[:16] == of_array
    assert hashlib.sha256(prepare(frame).tobytes()).hexdigest()[:16] == of_frame


def test_yuyv_as_a_camera_gives_it_is_the_area_mean_of_its_luma() -> None:
    luma = noise(48, 64)
    packed = np.stack([luma, np.full_like(luma, 128)], axis=-1)
    frame = av.VideoFrame(64, 48, "yuyv422")
    frame.planes[0].update(packed.tobytes())
    frame.color_range = FULL
    assert np.abs(to_gray(24, 32)(frame)[0] - area_mean(luma, 24, 32)).max() <= ROUNDING


def test_one_preprocessor_takes_pictures_of_changing_size_range_and_kind() -> None:
    prepare = to_gray(24, 32)
    frames: list[Any] = [
        plain_frame("yuv420p", (16, 128, 128), LIMITED),
        plain_frame("yuv420p", (16, 128, 128), FULL),
        np.full((50, 70, 3), 16, np.uint8),
        plain_frame("yuv420p", (235, 128, 128), LIMITED),
        np.full((10, 9), 77, np.uint8),
        plain_frame("yuvj420p", (235, 128, 128), 0),
    ]
    assert [int(prepare(frame)[0, 0, 0, 0]) for frame in frames] == [0, 16, 16, 255, 77, 235]


def test_an_array_of_the_models_size_and_colour_is_passed_on_as_it_is() -> None:
    gray, rgb = noise(24, 32), noise(24, 32, 3)
    assert np.shares_memory(to_gray(24, 32)(gray), gray)
    assert np.shares_memory(to_gray(24, 32)(gray[..., None]), gray)
    assert np.shares_memory(to_rgb(24, 32)(rgb), rgb)
    assert np.array_equal(to_rgb(24, 32)(rgb)[0], rgb)


def test_gray_becomes_rgb_of_three_equal_channels() -> None:
    gray = noise(24, 32)
    assert np.array_equal(to_rgb(24, 32)(gray)[0], np.repeat(gray[..., None], 3, axis=2))


def test_a_picture_that_is_no_contiguous_array_is_read_right() -> None:
    picture = noise(40, 60, 3)
    mirrored = picture[:, ::-1]
    assert np.array_equal(to_rgb(20, 30)(mirrored), to_rgb(20, 30)(mirrored.copy()))
    assert np.array_equal(to_rgb(40, 60)(mirrored)[0], mirrored)


def test_the_centre_is_cut_out_in_the_models_proportions() -> None:
    picture = noise(120, 160, 3)
    expected = area_mean(picture[:, 20:140], 24, 24)
    assert np.abs(to_rgb(24, 24, crop="centre")(picture)[0] - expected).max() <= ROUNDING


@settings(max_examples=40)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 30), st.integers(1, 30))
def test_the_centre_of_any_size_fits_any_model(height: int, width: int, target_height: int, target_width: int) -> None:
    pixels = to_gray(target_height, target_width, crop="centre")(noise(height, width))
    assert pixels.shape == (1, target_height, target_width, 1)
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize(("height", "width"), [(60, 80), (48, 64), (96, 96), (120, 160)])
def test_a_jpeg_gives_what_its_full_picture_gives(height: int, width: int) -> None:
    # Decoding at a reduced scale leaves edges a little different; on average it must be within half a grey level.
    jpeg = simplejpeg.encode_jpeg(scene(480, 640), 90)
    for prepare, space in ((to_gray(height, width), "GRAY"), (to_rgb(height, width), "RGB")):
        whole = area_mean(simplejpeg.decode_jpeg(jpeg, space), height, width)
        assert np.abs(prepare(jpeg)[0] - whole).mean() <= 0.75


def test_a_jpeg_smaller_than_the_model_is_made_larger() -> None:
    jpeg = simplejpeg.encode_jpeg(np.full((10, 12, 3), 200, np.uint8))
    assert np.unique(to_gray(48, 64)(jpeg)).tolist() == [200]


def test_a_gray_jpeg_fits_a_model_of_colours() -> None:
    jpeg = simplejpeg.encode_jpeg(np.full((48, 64, 1), 90, np.uint8), colorspace="GRAY", colorsubsampling="Gray")
    assert np.unique(to_rgb(24, 32)(jpeg)).tolist() == [90]


def test_the_centre_of_a_jpeg_is_the_centre_of_its_picture() -> None:
    jpeg = simplejpeg.encode_jpeg(scene(120, 160), 95, colorsubsampling="444")
    whole = simplejpeg.decode_jpeg(jpeg, "RGB")
    prepare = to_rgb(24, 24, crop="centre")
    assert np.abs(prepare(jpeg).astype(int) - prepare(whole)).mean() <= 1


def test_a_jpeg_without_huffman_tables_as_cameras_send_it_is_decoded() -> None:
    whole = simplejpeg.encode_jpeg(scene(48, 64))
    stripped, at = bytearray(whole[:2]), 2
    while whole[at + 1] != 0xDA:  # start of scan
        end = at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")
        if whole[at + 1] != 0xC4:  # a Huffman table
            stripped += whole[at:end]
        at = end
    assert np.array_equal(to_gray(24, 32)(bytes(stripped + whole[at:])), to_gray(24, 32)(whole))


@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.95])
def test_a_jpeg_that_is_cut_short_is_refused(part: float) -> None:
    jpeg = simplejpeg.encode_jpeg(scene(48, 64))
    with pytest.raises(FrameError, match=r"A JPEG of [0-9]+ bytes is broken"):
        to_gray(24, 32)(jpeg[: int(len(jpeg) * part)])


@settings(max_examples=60)
@given(st.binary(max_size=40), st.integers(2, 600))
def test_a_damaged_jpeg_is_refused_or_decoded_but_nothing_else(damage: bytes, at: int) -> None:
    jpeg = simplejpeg.encode_jpeg(np.full((48, 64, 3), 90, np.uint8))
    try:
        pixels = to_gray(24, 32)(jpeg[:at] + damage + jpeg[at + len(damage) :])
    except FrameError:
        return
    assert pixels.shape == (1, 24, 32, 1)


def test_a_jpeg_whose_header_asks_for_too_much_is_refused() -> None:
    jpeg = bytearray(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = b"\xff\xdc\xff\xdc"
    with pytest.raises(FrameError, match=r"65500x65500 pixels; at most 67108864"):
        to_gray(24, 32)(bytes(jpeg))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((4, 4), np.float32), r"shape \(4, 4\) and dtype float32"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\) and dtype uint8"),
        (np.zeros((4,), np.uint8), r"shape \(4,\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        ("a path", r"A picture is a str"),
        (None, r"A picture is a NoneType"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_is(picture: Any, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        to_gray(2, 2)(picture)


def test_a_picture_of_the_right_size_needs_no_decoder() -> None:
    script = """
import sys
sys.modules["av"] = sys.modules["simplejpeg"] = None
import numpy as np
from runtime.errors import MissingDependencyError
from runtime.preprocess import Preprocessor
from runtime.spec import InputSpec
prepare = Preprocessor(InputSpec(height=2, width=2, channels=1, colour="gray"))
assert prepare(np.ones((2, 2), np.uint8)).sum() == 4
for picture in (np.ones((4, 4), np.uint8), b"jpeg"):
    try:
        prepare(picture)
    except MissingDependencyError as error:
        assert "pip install 'framestep[video]'" in str(error), error
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True)
