"""Accuracy on clips, each from a reset on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from toolkit.data.dataset import Clip
    from toolkit.evaluation.predictors import Predictor

_CHUNK_FRAMES = 512


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """What a model said of clips.

    Attributes:
        labels: the classes, in the order of `confusion`.
        confusion: clips of the class of the row that were called the class of the column.
        answers: of each clip, in the clips' order, the class that it was called.
    """

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    answers: tuple[int, ...]

    @property
    def clips(self) -> int:
        """How many there were."""
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        """The fraction called right."""
        return sum(row[i] for i, row in enumerate(self.confusion)) / self.clips

    @property
    def per_class(self) -> dict[str, float | None]:
        """Each class's fraction called right; None of a class without clips."""
        return {
            label: row[i] / sum(row) if sum(row) else None
            for i, (label, row) in enumerate(zip(self.labels, self.confusion, strict=True))
        }

    def pair_accuracy(self, one: str, other: str) -> float | None:
        """Of the clips of two classes that were called one of the two, the fraction called right; None without any.

        Two directions of one movement are told apart by order alone; this figure says whether they are.
        """
        a, b = self.labels.index(one), self.labels.index(other)
        right = self.confusion[a][a] + self.confusion[b][b]
        wrong = self.confusion[a][b] + self.confusion[b][a]
        return right / (right + wrong) if right + wrong else None


def evaluate_clips(
    predictor: Predictor,
    clips: Sequence[Clip],
    labels: tuple[str, ...],
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> ClipResult:
    """Ask for each clip's class.

    A clip's answer is the argmax of the mean of the probabilities over its last half. The states go back before each
    clip and the clips come in drawn order, since a model that keeps something would profit from sorted ones.

    Args:
        predictor: what is evaluated.
        clips: labelled.
        labels: the classes.
        seed: of the order.
        progress: told the number of clips done.

    Raises:
        DatasetError: where there are no clips.
    """
    if not clips:
        raise DatasetError("There are no clips to evaluate on. Name data with clips, or use --stream.")
    answers = np.zeros(len(clips), np.int64)
    order = np.random.default_rng(seed).permutation(len(clips)).tolist()
    done = 0
    while done < len(order):
        batch = _next_batch(clips, order[done:])
        frames = np.concatenate([clips[i].frames for i in batch])
        lengths = [len(clips[i].frames) for i in batch]
        starts = np.cumsum([0, *lengths[:-1]])
        resets = np.zeros(len(frames), np.bool_)
        resets[starts] = True
        probabilities = predictor.predict(frames, resets)
        for i, start, length in zip(batch, starts.tolist(), lengths, strict=True):
            answers[i] = clip_answer(probabilities[start : start + length])
        done += len(batch)
        progress(done)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (np.array([clip.label for clip in clips]), answers), 1)
    return ClipResult(labels=labels, confusion=tuple(map(tuple, confusion.tolist())), answers=tuple(answers.tolist()))


def clip_answer(probabilities: npt.NDArray[np.float32]) -> int:
    """Give a clip's class from the probabilities of its frames, [t, classes]: argmax of the mean over its last half."""
    return int(probabilities[len(probabilities) // 2 :].mean(axis=0).argmax())


def _next_batch(clips: Sequence[Clip], order: Sequence[int]) -> list[int]:
    """As many clips as fit into one call, one at least."""
    batch: list[int] = []
    frames = 0
    for i in order:
        frames += len(clips[i].frames)
        if batch and frames > _CHUNK_FRAMES:
            break
        batch.append(i)
    return batch
