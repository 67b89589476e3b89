"""How true every precision of a run stays on a long stream of what was held out.

    python benchmarks/fidelity.py RUN… [--frames 100000] [--precisions int8,mixed,dynamic] [--warped]
    python benchmarks/fidelity.py RUN… --taps

The run's float step is rolled out once over the stream, without a reset but for the run's own policy, and every
precision is held against it: agreement of the argmax over all frames, in the first and in the last tenth; frames on
which it differs although the float model's margin exceeds 0.2; accuracy of both; error of the probabilities. The clips
held out are joined in another order at each round. With `--warped` a drawn half of them is turned, scaled, sheared,
shifted and brightened before the network sees it, so that no two rounds show the same.

With `--taps` the rounding of every place of an int8 network is simulated alone, and told as what it adds to the mean
squared error of the probabilities.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.stream import FrameStream
    from toolkit.data.streams import Piece

FRAMES = 100_000
TAP_FRAMES = 3000
PRECISIONS = ("float16", "dynamic", "mixed", "int8")


def varied(stream: FrameStream) -> FrameStream:
    """Warp a drawn half of a stream's clips."""
    from toolkit.data.streams import JoinedStream
    from toolkit.training.warping import WarpConfig, warped

    if not isinstance(stream, JoinedStream):
        return stream  # moving digits never show the same twice

    @dataclass(frozen=True, kw_only=True, eq=False)
    class Varied(JoinedStream):
        def _pieces(self) -> Iterator[Piece]:
            rng = np.random.default_rng((self.seed, 2))
            # A picture is moved as a whole: a drift would be a camera that is never still.
            limits = WarpConfig(drift=0.0)
            for pixels, cuts, labels in super()._pieces():
                height, width = pixels.shape[1:3]
                change = limits.draw(rng, len(pixels), width, height)
                if rng.integers(2):
                    moved = warped(pixels[None].astype(np.float32), change[None], 255.0)
                    yield np.rint(np.asarray(moved[0])).astype(np.uint8), cuts, labels
                else:
                    yield pixels, cuts, labels

    parts = {name: getattr(stream, name) for name in ("labels", "clips", "recordings", "seed")}
    return Varied(name=f"{stream.name}, half of them warped", **parts)


def measure(run_folder: Path, frames: int, precisions: list[Any], *, warp: bool) -> None:
    """Print a run's rows."""
    from converters.convert import convert, prepare
    from converters.fidelity import Gate
    from converters.reference import roll_reference
    from runtime.errors import FidelityError
    from toolkit.conversion import ConversionRequest, workpiece_of_run
    from toolkit.training.run_folder import Run

    # What fails is measured like the rest.
    request = ConversionRequest(precision="float32", gate=Gate(min_agreement=0, max_accuracy_drop=1), frames=frames)
    piece = workpiece_of_run(Run.load(run_folder), request)
    stream = varied(piece.fidelity) if warp else piece.fidelity
    config = piece.config
    start = time.monotonic()
    reference = roll_reference(
        piece.step_model, stream, labels=config.labels, reset=config.reset, decision=config.decision, frames=frames
    )
    print(f"{run_folder}: {frames} frames of {stream.name}; float {time.monotonic() - start:.0f} s")
    prepared = prepare(piece.model, piece.step_model, config, calibration=piece.calibration, precisions=precisions)
    with tempfile.TemporaryDirectory() as folder:
        for precision in precisions:
            wanted, path = replace(config, precision=precision), Path(folder, f"{precision}.tflite")
            try:
                found = convert(prepared, path, wanted, fidelity=stream, reference=reference).spec.fidelity
            except FidelityError as error:
                print(f"  {precision:<8} {error}")
                continue
            if found is not None:
                print(
                    f"  {precision:<8} agreement {found.agreement:.4f}, first tenth {found.agreement_first:.4f}, last "
                    f"{found.agreement_last:.4f}; confident {found.confident_disagreements}; rmse {found.rmse:.4f}; "
                    f"accuracy {_rate(found.accuracy)}, float {_rate(found.accuracy_reference)}"
                )


def tell_taps(run_folder: Path, frames: int) -> None:
    """Print what each tap's rounding costs alone."""
    from converters.calibration import calibrate, ranges_for
    from toolkit.conversion import ConversionRequest, workpiece_of_run
    from toolkit.training.run_folder import Run

    piece = workpiece_of_run(Run.load(run_folder), ConversionRequest(precision="int8"))
    step, config = piece.step_model, piece.config
    if piece.calibration is None:
        return
    observation = calibrate(step, piece.calibration, reset=config.reset, decision=config.decision, labels=config.labels)
    ranges = ranges_for(observation).ranges
    pixels = np.concatenate([chunk.frames for chunk in piece.fidelity.chunks(frames)])
    expected, _ = step.roll_out(pixels, step.initial_states())

    def error(chosen: dict[str, tuple[float, float]]) -> float:
        answers, _ = step.simulate(pixels, step.initial_states(), ranges=chosen)
        return float(np.square(answers - expected, dtype=np.float64).mean()) * 1e6

    print(f"{run_folder}: mean squared error in millionths, {frames} frames, weights in float")
    print(f"  {'all of them':<32} {error(ranges):8.2f}")
    for name, (low, high) in ranges.items():
        print(f"  {name:<32} {error({name: (low, high)}):8.2f}   steps of {(high - low) / 255:.4f}")


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--warped", action="store_true")
    parser.add_argument("--taps", action="store_true")
    told = parser.parse_args()
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    warnings.simplefilter("ignore")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each tap is a loop of its own, and it warns of that
    for run in told.runs:
        if told.taps:
            tell_taps(run, TAP_FRAMES)
        else:
            measure(run, told.frames, told.precisions.split(","), warp=told.warped)


if __name__ == "__main__":
    main()
