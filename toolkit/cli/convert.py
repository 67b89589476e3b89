"""`framestep convert`: a run or a Keras model becomes an artifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.output import bytes_words, json_option, print_json, say, staged_progress
from toolkit.cli.variants import print_variants

if TYPE_CHECKING:
    from toolkit.conversion import ConversionRequest, Workpiece
    from toolkit.evaluation.instructions import Target
    from toolkit.precision_choice import Choice


@click.command()
@click.argument("source", metavar="RUN|MODEL", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The artifact to write.")
@click.option(
    "--precision",
    required=True,
    type=click.Choice(["float32", "float16", "dynamic", "int8", "mixed", "auto"]),
    help="Of the network; which is cheapest depends on the board. auto: builds all, and takes the cheapest for the "
    "target of those that hold the gate.",
)
@click.option(
    "--target",
    type=click.Choice(["pi-zero2w", "pi3", "pi4", "pi5", "x86-64"]),
    help="The board that it is for: what a step costs is counted in instructions on its core where the Pi lab is set "
    "up, else timed on this machine. auto chooses by it.",
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
    help="Rolled out for int8 ranges; as many as it takes until the states have settled where not given.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    help="Fraction of frames on which the artifact gives the float model's class, overall and in the last tenth.  "
    "[default: 0.99; auto: 0.995]",
)
@click.option("--max-accuracy-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@click.option(
    "--max-confident-disagreements",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of frames on which the float model's two largest probabilities are more than 0.2 apart.  "
    "[default: any number; auto: 0]",
)
@click.option(
    "--frames",
    type=click.IntRange(min=10),
    help="Length of the stream on which the artifact is compared with the float model.  [default: 3000; auto: 10000, "
    "and 100000 for what it chooses]",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Write a file that fails as NAME.failed.tflite; auto: each, NAME.PRECISION.failed.tflite.",
)
@click.option("--plain", is_flag=True, help="No graph rewrites: the yardstick for them.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Of a model that is not a run.  [default: 15]")
@click.option("--labels", metavar="A,B,C|FILE", help="Of a model that is not a run; numbers where not given.")
@click.option("--scale", type=float, help="Of a model that is not a run: it expects pixel * scale + offset.")
@click.option("--offset", type=float, help="See --scale.")
@click.option("--trust", is_flag=True, help="Load classes that framestep does not know; they may run any code.")
@json_option
def command(
    *, source: Path, output: Path, precision: Any, target: Target | None, as_json: bool, **options: Any
) -> None:
    """Make an artifact out of a RUN's folder or a MODEL.keras or MODEL.h5.

    The artifact is compared with the float model on a long stream; one that fails is not written, and the exit status
    is 3.
    """
    # What does not even call itself a model is refused as such further on.
    calibrated = options["calibrate"] or precision not in ("int8", "mixed", "auto")
    if source.suffix in (".keras", ".h5", ".hdf5") and not calibrated:
        raise click.UsageError(f"{precision} of a model that is not a run needs --calibrate DATA.")
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    from converters.convert import check_folder, describe
    from toolkit.precision_choice import PROOF_FRAMES

    check_folder(output)
    piece = _workpiece(source, options, _request(precision, options))
    choice: Choice | None = None
    with staged_progress() as progress:
        if precision == "auto":
            proof = None if options["frames"] else PROOF_FRAMES
            wishes: dict[str, Any] = {"target": target, "proof_frames": proof, "progress": progress}
            choice = _choose(piece, output, wishes, quiet=as_json)
            converted = choice.converted
        else:
            converted = piece.convert(output, progress=progress)
    if choice is not None and choice.note is not None:
        say(choice.note)
    figures = {"path": str(converted.path), **describe(converted.path, converted.spec)}
    if choice is None and target is not None:
        figures |= _cost(output, target)
    if as_json:
        print_json(figures if choice is None else {**figures, "variants": choice.table, "why": choice.why})
        return
    if choice is not None:
        print_variants(choice.table, converted.spec.precision)
        say(f"Chosen: {choice.why}")
    fidelity = converted.spec.fidelity
    if fidelity is not None:
        say(f"Agreement with the float model {fidelity.agreement:.4f} over {fidelity.frames} frames.")
    sizes = f"{bytes_words(int(str(figures['bytes'])))}, {bytes_words(int(str(figures['gzip_bytes'])))} after gzip"
    click.echo(f"{converted.path}  {converted.spec.precision}  {sizes}")


def _cost(path: Path, target: Target) -> dict[str, Any]:
    """Say what a step of the one artifact costs on its target."""
    from toolkit.evaluation.step_cost import step_costs

    costs = step_costs([path], target)
    if costs.note is not None:
        say(costs.note)
    cost = costs.values[0]
    counted = costs.unit == "instructions"
    say(
        f"{cost:,.0f} instructions a frame on {costs.where}." if counted else f"{cost:.1f} µs a frame on {costs.where}."
    )
    return {"instructions": int(cost) if counted else None, "step_us": None if counted else cost}


def _choose(piece: Workpiece, output: Path, wishes: dict[str, Any], *, quiet: bool) -> Choice:
    """Choose a precision; show what there was to choose from, even where none passes."""
    from runtime.errors import FidelityError
    from toolkit.precision_choice import choose_precision

    try:
        return choose_precision(piece, output, **wishes)
    except FidelityError as error:
        rows: Any = error.report.get("variants", [])
        if not quiet:
            print_variants(rows, None)
        raise


def _request(precision: Any, options: dict[str, Any]) -> ConversionRequest:
    """Make a request of the options; `auto` holds what it ships to more, and looks longer."""
    from converters.fidelity import FIDELITY_FRAMES, Gate
    from toolkit.conversion import ConversionRequest
    from toolkit.precision_choice import AUTO_FRAMES, AUTO_GATE

    auto = precision == "auto"
    usual = AUTO_GATE if auto else Gate()
    given = ("min_agreement", "max_accuracy_drop", "max_confident_disagreements")
    return ConversionRequest(
        precision="float32" if auto else precision,
        gate=replace(usual, **{name: options[name] for name in given if options[name] is not None}),
        frames=options["frames"] or (AUTO_FRAMES if auto else FIDELITY_FRAMES),
        calibrate=options["calibrate"],
        calibration_frames=options["calibration_frames"],
        plain=options["plain"],
        keep=options["keep"],
    )


def _workpiece(source: Path, options: dict[str, Any], request: ConversionRequest) -> Workpiece:
    """Make the source ready, whichever it is."""
    from toolkit.conversion import ForeignModel, read_labels, workpiece_of_model, workpiece_of_run

    if source.is_dir():
        given = [f"--{name}" for name in ("fps", "labels", "scale", "offset") if options[name] is not None]
        if given:
            raise click.UsageError(f"{', '.join(given)} belong to a model that is not a run; {source} is a run.")
        from toolkit.training.run_folder import Run

        return workpiece_of_run(Run.load(source), request)
    model = ForeignModel(
        path=source,
        labels=None if options["labels"] is None else read_labels(options["labels"]),
        fps=options["fps"] or 15.0,
        scale=1 / 255 if options["scale"] is None else options["scale"],
        offset=options["offset"] or 0.0,
        trust=options["trust"],
    )
    return workpiece_of_model(model, request)
