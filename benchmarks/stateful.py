"""What a model is worth on a stream without an end: with its state carried on, with resets, and as a sliding window.

    python benchmarks/stateful.py [--frames N] [--streams N] [--film FOLDER [--from F]] RUN|ARTIFACT=RUN...

Each run is stepped through streams of what it did not train on. Of moving digits that is their endless stream with
the images held out; of other clips, segments of 30 to 85 frames in drawn order, each made of the held-out clips of
neighbouring groups (`--group-by`), one after another without a gap. `--film` takes a labelled recording instead, or
what follows frame F of it.

never: the state is never reset. borders: it is reset where a segment begins, which no device knows. window: the last 32
frames are shown anew at every frame, from the initial state. FILE.tflite=RUN is stepped through the same streams as
RUN, without a reset.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.data.dataset import Clip, Dataset, LabelledStream
    from toolkit.evaluation.predictors import Predictor
    from toolkit.training.run_folder import Run

WINDOW = 32
SHORTEST, LONGEST = 30, 85
_CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Fractions of frames, of frames 12 or more after a border, and of segments by majority, called rightly."""

    frames: float
    settled: float
    segments: float


def figures(probabilities: Any, stream: LabelledStream) -> Figures:
    """Compare answers [frames, classes] with a stream's labels."""
    from converters.stream import NO_LABEL
    from toolkit.data.streams import segments_of
    from toolkit.evaluation.settling import settled_accuracy

    chosen = probabilities.argmax(1)
    known = stream.labels != NO_LABEL
    majorities = [
        np.bincount(chosen[first : last + 1], minlength=probabilities.shape[1]).argmax() == label
        for first, last, label in segments_of(stream)
    ]
    return Figures(
        frames=float((chosen == stream.labels)[known].mean()),
        settled=settled_accuracy(probabilities, stream) or 0.0,
        segments=float(np.mean(majorities)),
    )


def held_streams(run: Run, held: Dataset, *, frames: int, count: int) -> list[LabelledStream]:
    """Draw streams of what a run did not train on."""
    from toolkit.data.digits import DIGITS, labelled_digits_stream
    from toolkit.data.streams import stream_of

    if run.data.sources == (DIGITS,):
        return [labelled_digits_stream(stream_of(held, seed=seed), frames) for seed in range(count)]  # type: ignore[arg-type]  # of digits it is a DigitsStream
    return [joined_segments(held.clips, frames=frames, seed=seed) for seed in range(count)]


def joined_segments(clips: Sequence[Clip], *, frames: int, seed: int) -> LabelledStream:
    """Join clips of neighbouring groups to segments, and segments to a stream without a gap."""
    from toolkit.data.dataset import LabelledStream
    from toolkit.data.splits import natural

    rng = np.random.default_rng((seed, 7))
    rows = {
        label: [
            [clip for clip in clips if clip.label == label and clip.group == group]
            for group in sorted({clip.group for clip in clips if clip.label == label}, key=natural)
        ]
        for label in sorted({clip.label for clip in clips})
    }
    parts, labels, segments, told = [], [], [], 0
    while told < frames:
        label = int(rng.choice(list(rows)))
        row, wanted = rows[label], int(rng.integers(SHORTEST, LONGEST + 1))
        place, length, pieces = int(rng.integers(len(row))), 0, []
        while length < wanted:
            group = row[place % len(row)]
            piece = group[int(rng.integers(len(group)))].frames[: wanted - length]
            pieces.append(piece)
            length += len(piece)
            place += 1
        parts.extend(pieces)
        labels.append(np.full(length, label, np.int64))
        segments.append((told, told + length - 1, label))
        told += length
    return LabelledStream(
        name=f"{len(segments)} segments, seed {seed}",
        frames=np.concatenate(parts),
        labels=np.concatenate(labels),
        segments=tuple(segments),
    )


def stepped(predictor: Predictor, stream: LabelledStream, *, borders: bool) -> Any:
    """Step through a stream, with a reset at every segment's beginning or without any."""
    from toolkit.data.streams import segments_of

    resets = np.zeros(len(stream.frames), np.bool_)
    if borders:
        resets[[first for first, _, _ in segments_of(stream)]] = True
    predictor.reset()
    return np.concatenate(
        [
            predictor.predict(stream.frames[start : start + _CHUNK], resets[start : start + _CHUNK])
            for start in range(0, len(resets), _CHUNK)
        ]
    )


def windowed(run: Run, stream: LabelledStream) -> Any:
    """Show the last 32 frames anew at every frame, each time from the initial state."""
    import tensorflow as tf

    from toolkit.training.network import Network

    config = run.model_config
    network = Network(run.model(), scale=config.scale, offset=config.offset)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow's
    def answers(frames: Any, still: Any) -> Any:
        logits, _ = network.logits(
            frames, still, tf.tile(tf.range(WINDOW)[None], [tf.shape(frames)[0], 1]), [], training=False
        )
        return logits[:, -1]

    padded = np.concatenate([np.repeat(stream.frames[:1], WINDOW - 1, axis=0), stream.frames])
    windows = np.moveaxis(np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0), -1, 1)
    given = []
    for start in range(0, len(windows), 64):
        part = np.ascontiguousarray(windows[start : start + 64])
        given.append(answers(part, np.zeros(part.shape[:2], np.bool_)).numpy())
    return np.concatenate(given)


def mean(rows: Sequence[Figures]) -> Figures:
    """Average over streams."""
    return Figures(
        **{name: float(np.mean([getattr(row, name) for row in rows])) for name in ("frames", "settled", "segments")}
    )


def tell(names: Sequence[str], clips: float | None, found: Figures) -> None:
    """Print a row."""
    told = "-" if clips is None else f"{clips:.3f}"
    cells = [*names, f"{found.frames:.3f}", f"{found.settled:.3f}", f"{found.segments:.3f}", told]
    print(f"| {' | '.join(cells)} |", flush=True)


def measure(given: str, options: argparse.Namespace) -> None:
    """Print the rows of a run, or of an artifact."""
    from toolkit.evaluation.clips import evaluate_clips
    from toolkit.evaluation.subject import open_subject
    from toolkit.training.run_folder import Run

    path, _, of = given.partition("=")
    run, subject = Run.load(Path(of or path)), open_subject(Path(path))
    held = run.validation_dataset()
    streams = (
        [_film(run, options.film, options.first)]
        if options.film
        else held_streams(run, held, frames=options.frames, count=options.streams)
    )
    clips = evaluate_clips(subject.predictor, held.clips, run.labels).accuracy
    trained = "windows" if run.training.get("stateful") else "whole clips"
    if run.training.get("stateful") and run.results.get("streams_trained"):
        trained += ", a recording too"
    names = (Path(path).name if of else run.name, run.model_config.cell, trained)
    for reset in ("never",) if of else ("never", "borders"):
        found = [figures(stepped(subject.predictor, stream, borders=reset == "borders"), stream) for stream in streams]
        tell((*names, reset), clips, mean(found))
    if not of and options.window:
        tell((*names, "window"), None, mean([figures(windowed(run, stream), stream) for stream in streams]))


def _film(run: Run, folder: str, first: int) -> LabelledStream:
    from toolkit.data.loading import load_dataset
    from toolkit.data.streams import segments_of

    (stream,) = load_dataset((folder,), replace(run.data.config, labels=run.labels)).streams
    segments = tuple((a - first, b - first, label) for a, b, label in segments_of(stream) if a >= first)
    return replace(stream, frames=stream.frames[first:], labels=stream.labels[first:], cuts=None, segments=segments)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--film")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--no-window", dest="window", action="store_false")
    options = parser.parse_args()
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    print("| run | cell | trained on | reset | frames | settled | segments | clips |")
    print("|---|---|---|---|---|---|---|---|")
    for given in options.runs:
        measure(given, options)


if __name__ == "__main__":
    main()
