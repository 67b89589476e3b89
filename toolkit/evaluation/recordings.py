"""The streams that a model can be evaluated on: a film with its segments, and what was held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import DatasetError
from toolkit.data.digits import DIGITS
from toolkit.data.loading import load_stream
from toolkit.evaluation.subject import load_part
from toolkit.evaluation.validation import ValidationStream, validation_stream

if TYPE_CHECKING:
    from toolkit.data.dataset import LabelledStream, Skipped
    from toolkit.evaluation.subject import Subject
    from toolkit.training.run_folder import Run

VALIDATION = "validation"
"""The name of what a run held out, as a stream."""

_FILM, _TABLE = "stream.mp4", "stream.csv"


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """A stream to evaluate on.

    Attributes:
        validation: the frames and their labels.
        trained_on: whether the model saw it in training; None where nobody knows.
        damaged: the film, where it is not whole.
    """

    validation: ValidationStream
    trained_on: bool | None
    damaged: tuple[Skipped, ...] = ()


def open_recording(
    subject: Subject,
    text: str,
    segments: Path | None = None,
    *,
    like: Run | None = None,
    frames: int | None = None,
) -> Recording:
    """Open what a user names as a stream.

    Args:
        subject: the model; the stream is brought to what it takes.
        text: a film, a folder with `stream.mp4` and `stream.csv`, `digits` for the endless stream of moving digits that
            no model is trained on, or `validation` for what a run held out.
        segments: of a film; the CSV of its name where None.
        like: a run whose held-out part counts for an artifact.
        frames: how many, of a stream that is made of parts; None for its usual length.

    Raises:
        DatasetError: where it cannot be used.
    """
    if text in (DIGITS, VALIDATION):
        run = subject.run or like
        if text == VALIDATION and run is None:
            raise DatasetError("Nobody knows what was held out from an artifact. Name the run with --like.")
        held, _ = load_part(subject, (DIGITS,) if text == DIGITS else (), part=None, like=like)
        return Recording(validation=validation_stream(held, frames=frames), trained_on=False if run else None)
    film = Path(text)
    if film.is_dir():
        film, segments = film / _FILM, segments or film / _TABLE
    beside = film.with_suffix(".csv")
    table = segments if segments is not None else beside if beside.is_file() else None
    dataset = load_stream(film, table, subject.data_config())
    return replace(recording_of(subject, dataset.streams[0]), damaged=dataset.damaged)


def recording_of(subject: Subject, stream: LabelledStream) -> Recording:
    """Take a stream that was loaded from a film."""
    return Recording(
        validation=ValidationStream(stream=stream, distinct_frames=len(stream.frames)),
        trained_on=subject.trained_on(Path(stream.name)),
    )
