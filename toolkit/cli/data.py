"""`framestep data`: what is in a dataset, and the built-in one as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.output import Progress, json_option, print_json, print_table, say
from toolkit.cli.size import SIZE


@click.group(no_args_is_help=True)
def command() -> None:
    """Say what a dataset holds, or make the built-in one."""


@command.command()
@click.argument("sources", nargs=-1, required=True, metavar="DATA...")
@click.option("--size", type=SIZE, default="64x48", show_default=True, help="Of the frames as they are decoded.")
@click.option("--colour", type=click.Choice(["gray", "rgb"]), default="gray", show_default=True)
@click.option("--fps", type=float, help="Bring everything to this rate; else the data's own.")
@click.option("--group-by", metavar="REGEX", help="Searched in each clip's file name; what it matches is the group.")
@click.option("--min-frames", type=click.IntRange(min=1), default=4, show_default=True, help="Skip shorter clips.")
@json_option
def inspect(
    *,
    sources: tuple[str, ...],
    size: tuple[int, int],
    colour: Any,
    fps: float | None,
    group_by: str | None,
    min_frames: int,
    as_json: bool,
) -> None:
    """Decode DATA and tell its clips, classes, groups, and what cannot be read.

    DATA is a folder with a folder of films (or of folders of pictures) for each class, a CSV path,label[,group], a
    folder with stream.mp4 and stream.csv, a film with the CSV of its segments beside it, or digits.
    """
    from toolkit.data.dataset import DataConfig
    from toolkit.data.loading import load_dataset
    from toolkit.data.summary import summary_of

    config = DataConfig(width=size[0], height=size[1], colour=colour, fps=fps, group_by=group_by, min_frames=min_frames)
    with Progress("decoding") as progress:
        summary = summary_of(load_dataset(sources, config, progress=lambda _, __: progress.advance()))
    if as_json:
        print_json(summary)
    else:
        _tell(summary)


def _tell(summary: dict[str, Any]) -> None:
    rows = [(label, clips, summary["frames_per_class"][label]) for label, clips in summary["classes"].items()]
    print_table(("class", "clips", "frames"), rows)
    click.echo(f"{summary['clips']} clips in {summary['groups']} groups, {summary['fps']:g} frames a second")
    if summary["frames"]:
        click.echo("a clip has {min} to {max} frames, half of them at most {median:g}".format(**summary["frames"]))
    for stream in summary["streams"]:
        click.echo("stream {name}: {frames} frames, {segments} segments".format(**stream))
    for what, files in (("left out", summary["unreadable"]), ("not whole", summary["damaged"])):
        if files:
            say(f"{len(files)} {what}:")
        for each in files:
            say(f"  {each['path']}: {each['reason']}")


@command.command()
@click.argument("kind", type=click.Choice(["digits"]))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--clips", type=int, default=400, show_default=True)
@click.option("--size", type=SIZE, default="24x24", show_default=True)
@click.option("--frames", type=click.IntRange(min=2), default=16, show_default=True, help="Of each clip.")
@click.option("--fps", type=click.FloatRange(min=1, max=240), default=15.0, show_default=True)
@click.option("--stream-frames", type=int, default=3000, show_default=True, help="Of the stream; 0 for none.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@json_option
def make(
    *,
    kind: str,
    folder: Path,
    clips: int,
    size: tuple[int, int],
    frames: int,
    fps: float,
    stream_frames: int,
    seed: int,
    as_json: bool,
) -> None:
    """Write built-in data into the new folder DIR: clips in class folders, and a labelled stream in DIR/stream.

    The stream shows digits that are in no clip, so it may be evaluated on after training on the clips.
    """
    from toolkit.data.digits import LABELS, DigitsConfig
    from toolkit.data.digits_files import write_digits

    config = DigitsConfig(width=size[0], height=size[1], frames=frames, fps=fps, seed=seed)
    with Progress(f"writing {kind}", clips + bool(stream_frames)) as progress:
        written = write_digits(
            folder, config, clips=clips, stream_frames=stream_frames, progress=lambda _, __: progress.advance()
        )
    if as_json:
        print_json(
            {
                "folder": folder,
                "clips": written.clips,
                "classes": written.classes,
                "groups": written.groups,
                "stream_frames": written.stream_frames,
                "unreadable": [],
            }
        )
    else:
        click.echo(f"{folder}: {written.clips} clips of {len(LABELS)} classes, a stream of {stream_frames} frames")
