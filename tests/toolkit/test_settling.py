from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converters.stream import NO_LABEL
from toolkit.data.dataset import LabelledStream
from toolkit.evaluation.settling import settled_accuracy, settled_frames


def recording(labels: list[int], cuts: list[int] | None = None) -> LabelledStream:
    marked = np.isin(np.arange(len(labels)), cuts) if cuts is not None else None
    return LabelledStream(
        name="film", frames=np.zeros((len(labels), 1, 1, 1), np.uint8), labels=np.array(labels, np.int64), cuts=marked
    )


def test_frames_settle_anew_after_the_beginning_a_segment_and_a_cut() -> None:
    settled = settled_frames(recording([0] * 5 + [1] * 7, cuts=[8]), after=3)
    assert np.flatnonzero(settled).tolist() == [3, 4, 11]


def test_frames_without_a_label_never_settle_nor_do_those_right_after_them() -> None:
    settled = settled_frames(recording([0, 0, 0, NO_LABEL, NO_LABEL, 0, 0, 0]), after=2)
    assert np.flatnonzero(settled).tolist() == [2, 7]


def test_two_segments_of_one_label_have_a_border_between_them() -> None:
    stream = LabelledStream(
        name="film",
        frames=np.zeros((6, 1, 1, 1), np.uint8),
        labels=np.zeros(6, np.int64),
        segments=((0, 2, 0), (3, 5, 0)),
    )
    assert np.flatnonzero(settled_frames(stream, after=2)).tolist() == [2, 5]


@given(st.lists(st.sampled_from([NO_LABEL, 0, 1]), min_size=1, max_size=60), st.integers(0, 20))
def test_a_settled_frame_has_a_label_and_the_same_one_as_every_frame_it_waited_for(
    labels: list[int], after: int
) -> None:
    for place in np.flatnonzero(settled_frames(recording(labels), after=after)).tolist():
        assert place >= after
        assert labels[place] != NO_LABEL
        assert set(labels[place - after : place + 1]) == {labels[place]}


def test_only_settled_frames_count_in_the_accuracy() -> None:
    stream = recording([0] * 14)
    probabilities = np.zeros((14, 2), np.float32)
    probabilities[13, 0] = 1  # the frames before are called 0 as well: of equals the first is taken
    assert settled_accuracy(probabilities, stream) == 1
    probabilities[12, 1] = 1
    assert settled_accuracy(probabilities, stream) == 0.5
    assert settled_accuracy(probabilities[:12], recording([0] * 12)) is None
