"""Datasets from whatever a user names: class folders, tables, streams, films, the built-in digits."""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from converters.stream import NO_LABEL
from runtime.errors import DatasetError, FrameError, SourceError
from runtime.sources.pictures import DEFAULT_FPS
from toolkit.data.dataset import Clip, Dataset, LabelledStream, Skipped
from toolkit.data.decoding import MAP_FROM_BYTES, Decoder, film_rate
from toolkit.data.digits import DIGITS, FPS, DigitsConfig, digits_dataset
from toolkit.data.finding import Found, FoundClip, FoundStream, find, found_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from toolkit.data.cache import CachedFilm
    from toolkit.data.dataset import DataConfig

Progress: TypeAlias = "Callable[[int, int], None]"
"""Told how many films are done, of how many."""

SAME_RATE = 0.02
"""Rates that differ by at most this fraction are one: 29.97 and 30."""

T = TypeVar("T")
R = TypeVar("R")


def load_dataset(sources: Sequence[str], config: DataConfig, *, progress: Progress | None = None) -> Dataset:
    """Find, decode and label everything that the sources hold.

    Args:
        sources: folders, tables, films, `digits`; several are united.
        config: what the model takes.
        progress: told after each film; from the calling thread.

    Raises:
        DatasetError: where the data cannot be used, with what to do.
    """
    if not sources:
        raise DatasetError("No data was named. Use --data FOLDER, or --data digits.")
    found = [find(source, config.group_by) for source in sources if source != DIGITS]
    everything = Found(
        clips=tuple(clip for each in found for clip in each.clips),
        streams=tuple(stream for each in found for stream in each.streams),
        skipped=tuple(skip for each in found for skip in each.skipped),
    )
    return _load(tuple(sources), everything, config, progress)


def load_stream(film: Path, segments: Path | None, config: DataConfig) -> Dataset:
    """Load one film as a stream, its segments from a table of any name.

    Raises:
        DatasetError: where one of them cannot be used.
    """
    if not film.is_file():
        raise DatasetError(f"{film} is no film. Name a film.")
    if segments is not None and not segments.is_file():
        raise DatasetError(f"{segments} does not exist. Name a CSV start_frame,end_frame,label.")
    found = Found(streams=(found_stream(film, segments),))
    return _load((str(film),), found, replace(config, labelled=False), None)


def _load(sources: tuple[str, ...], found: Found, config: DataConfig, progress: Progress | None) -> Dataset:
    digits = digits_dataset(_digits_config(config)) if DIGITS in sources else None
    if config.labels is not None:
        _labels(config, found.clips, found.streams, digits)  # said before everything is decoded
    fps, broken = _common_rate(found, config, digits=DIGITS in sources)
    decoder = Decoder(spec=config.input_spec(), fps=fps, map_from_bytes=_map_from_bytes(found))
    films = _decode_all(found, broken, decoder, progress)
    skipped, damaged = list(found.skipped), []
    clips: list[tuple[FoundClip, CachedFilm]] = []
    streams: list[tuple[FoundStream, CachedFilm]] = []
    for each, film in films:
        if isinstance(film, str):
            if isinstance(each, FoundStream):
                raise DatasetError(f"{each.path} {film}")
            skipped.append(Skipped(path=str(each.path), reason=film))
            continue
        if film.note.damage is not None:
            damaged.append(Skipped(path=str(each.path), reason=film.note.damage))
        if isinstance(each, FoundStream):
            streams.append((each, film))
        elif each.kind != "picture" and len(film.frames) < config.min_frames:
            reason = f"it has {len(film.frames)} frames, and at least {config.min_frames} are needed"
            skipped.append(Skipped(path=str(each.path), reason=reason))
        else:
            clips.append((each, film))
    labels = _labels(config, [each for each, _ in clips], found.streams, digits)
    places = {label: i for i, label in enumerate(labels)}
    made = [
        Clip(name=str(each.path), label=places[each.label], group=_group(each, config), frames=film.frames)
        for each, film in clips
    ]
    if digits is not None:
        made += [replace(clip, label=places[digits.labels[clip.label]]) for clip in digits.clips]
    dataset = Dataset(
        labels=labels,
        fps=fps,
        clips=tuple(made),
        streams=tuple(_label_stream(each, film, places) for each, film in streams),
        skipped=tuple(skipped),
        damaged=tuple(damaged),
        sources=sources,
    )
    _check(dataset, config)
    return dataset


def _decode_all(
    found: Found, broken: dict[str, str], decoder: Decoder, progress: Progress | None
) -> list[tuple[FoundClip | FoundStream, CachedFilm | str]]:
    """Decode everything; a string says why something cannot be."""

    def decode(each: FoundClip | FoundStream) -> CachedFilm | str:
        if str(each.path) in broken:
            return broken[str(each.path)]
        try:
            if isinstance(each, FoundStream) or each.kind == "film":
                return decoder.film(each.path)
            if each.kind == "frames":
                return decoder.folder(each.path)
            return decoder.picture(each.path)
        except (SourceError, FrameError) as error:
            return _reason(each.path, error)

    everything: list[FoundClip | FoundStream] = [*found.streams, *found.clips]
    # A film that is named twice is decoded once: two threads must not write one file of the cache.
    places = [each.path.resolve() for each in everything]
    different = dict(zip(places, everything, strict=True))
    decoded = dict(zip(different, _in_threads(decode, list(different.values()), progress), strict=True))
    return [(each, decoded[place]) for each, place in zip(everything, places, strict=True)]


def _reason(path: Path, error: Exception) -> str:
    """What an error says, without the file's name that will stand before it."""
    return str(error).removeprefix(f"{path} ").removeprefix(f"{path}: ")


def _map_from_bytes(found: Found) -> int:
    """From which size on films are mapped: none where there are more of them than file descriptors to be had."""
    import resource

    wanted = len(found.clips) + len(found.streams) + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted <= soft:
        return MAP_FROM_BYTES
    if hard != resource.RLIM_INFINITY and wanted > hard:
        return sys.maxsize
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return MAP_FROM_BYTES


def _in_threads(function: Callable[[T], R], items: Sequence[T], progress: Progress | None) -> list[R]:
    """Map in threads (decoders let go of the interpreter's lock), in order; after an error the rest is not begun."""
    results: list[R] = []
    pool = ThreadPoolExecutor(max_workers=min(len(os.sched_getaffinity(0)), 8))
    try:
        for result in pool.map(function, items):
            results.append(result)
            if progress is not None:
                progress(len(results), len(items))
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _common_rate(found: Found, config: DataConfig, *, digits: bool) -> tuple[float, dict[str, str]]:
    """Tell the rate of all the data, and which films have none because they cannot be read."""
    if config.fps is not None:
        return config.fps, {}

    def rate(path: Path) -> float | str:
        try:
            return film_rate(path)
        except SourceError as error:
            return _reason(path, error)

    films = [clip.path for clip in found.clips if clip.kind == "film"] + [stream.path for stream in found.streams]
    paths = list(dict.fromkeys(films))
    told = dict(zip(map(str, paths), _in_threads(rate, paths, None), strict=True))
    rates = {path: value for path, value in told.items() if not isinstance(value, str)}
    broken = {path: value for path, value in told.items() if isinstance(value, str)}
    if digits:
        rates[DIGITS] = FPS
    folders = [clip for clip in found.clips if clip.kind == "frames"]
    if folders:
        raise DatasetError(f"{folders[0].path} is a folder of pictures, which have no rate of their own. Give --fps.")
    if not rates:
        if broken:
            path, reason = next(iter(broken.items()))
            raise DatasetError(
                f"Nothing is left of the data: {len(broken)} films cannot be used, first {path}, which {reason}"
            )
        return DEFAULT_FPS, {}  # single pictures: a rate means nothing to them
    slowest, fastest = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    if rates[fastest] > rates[slowest] * (1 + SAME_RATE):
        raise DatasetError(
            f"{slowest} has {rates[slowest]:.4g} frames a second and {fastest} has {rates[fastest]:.4g}. Give --fps, "
            "the rate to bring all of them to."
        )
    counts = Counter(rates.values())
    return max(counts, key=lambda value: (counts[value], -value)), broken


def _labels(
    config: DataConfig, clips: Sequence[FoundClip], streams: Sequence[FoundStream], digits: Dataset | None
) -> tuple[str, ...]:
    found = {clip.label: str(clip.path) for clip in clips}
    found.update({row.label: str(stream.table) for stream in streams for row in stream.segments})
    if digits is not None:
        found.update(dict.fromkeys(digits.labels, DIGITS))
    if config.labels is None:
        return tuple(sorted(found))
    unknown = sorted(set(found) - set(config.labels))
    if unknown:
        raise DatasetError(
            f"{found[unknown[0]]} has the label {unknown[0]}, which the model does not know. Its labels are "
            f"{', '.join(config.labels)}: use data with these."
        )
    return config.labels


def _label_stream(stream: FoundStream, film: CachedFilm, places: dict[str, int]) -> LabelledStream:
    """Give each frame the label of the film's frame that it is."""
    count = film.note.frames
    rows = stream.segments
    if rows and rows[-1].last >= count and film.note.damage is None:
        raise DatasetError(
            f"{stream.table} has a segment from frame {rows[-1].first} to {rows[-1].last}, but {stream.path} has "
            f"{count} frames (0 to {count - 1}). Mend the segment."
        )
    of_film = np.full(count, NO_LABEL, np.int64)
    for row in rows:
        of_film[row.first : row.last + 1] = places[row.label]
    indices = np.arange(len(film.frames)) if film.note.indices is None else np.array(film.note.indices)
    cuts = np.zeros(len(film.frames), np.bool_)
    cuts[film.note.cuts] = True
    firsts = np.searchsorted(indices, [row.first for row in rows])
    lasts = np.searchsorted(indices, [row.last for row in rows], side="right") - 1
    segments = tuple(
        (first, last, places[row.label])
        for first, last, row in zip(firsts.tolist(), lasts.tolist(), rows, strict=True)
        if first <= last
    )
    return LabelledStream(
        name=str(stream.path), frames=film.frames, labels=of_film[indices], cuts=cuts, segments=segments
    )


def _digits_config(config: DataConfig) -> DigitsConfig:
    return DigitsConfig(width=config.width, height=config.height, colour=config.colour)


def _group(clip: FoundClip, config: DataConfig) -> str:
    if clip.group is None:
        raise DatasetError(
            f"{clip.path} has nothing that --group-by {config.group_by!r} matches. Every clip needs a group: change "
            "the expression."
        )
    return clip.group


def _check(dataset: Dataset, config: DataConfig) -> None:
    if not dataset.clips and not any(len(stream.frames) for stream in dataset.streams):
        first = f", first {dataset.skipped[0].path}: {dataset.skipped[0].reason}" if dataset.skipped else ""
        raise DatasetError(f"Nothing is left of the data: {len(dataset.skipped)} files were skipped{first}.")
    if not config.labelled:
        return
    present = [label for label, frames in dataset.frames_per_class().items() if frames]
    if len(present) < 2 and config.labels is None:
        raise DatasetError(
            f"The data has {'one class only, ' + present[0] if present else 'no labels'}. A model needs two classes "
            "at least: a folder, or a label, for each."
        )
