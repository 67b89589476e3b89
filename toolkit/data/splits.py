"""A training and a validation part that share no group."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import DatasetError
from toolkit.data.digits import DIGITS
from toolkit.data.streams import segment_clips, segments_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from toolkit.data.dataset import Clip, Dataset, LabelledStream


def split(dataset: Dataset, *, seed: int, guard: int = 0, validation: float = 0.25) -> tuple[Dataset, Dataset]:
    """Divide by group, so that every class is in both parts; the same arguments give the same parts.

    Streams go to the training part. Where there are no clips, the last part of each stream becomes the validation
    part's clips, a segment a clip. Moving digits alone are divided alike whatever the seed is, so that everything ever
    trained on them can be evaluated on digits that it has not seen.

    Args:
        dataset: what to divide.
        seed: of the draw.
        guard: with 0, a group may hold several classes and is drawn whole. Above 0, the groups of each class are
            contiguous recordings numbered in their order: a row of them is drawn, and `guard` groups before and
            after it are left out of both parts. A part's clips then have `class/group` as their group.
        validation: the fraction of the clips (of a class's groups with `guard`) that the validation part gets.

    Returns:
        The training and the validation part.

    Raises:
        DatasetError: where a class cannot be in both.
    """
    if not 0 < validation < 1:
        raise DatasetError(f"The validation part is {validation} of the data; it must be above 0 and below 1.")
    if not dataset.clips:
        return _split_streams(dataset, guard=guard, validation=validation)
    if guard:
        train, held = _split_rows(dataset, seed=seed, guard=guard, validation=validation)
    else:
        groups = _held_groups(dataset, seed=0 if dataset.sources == (DIGITS,) else seed, validation=validation)
        train = tuple(clip for clip in dataset.clips if clip.group not in groups)
        held = tuple(clip for clip in dataset.clips if clip.group in groups)
    _check_parts(dataset.labels, train, held)
    return replace(dataset, clips=train), replace(dataset, clips=held, streams=())


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key by which block2 comes before block10."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts if part)


def _split_rows(
    dataset: Dataset, *, seed: int, guard: int, validation: float
) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    train: list[Clip] = []
    held: list[Clip] = []
    rng = np.random.default_rng(seed)
    for label, name in enumerate(dataset.labels):
        clips = [clip for clip in dataset.clips if clip.label == label]
        order = sorted({clip.group for clip in clips}, key=natural)
        count = max(1, round(validation * len(order)))
        reach = [
            (max(0, start - guard), start, start + count + guard)
            for start in range(len(order) - count + 1)
            if min(len(order), start + count + guard) - max(0, start - guard) < len(order)
        ]
        if clips and not reach:
            raise DatasetError(
                f"Class {name} has {len(order)} groups, too few for {count} in the validation part and {guard} left "
                "out on each side. Use a smaller --guard, or more recordings."
            )
        if not clips:
            continue
        begin, start, end = reach[int(rng.integers(len(reach)))]
        row, near = set(order[start : start + count]), set(order[begin:end])
        for clip in clips:
            if clip.group in row:
                held.append(replace(clip, group=f"{name}/{clip.group}"))
            elif clip.group not in near:
                train.append(replace(clip, group=f"{name}/{clip.group}"))
    return tuple(train), tuple(held)


def _held_groups(dataset: Dataset, *, seed: int, validation: float) -> set[str]:
    """Groups whose clips come nearest to the wanted number of each class."""
    members: dict[str, Counter[int]] = defaultdict(Counter)
    for clip in dataset.clips:
        members[clip.group][clip.label] += 1
    totals = Counter(clip.label for clip in dataset.clips)
    order = sorted(members, key=natural)
    np.random.default_rng(seed).shuffle(order)
    missing = {label: validation * total for label, total in totals.items()}
    held: set[str] = set()
    for group in order:
        if _gain(members[group], missing) > 0:
            _take(held, missing, group, members[group])
    for label in totals:
        holders = [group for group in order if members[group][label]]
        if len(holders) < 2:
            raise DatasetError(
                f"All clips of class {dataset.labels[label]} are in one group ({holders[0]}), so they cannot be in "
                "both parts. Add recordings of it, or group differently (--group-by)."
            )
        inside = [group for group in holders if group in held]
        if not inside:
            _take(held, missing, min(holders, key=lambda group: sum(members[group].values())), members[holders[0]])
        elif len(inside) == len(holders):
            held.remove(max(inside, key=lambda group: sum(members[group].values())))
    return held


def _gain(group: Counter[int], missing: dict[int, float]) -> float:
    """By how much taking a group brings the classes nearer to what they miss (least squares)."""
    return sum(missing[label] ** 2 - (missing[label] - count) ** 2 for label, count in group.items())


def _take(held: set[str], missing: dict[int, float], group: str, members: Counter[int]) -> None:
    held.add(group)
    for label, count in members.items():
        missing[label] -= count


def _split_streams(dataset: Dataset, *, guard: int, validation: float) -> tuple[Dataset, Dataset]:
    streams: list[LabelledStream] = []
    held: list[Clip] = []
    for stream in dataset.streams:
        segments = segments_of(stream)
        last = len(segments) - max(1, round(validation * len(segments)))
        if last - guard < 1:
            raise DatasetError(
                f"{stream.name} has {len(segments)} segments, too few for two parts. Add clips, or a longer stream."
            )
        streams.append(_first_segments(stream, last - guard))
        held.extend(segment_clips(stream, segments[last:]))
    inside = {label for stream in streams for label in set(stream.labels.tolist())}
    _check_labels(dataset.labels, inside, {clip.label for clip in held})
    return replace(dataset, streams=tuple(streams)), replace(dataset, clips=tuple(held), streams=())


def _first_segments(stream: LabelledStream, count: int) -> LabelledStream:
    segments = segments_of(stream)[:count]
    end = segments[-1][1] + 1
    return replace(
        stream,
        frames=stream.frames[:end],
        labels=stream.labels[:end],
        cuts=None if stream.cuts is None else stream.cuts[:end],
        segments=segments,
    )


def _check_parts(labels: Sequence[str], train: Sequence[Clip], held: Sequence[Clip]) -> None:
    shared = {clip.group for clip in train} & {clip.group for clip in held}
    if shared:
        raise DatasetError(f"Group {min(shared)} is in both parts. Group differently (--group-by).")
    present = {clip.label for clip in (*train, *held)}
    _check_labels(
        [label for i, label in enumerate(labels) if i in present],
        {sorted(present).index(clip.label) for clip in train},
        {sorted(present).index(clip.label) for clip in held},
    )


def _check_labels(labels: Sequence[str], train: Collection[int], held: Collection[int]) -> None:
    for i, label in enumerate(labels):
        for part, has in (("training", train), ("validation", held)):
            if i not in has:
                raise DatasetError(
                    f"Class {label} is not in the {part} part. Add recordings of it, or draw another --seed."
                )
