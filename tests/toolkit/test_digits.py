from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.stream import FrameStream
from runtime.errors import ConfigError, DatasetError
from toolkit.data.dataset import DataConfig
from toolkit.data.digits import (
    LABELS,
    DigitsConfig,
    DigitsStream,
    digit_images,
    digits_dataset,
    images_of,
    labelled_digits_stream,
)
from toolkit.data.digits_files import write_digits, write_film
from toolkit.data.loading import load_dataset
from toolkit.data.splits import split
from toolkit.data.streams import segments_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

MOVES = {"down": (1, 0), "left": (0, -1), "right": (0, 1), "up": (-1, 0)}


def moves(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> set[str]:
    """The directions in which the first frame, moved by one or two pixels around the border, becomes the second."""
    return {
        label
        for label, move in MOVES.items()
        for speed in (1, 2)
        if np.array_equal(np.roll(before, np.array(move) * speed, axis=(0, 1)), after)
    }


def test_every_clip_travels_the_way_its_label_says() -> None:
    for clip in digits_dataset(DigitsConfig()).clips[:100]:
        for before, after in zip(clip.frames[:-1, ..., 0], clip.frames[1:, ..., 0], strict=True):
            assert LABELS[clip.label] in moves(before, after)


def test_each_image_is_one_group_and_the_classes_are_even() -> None:
    dataset = digits_dataset(DigitsConfig(copies=2))
    assert len(dataset.groups) == len(digit_images()) == 1797
    counts = dataset.clips_per_class().values()
    assert max(counts) - min(counts) <= 1


def test_a_single_frame_says_nothing_about_the_label() -> None:
    clips = digits_dataset(DigitsConfig(copies=2)).clips
    frames = np.stack([clip.frames[7] for clip in clips]).astype(np.float64)
    labels = np.array([clip.label for clip in clips])
    # The mean picture of a class differs from that of all by no more than of as many clips drawn without looking.
    spread = max(np.abs(frames[labels == i].mean(axis=0) - frames.mean(axis=0)).max() for i in range(4))
    drawn = np.random.default_rng(0).permutation(labels)
    chance = max(np.abs(frames[drawn == i].mean(axis=0) - frames.mean(axis=0)).max() for i in range(4))
    assert spread < 1.5 * chance


def test_frames_of_a_clip_played_backwards_are_a_clip_of_the_opposite_label() -> None:
    left = next(clip for clip in digits_dataset(DigitsConfig()).clips if LABELS[clip.label] == "left")
    backwards = left.frames[::-1, ..., 0]
    assert "right" in moves(backwards[0], backwards[1])


def test_the_same_seed_gives_the_same_clips_and_another_gives_others() -> None:
    one, same, other = (digits_dataset(DigitsConfig(seed=seed)).clips[5].frames for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("size", "zoom"), [(24, 1), (32, 2), (64, 4)])
def test_a_digit_grows_with_the_canvas(size: int, zoom: int) -> None:
    assert DigitsConfig(width=size, height=size + 8).zoom == zoom
    assert digits_dataset(DigitsConfig(width=size, height=size)).clips[0].frames.shape == (16, size, size, 1)


def test_in_rgb_the_three_channels_are_the_gray_one() -> None:
    frames = digits_dataset(DigitsConfig(colour="rgb")).clips[0].frames
    assert frames.shape[-1] == 3
    assert (frames == frames[..., :1]).all()


def test_too_small_a_canvas_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"size of 12x24; they need 16x16 at least"):
        DigitsConfig(width=12)


def test_the_stream_moves_as_it_is_labelled_except_at_cuts() -> None:
    stream = labelled_digits_stream(DigitsStream(config=DigitsConfig()), 400)
    assert stream.cuts is not None
    for i in range(1, 400):
        if not stream.cuts[i]:
            assert LABELS[stream.labels[i]] in moves(stream.frames[i - 1, ..., 0], stream.frames[i, ..., 0])


def test_the_stream_changes_direction_with_and_without_cuts() -> None:
    stream = labelled_digits_stream(DigitsStream(config=DigitsConfig()), 2000)
    assert stream.cuts is not None
    changes = np.flatnonzero(np.diff(stream.labels)) + 1
    at_a_cut = stream.cuts[changes]
    assert 0.3 < at_a_cut.mean() < 0.7
    assert at_a_cut.sum() == stream.cuts.sum()
    lengths = [last - first + 1 for first, last, _ in segments_of(stream)[:-1]]
    assert (min(lengths), max(lengths)) >= (16, 40)


@given(frames=st.integers(1, 200), size=st.integers(1, 64))
def test_the_stream_is_the_same_in_chunks_of_any_size(frames: int, size: int) -> None:
    stream = DigitsStream(config=DigitsConfig(), seed=3)
    chunks = list(stream.chunks(frames, size=size))
    (whole,) = stream.chunks(frames, size=1000)
    assert all(len(chunk) <= size for chunk in chunks)
    assert np.array_equal(np.concatenate([chunk.frames for chunk in chunks]), whole.frames)
    assert np.array_equal(np.concatenate([chunk.cuts for chunk in chunks]), whole.cuts)
    assert np.array_equal(np.concatenate([chunk.labels for chunk in chunks]), whole.labels)


def test_the_stream_shows_only_the_images_it_may() -> None:
    stream = DigitsStream(config=DigitsConfig(), images=(7,))
    sums = {int(frame.sum()) for chunk in stream.chunks(300) for frame in chunk.frames}
    assert sums == {int(digit_images()[7].sum())}


def test_the_stream_is_a_frame_stream() -> None:
    assert isinstance(DigitsStream(config=DigitsConfig()), FrameStream)


def test_no_image_is_in_both_parts_of_a_split() -> None:
    train, held = split(digits_dataset(DigitsConfig(copies=2)), seed=0)
    assert not set(images_of(train.clips)) & set(images_of(held.clips))


def test_written_digits_come_back_exactly(tmp_path: Path) -> None:
    clip = digits_dataset(DigitsConfig()).clips[0]
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
    write_film(tmp_path / "a" / "film.mp4", clip.frames, fps=15)
    write_film(tmp_path / "b" / "film.mp4", clip.frames, fps=15)
    loaded = load_dataset([str(tmp_path)], DataConfig(width=24, height=24))
    assert np.array_equal(loaded.clips[0].frames, clip.frames)


def test_the_built_in_data_as_files_is_a_dataset_and_a_stream_of_other_digits(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits", DigitsConfig(), clips=20, stream_frames=100)
    clips = load_dataset([str(tmp_path / "digits")], DataConfig(width=24, height=24))
    stream = load_dataset([str(tmp_path / "digits" / "stream")], DataConfig(width=24, height=24)).streams[0]
    assert clips.clips_per_class() == dict.fromkeys(LABELS, 5)
    assert (len(clips.groups), clips.streams) == (20, ())
    assert len(stream.frames) == 100
    assert (stream.labels >= 0).all()
    shown = {int(clip.frames[0].sum()) for clip in clips.clips}
    assert not shown & {int(frame.sum()) for frame in stream.frames}


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear")
    with pytest.raises(DatasetError, match=r"is there and not empty\. Name a new folder\."):
        write_digits(tmp_path, DigitsConfig(), clips=20, stream_frames=0)
    assert (tmp_path / "mine").read_text() == "dear"


def test_an_interrupt_while_writing_leaves_no_folder(tmp_path: Path) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_digits(tmp_path / "digits", DigitsConfig(), clips=20, stream_frames=0, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
