"""`framestep convert`: a run or a Keras model becomes an artifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.output import bytes_words, json_option, print_json, say, staged_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from converters.convert import Converted
    from toolkit.conversion import ConversionRequest


@click.command()
@click.argument("source", metavar="RUN|MODEL", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The artifact to write.")
@click.option(
    "--precision",
    required=True,
    type=click.Choice(["float32", "float16", "dynamic", "int8", "mixed", "auto"]),
    help="Of the network; which is fastest depends on the board. auto: the fastest here of those that hold the gate.",
)
@click.option(
    "--calibrate",
    multiple=True,
    metavar="DATA",
    help="What int8 ranges are taken from; a run's own training data where not given.",
)
@click.option(
    "--calibration-frames",
    type=click.IntRange(min=10),
    help="Rolled out for int8 ranges; as many as are usual where not given.",
)
@click.option("--min-agreement", type=click.FloatRange(0, 1), default=0.99, show_default=True)
@click.option("--max-accuracy-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@click.option(
    "--frames",
    type=click.IntRange(min=10),
    default=3000,
    show_default=True,
    help="Length of the stream on which the artifact is compared with the float model.",
)
@click.option("--keep", is_flag=True, help="Write a file that fails as NAME.failed.tflite.")
@click.option("--plain", is_flag=True, help="No graph rewrites: the yardstick for them.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Of a model that is not a run.  [default: 15]")
@click.option("--labels", metavar="A,B,C|FILE", help="Of a model that is not a run; numbers where not given.")
@click.option("--scale", type=float, help="Of a model that is not a run: it expects pixel * scale + offset.")
@click.option("--offset", type=float, help="See --scale.")
@click.option("--trust", is_flag=True, help="Load classes that framestep does not know; they may run any code.")
@json_option
def command(
    *,
    source: Path,
    output: Path,
    precision: Any,
    calibrate: tuple[str, ...],
    calibration_frames: int | None,
    min_agreement: float,
    max_accuracy_drop: float,
    frames: int,
    keep: bool,
    plain: bool,
    as_json: bool,
    **foreign: Any,
) -> None:
    """Make an artifact out of a RUN's folder or a MODEL.keras or MODEL.h5.

    The artifact is compared with the float model on a long stream; one that fails is not written, and the exit status
    is 3.
    """
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    from converters.convert import describe
    from converters.fidelity import Gate
    from toolkit.conversion import ConversionRequest
    from toolkit.precision_choice import choose_precision

    # What does not even call itself a model is refused as such further on.
    if source.suffix in (".keras", ".h5", ".hdf5") and precision in ("int8", "mixed", "auto") and not calibrate:
        raise click.UsageError(f"{precision} of a model that is not a run needs --calibrate DATA.")
    request = ConversionRequest(
        precision="float32" if precision == "auto" else precision,
        gate=Gate(min_agreement=min_agreement, max_accuracy_drop=max_accuracy_drop),
        frames=frames,
        calibrate=calibrate,
        calibration_frames=calibration_frames,
        plain=plain,
        keep=keep,
    )
    table: Sequence[dict[str, Any]] = ()
    with staged_progress() as progress:
        convert = _converter(source, foreign, progress)
        if precision == "auto":
            choice = choose_precision(output, lambda each, path: convert(path, replace(request, precision=each)))
            converted, table = choice.converted, choice.table
        else:
            converted = convert(output, request)
    figures = {"path": str(converted.path), **describe(converted.path, converted.spec)}
    if as_json:
        print_json({**figures, "variants": table} if table else figures)
        return
    for row in table:
        say("  ".join(f"{name} {value}" for name, value in row.items() if value is not None))
    fidelity = converted.spec.fidelity
    if fidelity is not None:
        say(f"Agreement with the float model {fidelity.agreement:.4f} over {fidelity.frames} frames.")
    sizes = f"{bytes_words(int(str(figures['bytes'])))}, {bytes_words(int(str(figures['gzip_bytes'])))} after gzip"
    click.echo(f"{converted.path}  {converted.spec.precision}  {sizes}")


def _converter(
    source: Path, foreign: dict[str, Any], progress: Callable[[str, int, int], None]
) -> Callable[[Path, ConversionRequest], Converted]:
    """Return what converts the source, whichever it is, to a path."""
    from toolkit.conversion import ForeignModel, convert_model, convert_run, read_labels

    if source.is_dir():
        given = [f"--{name}" for name in ("fps", "labels", "scale", "offset") if foreign[name] is not None]
        if given:
            raise click.UsageError(f"{', '.join(given)} belong to a model that is not a run; {source} is a run.")
        from toolkit.training.run_folder import Run

        run = Run.load(source)
        return lambda path, request: convert_run(run, path, request, progress=progress)
    model = ForeignModel(
        path=source,
        labels=None if foreign["labels"] is None else read_labels(foreign["labels"]),
        fps=foreign["fps"] or 15.0,
        scale=1 / 255 if foreign["scale"] is None else foreign["scale"],
        offset=foreign["offset"] or 0.0,
        trust=foreign["trust"],
    )
    return lambda path, request: convert_model(model, path, request, progress=progress)
