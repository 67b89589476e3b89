"""Moving digits as files: class folders of films, and apart from them a labelled stream of other digits."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.decoders import load_pyav
from runtime.errors import ConfigError, DatasetError
from toolkit.data.digits import LABELS, DigitsConfig, DigitsStream, digit_images, digits_dataset
from toolkit.data.tables import CLIP_COLUMNS, SEGMENT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from toolkit.data.loading import Progress

_STREAM_SHARE = 0.1  # of the images; they are in no clip
_LOSSLESS = {"qp": "0", "preset": "ultrafast"}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        clips: films in class folders.
        stream_frames: of stream/stream.mp4; 0 where there is none.
        classes: films in each folder.
        groups: digits shown.
    """

    clips: int
    stream_frames: int
    classes: dict[str, int]
    groups: int


def write_digits(
    folder: Path,
    config: DigitsConfig,
    *,
    clips: int,
    stream_frames: int,
    progress: Progress | None = None,
) -> Written:
    """Write a dataset into a new folder, all of it or nothing.

    Args:
        folder: must not exist, or be empty.
        config: of the clips; `copies` does not matter.
        clips: how many.
        stream_frames: length of the stream in `folder`/stream; its digits are in no clip.
        progress: told after each film how many are done, of how many.

    Raises:
        DatasetError: where the folder is not empty, or cannot be written.
        ConfigError: where no clip is asked for.
    """
    if clips < len(LABELS) or stream_frames < 0:
        raise ConfigError(
            f"{clips} clips and {stream_frames} frames of a stream were asked for; at least {len(LABELS)} clips, one a "
            "class, can be made."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} is there and not empty. Name a new folder.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        temporary.mkdir(parents=True)
        written = _write_all(temporary, config, clips, stream_frames, progress)
        temporary.replace(folder)
    except OSError as error:
        if isinstance(error, DatasetError) or error.strerror is None:
            raise
        raise DatasetError(f"{folder} cannot be written: {error.strerror}. Make room, or name another.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return written


def _write_all(
    folder: Path,
    config: DigitsConfig,
    clips: int,
    stream_frames: int,
    progress: Progress | None,
) -> Written:
    images = len(digit_images())
    order = np.random.default_rng((config.seed, 2)).permutation(images)
    reserved = max(1, round(_STREAM_SHARE * images)) if stream_frames else 0
    shown = set(order[reserved:].tolist())
    copies = -(-clips // len(shown))
    everything = digits_dataset(replace(config, copies=copies)).clips
    classes = [[clip for clip in everything if clip.label == i and _image(clip.group) in shown] for i in range(4)]
    # In turns, so that each class has as many as the others.
    made = [clip for row in itertools.zip_longest(*classes) for clip in row if clip is not None]
    total = clips + bool(stream_frames)
    rows = []
    for number, clip in enumerate(made[:clips], 1):
        path = folder / f"{clip.name}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_film(path, clip.frames, fps=config.fps)
        rows.append((f"{clip.name}.mp4", LABELS[clip.label], clip.group))
        if progress is not None:
            progress(number, total)
    _write_table(folder / "clips.csv", (*CLIP_COLUMNS, "group"), rows)
    if stream_frames:
        stream = DigitsStream(config=config, images=tuple(sorted(order[:reserved].tolist())))
        (folder / "stream").mkdir()
        _write_stream(folder / "stream", stream, stream_frames)
        if progress is not None:
            progress(total, total)
    return Written(
        clips=len(rows),
        stream_frames=stream_frames,
        classes={label: sum(row[1] == label for row in rows) for label in LABELS},
        groups=len({row[2] for row in rows}),
    )


def _write_stream(folder: Path, stream: DigitsStream, frames: int) -> None:
    labels: list[int] = []

    def pictures() -> Iterable[npt.NDArray[np.uint8]]:
        for chunk in stream.chunks(frames):
            labels.extend(chunk.labels.tolist())
            yield from chunk.frames

    write_film(folder / "stream.mp4", pictures(), fps=stream.config.fps)
    rows, first = [], 0
    # Two segments of one label never meet, so that runs of a label are the segments.
    for label, run in itertools.groupby(labels):
        count = len(list(run))
        rows.append((first, first + count - 1, LABELS[label]))
        first += count
    _write_table(folder / "stream.csv", SEGMENT_COLUMNS, rows)


def write_film(path: Path, frames: Iterable[npt.NDArray[np.uint8]], *, fps: float) -> None:
    """Write frames, uint8 [height, width, 1 or 3], as H.264 in MP4; gray ones come back exactly."""
    av = load_pyav("Writing a film")
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = None
        for pixels in frames:
            if stream is None:
                rate = Fraction(fps).limit_denominator(1001)
                stream = container.add_stream("libx264", rate=rate, options=_LOSSLESS)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p" if pixels.shape[2] == 1 else "yuv444p"
                stream.codec_context.color_range = _FULL_RANGE
            plain, kind = (pixels[..., 0], "gray") if pixels.shape[2] == 1 else (pixels, "rgb24")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(plain), kind)
            frame = frame.reformat(format=stream.pix_fmt, src_color_range=_FULL_RANGE, dst_color_range=_FULL_RANGE)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


def _image(group: str) -> int:
    return int(group.rpartition("-")[2])


def _write_table(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
