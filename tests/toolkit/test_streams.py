from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.stream import NO_LABEL, FrameStream, StreamChunk
from runtime.errors import DatasetError
from toolkit.data.dataset import Clip, Dataset, LabelledStream
from toolkit.data.digits import DigitsConfig, DigitsStream, digits_dataset
from toolkit.data.streams import film_stream, joined_clips, segment_clips, segments_of, stream_of

LABELS = ("left", "right")


def clip(number: int, length: int) -> Clip:
    """Frames that say which clip they are of, and which frame of it."""
    frames = np.zeros((length, 1, 2, 1), np.uint8)
    frames[:, 0, 0, 0] = number
    frames[:, 0, 1, 0] = np.arange(length)
    return Clip(name=str(number), label=number % 2, group=str(number), frames=frames)


def recording(labels: list[int], cuts: list[int] | None = None) -> LabelledStream:
    frames = np.zeros((len(labels), 1, 2, 1), np.uint8)
    frames[:, 0, 1, 0] = np.arange(len(labels))
    marked = np.isin(np.arange(len(labels)), cuts) if cuts is not None else None
    return LabelledStream(name="film", frames=frames, labels=np.array(labels, np.int64), cuts=marked)


def whole(stream: FrameStream, frames: int, size: int = 256) -> StreamChunk:
    chunks = list(stream.chunks(frames, size=size))
    return StreamChunk(
        frames=np.concatenate([chunk.frames for chunk in chunks]),
        cuts=np.concatenate([chunk.cuts for chunk in chunks]),
        labels=np.concatenate([chunk.labels for chunk in chunks]),
    )


CLIPS = [clip(i, length) for i, length in enumerate((3, 5, 4, 7))]


@given(frames=st.integers(1, 120), size=st.integers(1, 50), seed=st.integers(0, 9))
def test_joined_clips_come_whole_with_a_cut_at_every_join_in_chunks_of_any_size(
    frames: int, size: int, seed: int
) -> None:
    chunks = list(joined_clips(CLIPS, seed).chunks(frames, size=size))
    assert [len(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
    joined = whole(joined_clips(CLIPS, seed), frames, size)
    numbers, places = joined.frames[:, 0, 0, 0], joined.frames[:, 0, 1, 0]
    assert len(joined) == frames
    assert np.array_equal(joined.cuts[1:], places[1:] == 0)
    assert np.array_equal(joined.labels, numbers % 2)
    assert not joined.cuts[0]


def test_every_clip_comes_once_a_round_and_rounds_differ() -> None:
    total = sum(len(each.frames) for each in CLIPS)
    joined = whole(joined_clips(CLIPS, 0), 20 * total)
    rounds = [
        tuple(part.frames[part.frames[:, 0, 1, 0] == 0, 0, 0, 0].tolist())
        for part in (
            StreamChunk(frames=joined.frames[i * total : (i + 1) * total], cuts=joined.cuts, labels=joined.labels)
            for i in range(20)
        )
    ]
    assert all(sorted(order) == [0, 1, 2, 3] for order in rounds)
    assert len(set(rounds)) > 5


def test_the_same_seed_gives_the_same_stream_and_another_gives_another() -> None:
    one, same, other = (whole(joined_clips(CLIPS, seed), 200).frames for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_film_goes_round_and_its_join_is_a_cut() -> None:
    joined = whole(film_stream(recording([0, 0, 1, 1, NO_LABEL], cuts=[2]), LABELS), 12)
    assert joined.labels.tolist() == [0, 0, 1, 1, NO_LABEL] * 2 + [0, 0]
    assert np.flatnonzero(joined.cuts).tolist() == [2, 5, 7, 10]


def test_a_film_without_labels_names_none() -> None:
    assert film_stream(recording([NO_LABEL] * 3), LABELS).labels is None
    assert film_stream(recording([0] * 3), LABELS).labels == LABELS


def test_a_dataset_as_a_stream_is_its_recordings_and_then_its_clips() -> None:
    dataset = Dataset(labels=LABELS, fps=15, clips=tuple(CLIPS), streams=(recording([1, 0, 1]),))
    stream = stream_of(dataset, seed=0)
    joined = whole(stream, 30)
    assert joined.labels[:3].tolist() == [1, 0, 1]
    assert np.flatnonzero(joined.frames[:, 0, 1, 0] == 0).tolist() == [0, *np.flatnonzero(joined.cuts)]
    assert stream.name == "film + 4 clips joined"


def test_moving_digits_as_a_stream_go_on_without_an_end_and_show_the_same_digits() -> None:
    dataset = digits_dataset(DigitsConfig())
    part = Dataset(labels=dataset.labels, fps=15, clips=dataset.clips[:10], sources=dataset.sources)
    stream = stream_of(part, seed=0)
    assert isinstance(stream, DigitsStream)
    assert stream.images == tuple(range(10))


def test_a_stream_without_frames_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"the data has no frames\. Name other data\."):
        joined_clips([], 0)


def test_a_stream_says_how_many_different_frames_it_has() -> None:
    film = recording([0, 0, 1])
    dataset = Dataset(labels=LABELS, fps=15.0, clips=tuple(CLIPS), streams=(film,))
    assert stream_of(dataset, seed=0).distinct == sum(len(each.frames) for each in CLIPS) + 3
    assert film_stream(film).distinct == 3
    assert DigitsStream(config=DigitsConfig()).distinct is None  # drawn as it goes


def test_streams_are_frame_streams() -> None:
    assert isinstance(joined_clips(CLIPS, 0), FrameStream)


def test_segments_are_runs_of_one_label_that_no_cut_divides() -> None:
    found = segments_of(recording([0, 0, 1, 1, 1, NO_LABEL, 1], cuts=[3]))
    assert found == ((0, 1, 0), (2, 2, 1), (3, 4, 1), (6, 6, 1))


def test_segments_that_a_stream_names_are_its_segments() -> None:
    stream = LabelledStream(
        name="film",
        frames=np.zeros((4, 1, 1, 1), np.uint8),
        labels=np.zeros(4, np.int64),
        segments=((0, 1, 0), (2, 3, 0)),
    )
    assert segments_of(stream) == ((0, 1, 0), (2, 3, 0))


def test_segments_as_clips_hold_their_frames() -> None:
    clips = segment_clips(recording([0, 0, 1, 1, 1]))
    assert [each.frames[:, 0, 1, 0].tolist() for each in clips] == [[0, 1], [2, 3, 4]]
    assert [each.label for each in clips] == [0, 1]
    assert len({each.group for each in clips}) == 2
