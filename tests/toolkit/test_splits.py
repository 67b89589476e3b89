from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.stream import NO_LABEL
from runtime.errors import DatasetError
from toolkit.data.dataset import Clip, Dataset, LabelledStream
from toolkit.data.splits import natural, split

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMES = np.zeros((4, 2, 2, 1), np.uint8)
LABELS = ("left", "right")


def dataset_of(clips: Iterable[tuple[int, str]], labels: tuple[str, ...] = LABELS) -> Dataset:
    made = tuple(Clip(name=str(i), label=label, group=group, frames=FRAMES) for i, (label, group) in enumerate(clips))
    return Dataset(labels=labels, fps=15, clips=made)


def recordings(blocks: int, renderings: int = 3) -> Dataset:
    """Contiguous recordings, block0 to blockN of each class, each several times."""
    return dataset_of((label, f"block{i}") for label in (0, 1) for i in range(blocks) for _ in range(renderings))


def names(dataset: Dataset) -> list[str]:
    return [clip.name for clip in dataset.clips]


@given(
    groups=st.lists(st.lists(st.sampled_from([0, 1]), min_size=1, max_size=5), min_size=6, max_size=30),
    seed=st.integers(0, 99),
)
def test_no_group_is_in_both_parts_and_no_clip_is_lost(groups: list[list[int]], seed: int) -> None:
    dataset = dataset_of(
        [(label, f"g{i}") for i, members in enumerate(groups) for label in members]
        + [(label, f"own{label}{i}") for label in (0, 1) for i in range(4)]
    )
    train, held = split(dataset, seed=seed)
    assert not set(train.groups) & set(held.groups)
    assert sorted(names(train) + names(held)) == sorted(names(dataset))
    assert all(train.clips_per_class().values())
    assert all(held.clips_per_class().values())


def test_each_class_gives_the_wanted_fraction() -> None:
    dataset = dataset_of([(0, f"a{i}") for i in range(40)] + [(1, f"b{i}") for i in range(80)])
    assert split(dataset, seed=3, validation=0.25)[1].clips_per_class() == {"left": 10, "right": 20}


def test_the_same_seed_gives_the_same_parts_and_another_gives_others() -> None:
    dataset = dataset_of((i % 2, f"g{i}") for i in range(40))
    assert names(split(dataset, seed=1)[1]) == names(split(dataset, seed=1)[1])
    assert names(split(dataset, seed=1)[1]) != names(split(dataset, seed=2)[1])


def test_a_class_with_one_group_is_an_error() -> None:
    dataset = dataset_of([(0, "a"), (0, "a"), (1, "b"), (1, "c")])
    with pytest.raises(DatasetError, match=r"All clips of class left are in one group \(a\)"):
        split(dataset, seed=0)


@given(blocks=st.integers(6, 30), guard=st.integers(1, 2), seed=st.integers(0, 99))
def test_with_a_guard_a_row_of_recordings_is_held_out_and_its_neighbours_left_out(
    blocks: int, guard: int, seed: int
) -> None:
    train, held = split(recordings(blocks), seed=seed, guard=guard, validation=0.25)
    for label in LABELS:
        out, inside = (
            {int(group.removeprefix(f"{label}/block")) for group in part.groups if group.startswith(label)}
            for part in (held, train)
        )
        assert out == set(range(min(out), max(out) + 1))
        assert len(out) == max(1, round(blocks * 0.25))
        near = {i for i in range(min(out) - guard, max(out) + guard + 1) if 0 <= i < blocks}
        assert inside == set(range(blocks)) - near


def test_with_a_guard_a_class_of_its_own_recordings_names_its_groups() -> None:
    train, held = split(recordings(8), seed=0, guard=1)
    assert not set(train.groups) & set(held.groups)
    assert all(group.startswith(("left/block", "right/block")) for group in (*train.groups, *held.groups))


def test_too_few_recordings_for_a_guard_are_an_error() -> None:
    with pytest.raises(DatasetError, match=r"Class left has 3 groups, too few for 1 in the validation part and 2 left"):
        split(recordings(3), seed=0, guard=2)


def test_streams_go_to_the_training_part() -> None:
    stream = LabelledStream(name="s", frames=FRAMES, labels=np.zeros(4, np.int64))
    dataset = dataset_of((i % 2, f"g{i}") for i in range(20))
    train, held = split(Dataset(labels=LABELS, fps=15, clips=dataset.clips, streams=(stream,)), seed=0)
    assert (len(train.streams), len(held.streams)) == (1, 0)


def test_streams_alone_give_their_last_segments_as_clips() -> None:
    labels = np.repeat([0, 1] * 6, 5).astype(np.int64)
    stream = LabelledStream(name="s", frames=np.zeros((60, 2, 2, 1), np.uint8), labels=labels)
    train, held = split(Dataset(labels=LABELS, fps=15, streams=(stream,)), seed=0, guard=1)
    assert len(train.streams[0].frames) == 40
    assert Counter(clip.label for clip in held.clips) == {0: 1, 1: 2}


def test_a_stream_that_is_too_short_for_two_parts_is_an_error() -> None:
    stream = LabelledStream(name="s", frames=FRAMES, labels=np.array([0, 0, NO_LABEL, 1]))
    with pytest.raises(DatasetError, match=r"s has 2 segments, too few for two parts"):
        split(Dataset(labels=LABELS, fps=15, streams=(stream,)), seed=0, guard=1)


@pytest.mark.parametrize("validation", [0.0, 1.0])
def test_a_part_that_is_empty_or_everything_is_an_error(validation: float) -> None:
    with pytest.raises(DatasetError, match=r"it must be above 0 and below 1"):
        split(recordings(8), seed=0, validation=validation)


def test_numbers_in_names_sort_as_numbers() -> None:
    assert sorted(["b10", "b9", "a", "b"], key=natural) == ["a", "b", "b9", "b10"]
