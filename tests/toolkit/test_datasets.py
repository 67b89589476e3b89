from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converters.stream import NO_LABEL
from runtime.errors import ConfigError, DatasetError
from toolkit.data.dataset import DataConfig, Dataset
from toolkit.data.digits import LABELS
from toolkit.data.loading import load_dataset, load_stream
from toolkit.data.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeFilm = Callable[..., Any]

GESTURES = Path(__file__).resolve().parents[1] / "data" / "gestures"


def load(*sources: Path | str, **settings: Any) -> Dataset:
    settings = {"width": 16, "height": 12} | settings
    return load_dataset([str(source) for source in sources], DataConfig(**settings))


@pytest.fixture
def two_classes(tmp_path: Path, make_film: MakeFilm) -> Path:
    for label in ("left", "right"):
        for number in (1, 2, 10):
            make_film(tmp_path / "data" / label / f"take{number}_a.mp4", level=10 * number)
    return tmp_path / "data"


def test_each_class_folder_is_a_class_and_each_film_a_clip(two_classes: Path) -> None:
    dataset = load(two_classes)
    assert dataset.labels == ("left", "right")
    assert dataset.clips_per_class() == {"left": 3, "right": 3}
    assert dataset.fps == 15


def test_a_clips_frames_are_the_films_frames_at_the_wanted_size(two_classes: Path) -> None:
    frames = load(two_classes).clips[0].frames
    assert frames.shape == (8, 12, 16, 1)
    assert frames.dtype == np.uint8
    assert frames[:, 6, 8, 0].tolist() == [10 + i for i in range(8)]


def test_clips_come_in_natural_order(two_classes: Path) -> None:
    names = [Path(clip.name).name for clip in load(two_classes).clips[:3]]
    assert names == ["take1_a.mp4", "take2_a.mp4", "take10_a.mp4"]


def test_frames_are_read_only(two_classes: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        load(two_classes).clips[0].frames[0] = 0


def test_files_beside_the_class_folders_are_ignored(two_classes: Path) -> None:
    (two_classes / "LICENSE").write_text("free")
    (two_classes / "notes.csv").write_text("a,b\n1,2\n")
    assert len(load(two_classes).clips) == 6


def test_without_a_pattern_each_clip_is_its_own_group(two_classes: Path) -> None:
    assert len(load(two_classes).groups) == 6


def test_a_patterns_first_group_is_the_clips_group(two_classes: Path) -> None:
    assert load(two_classes, group_by=r"(take\d+)_").groups == ("take1", "take10", "take2")


def test_a_pattern_without_a_group_gives_all_that_it_matched(two_classes: Path) -> None:
    assert load(two_classes, group_by=r"take\d+_").groups == ("take10_", "take1_", "take2_")


def test_a_pattern_that_matches_nothing_in_a_name_is_an_error(two_classes: Path) -> None:
    with pytest.raises(DatasetError, match=r"has nothing that --group-by 'block' matches"):
        load(two_classes, group_by="block")


def test_a_table_beside_the_class_folders_is_used(two_classes: Path) -> None:
    (two_classes / "clips.csv").write_text("path,label,group\nleft/take1_a.mp4,x,7\nright/take2_a.mp4,y,8\n")
    dataset = load(two_classes)
    assert dataset.labels == ("x", "y")
    assert [clip.group for clip in dataset.clips] == ["7", "8"]


def test_a_table_may_be_named_and_its_paths_are_seen_from_its_folder(two_classes: Path) -> None:
    (two_classes / "some.csv").write_text("\ufeffLabel, Path\na,left/take1_a.mp4\nb,right/take1_a.mp4\n", "utf-8")
    assert load(two_classes / "some.csv").clips_per_class() == {"a": 1, "b": 1}


def test_a_table_without_its_columns_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("file,class\n")
    with pytest.raises(DatasetError, match=r"has the columns file, class; it lacks path, label\."):
        load(tmp_path / "clips.csv")


def test_a_film_that_a_table_names_and_is_not_there_is_skipped(two_classes: Path) -> None:
    table = two_classes / "clips.csv"
    table.write_text("path,label\nleft/take1_a.mp4,a\nright/take1_a.mp4,b\ngone.mp4,b\n")
    (skipped,) = load(table).skipped
    assert (Path(skipped.path).name, skipped.reason) == ("gone.mp4", "it does not exist")


def test_folders_of_pictures_are_clips_at_the_rate_given(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    dataset = load(tmp_path, fps=5)
    assert dataset.fps == 5
    assert [len(clip.frames) for clip in dataset.clips] == [11, 11]
    assert dataset.clips[0].frames[:, 6, 8, 0].tolist() == [20 * i for i in range(11)]


def test_folders_of_pictures_have_no_rate_of_their_own(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    with pytest.raises(DatasetError, match=r"is a folder of pictures, which have no rate of their own\. Give --fps\."):
        load(tmp_path)


def test_single_pictures_are_clips_of_one_frame(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        write_picture(tmp_path / label / "one.png", 50)
    dataset = load(tmp_path)
    assert [clip.frames.shape for clip in dataset.clips] == [(1, 12, 16, 1)] * 2


def test_a_broken_picture_of_a_folder_is_left_out_and_reported(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "left" / "take" / "4.png").write_bytes(b"no picture")
    dataset = load(tmp_path, fps=5)
    # The frame before stands in for it, as it would on a device.
    assert dataset.clips[0].frames[:, 6, 8, 0].tolist() == [0, 20, 40, 60, 60, *range(100, 201, 20)]
    assert [Path(each.path).name for each in dataset.damaged] == ["take"]


def test_two_rates_are_an_error_that_names_two_films(two_classes: Path, make_film: MakeFilm) -> None:
    make_film(two_classes / "left" / "fast.mp4", fps=30)
    with pytest.raises(DatasetError, match=r"take1_a\.mp4 has 15 frames a second and .*fast\.mp4 has 30\. Give --fps"):
        load(two_classes)


def test_rates_within_two_in_a_hundred_are_one_rate(two_classes: Path, make_film: MakeFilm) -> None:
    make_film(two_classes / "left" / "near.mp4", fps=15.2)
    assert load(two_classes).fps == 15


def test_with_a_rate_given_every_film_is_brought_to_it(two_classes: Path, make_film: MakeFilm) -> None:
    make_film(two_classes / "left" / "zzz.mp4", fps=30, frames=16, level=0)
    dataset = load(two_classes, fps=15)
    assert dataset.clips[3].frames[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


def test_an_unreadable_film_is_skipped_and_named(two_classes: Path) -> None:
    (two_classes / "left" / "broken.mp4").write_bytes(b"no film" * 100)
    dataset = load(two_classes)
    assert len(dataset.clips) == 6
    assert [Path(each.path).name for each in dataset.skipped] == ["broken.mp4"]


def test_a_pipe_among_the_films_is_not_waited_for(two_classes: Path) -> None:
    os.mkfifo(two_classes / "left" / "pipe.mp4")
    assert len(load(two_classes).clips) == 6


def test_a_film_that_is_too_short_is_skipped_with_both_numbers(two_classes: Path, make_film: MakeFilm) -> None:
    make_film(two_classes / "left" / "short.mp4", frames=3)
    (skipped,) = load(two_classes).skipped
    assert skipped.reason == "it has 3 frames, and at least 4 are needed"


def test_a_film_that_ends_early_is_used_up_to_there_and_reported(two_classes: Path) -> None:
    half_of(GESTURES / "move" / "block031_1.mp4", two_classes / "left" / "cut.mp4")
    dataset = load(two_classes)
    clip = next(clip for clip in dataset.clips if clip.name.endswith("cut.mp4"))
    assert 4 <= len(clip.frames) < 32
    assert [Path(each.path).name for each in dataset.damaged] == ["cut.mp4"]


def test_a_folder_without_films_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no films in it\. It must hold a folder for each class"):
        load(tmp_path)


def test_films_without_a_class_are_an_error(tmp_path: Path, make_film: MakeFilm) -> None:
    make_film(tmp_path / "a.mp4")
    with pytest.raises(DatasetError, match=r"has films in it \(a\.mp4\), but they have no label\."):
        load(tmp_path)


def test_one_class_is_an_error(tmp_path: Path, make_film: MakeFilm) -> None:
    make_film(tmp_path / "only" / "a.mp4")
    with pytest.raises(DatasetError, match=r"The data has one class only, only\. A model needs two classes"):
        load(tmp_path)


def test_nothing_left_after_skipping_is_an_error(tmp_path: Path, make_film: MakeFilm) -> None:
    make_film(tmp_path / "a" / "short.mp4", frames=2)
    make_film(tmp_path / "b" / "short.mp4", frames=2)
    with pytest.raises(
        DatasetError, match=r"Nothing is left of the data: 2 files were skipped, first .*short\.mp4: it"
    ):
        load(tmp_path)


def test_data_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere does not exist\. Name a folder, a CSV, a film, or digits\."):
        load(tmp_path / "nowhere")


def test_several_sources_are_united_and_their_labels_sorted(two_classes: Path) -> None:
    dataset = load(two_classes, "digits", width=24, height=24, fps=15)
    assert dataset.labels == ("down", "left", "right", "up")
    assert dataset.clips_per_class()["left"] > 400
    assert {dataset.labels[clip.label] for clip in dataset.clips[:6]} == {"left", "right"}


def test_a_film_that_is_named_twice_is_a_clip_twice_and_one_group(two_classes: Path) -> None:
    (two_classes / "again").symlink_to(two_classes / "left")
    dataset = load(two_classes, two_classes)
    assert dataset.clips_per_class() == {"again": 6, "left": 6, "right": 6}
    assert len(dataset.groups) == 6


def test_digits_bring_their_own_labels_and_rate() -> None:
    dataset = load("digits", width=24, height=24)
    assert (dataset.labels, dataset.fps) == (LABELS, 15)


@pytest.fixture
def stream(tmp_path: Path, make_film: MakeFilm) -> Path:
    folder = tmp_path / "recording"
    make_film(folder / "stream.mp4", frames=20, level=0)
    (folder / "stream.csv").write_text("start_frame,end_frame,label\n0,4,a\n5,9,b\n12,19,a\n")
    return folder


def test_a_folder_with_a_stream_and_its_segments_is_a_labelled_stream(stream: Path) -> None:
    (loaded,) = load(stream).streams
    assert loaded.labels.tolist() == [0] * 5 + [1] * 5 + [NO_LABEL] * 2 + [0] * 8
    assert loaded.segments == ((0, 4, 0), (5, 9, 1), (12, 19, 0))


def test_a_film_with_its_segments_beside_it_is_a_labelled_stream(stream: Path) -> None:
    assert len(load(stream / "stream.mp4").streams) == 1


def test_a_streams_labels_follow_its_frames_to_another_rate(stream: Path) -> None:
    (loaded,) = load(stream, fps=7.5).streams
    assert loaded.frames[:, 0, 0, 0].tolist() == list(range(0, 20, 2))
    assert loaded.labels.tolist() == [0, 0, 0, 1, 1, NO_LABEL, 0, 0, 0, 0]
    assert loaded.segments == ((0, 2, 0), (3, 4, 1), (6, 9, 0))


def test_a_stream_inside_a_folder_of_classes_is_no_class(two_classes: Path, stream: Path) -> None:
    stream.rename(two_classes / "stream")
    assert load(two_classes).labels == ("left", "right")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,4,a\n5,20,b\n", r"from frame 5 to 20, but .*stream\.mp4 has 20 frames \(0 to 19\)"),
        ("0,4,a\n4,9,b\n", r"begins at frame 4, but a segment before it lasts to frame 4"),
        ("5,4,a\n", r"line 2 goes from frame 5 to 4; the first must be"),
        ("0,x,a\n", r"line 2 goes from '0' to 'x'; both must be numbers"),
        ("0,4,\n", r"line 2 has no label"),
        ("", r"stream\.csv has no segments"),
    ],
)
def test_segments_that_cannot_be_are_an_error(stream: Path, rows: str, message: str) -> None:
    (stream / "stream.csv").write_text("start_frame,end_frame,label\n" + rows)
    with pytest.raises(DatasetError, match=message):
        load(stream)


def test_a_label_that_the_model_does_not_know_is_an_error(stream: Path) -> None:
    with pytest.raises(DatasetError, match=r"stream\.csv has the label b, which the model does not know"):
        load(stream, labels=("a", "c"))


def test_labels_that_are_settled_keep_their_order(two_classes: Path) -> None:
    dataset = load(two_classes, labels=("right", "up", "left"))
    assert dataset.labels == ("right", "up", "left")
    assert dataset.clips_per_class() == {"right": 3, "up": 0, "left": 3}


def test_a_film_without_labels_is_good_for_calibration_only(tmp_path: Path, make_film: MakeFilm) -> None:
    make_film(tmp_path / "a.mp4")
    assert len(load(tmp_path / "a.mp4", labelled=False).streams) == 1
    with pytest.raises(DatasetError, match=r"The data has no labels\. A model needs two classes"):
        load(tmp_path / "a.mp4")


def test_a_stream_may_be_named_apart_from_its_segments(stream: Path, tmp_path: Path) -> None:
    table = (stream / "stream.csv").rename(tmp_path / "truth.csv")
    dataset = load_stream(stream / "stream.mp4", table, DataConfig(width=16, height=12))
    assert len(dataset.streams[0].segments) == 3


def test_a_summary_counts_what_is_there_and_names_what_is_not(two_classes: Path) -> None:
    (two_classes / "left" / "broken.mp4").write_bytes(b"no film")
    summary = summary_of(load(two_classes))
    assert (summary["clips"], summary["classes"], summary["groups"]) == (6, {"left": 3, "right": 3}, 6)
    assert [Path(each["path"]).name for each in summary["unreadable"]] == ["broken.mp4"]


def test_real_gestures_load() -> None:
    dataset = load(GESTURES, width=64, height=48, group_by=r"(block\d+)_")
    assert dataset.labels == ("clockwise", "counterclockwise", "move", "stop")
    assert [clip.frames.shape for clip in dataset.clips] == [(32, 48, 64, 1)] * 4


def test_a_wrong_configuration_names_every_problem_at_once() -> None:
    with pytest.raises(ConfigError, match=r"height is 0.*fps is -1.*min_frames is 0.*group_by is '\('"):
        DataConfig(width=8, height=0, fps=-1, min_frames=0, group_by="(")


def write_picture(path: Path, level: int) -> None:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    frame = av.VideoFrame.from_ndarray(np.full((12, 16), level, np.uint8), "gray")
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = 12, 16, "gray"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_pictures(folder: Path) -> None:
    for label in ("left", "right"):
        for number in range(11):
            write_picture(folder / label / "take" / f"{number}.png", 20 * number)


def half_of(film: Path, target: Path) -> None:
    """Write the film's first half, after its table of all frames, as a broken download leaves it."""
    import av

    whole = target.with_suffix(".whole.mp4")
    with (
        av.open(str(film)) as given,
        av.open(str(whole), "w", format="mp4", options={"movflags": "faststart"}) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    content = whole.read_bytes()
    whole.unlink()
    pictures = content.index(b"mdat")
    target.write_bytes(content[: (pictures + len(content)) // 2])
