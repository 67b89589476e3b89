"""What an int8 network would save, and lose, if all outputs of some of its convolutions shared one weight scale.

    python benchmarks/shared_scales.py RUN [--frames 2000] [--precision mixed]

Each row is another int8 (or mixed) network of the run: as framestep converts it, and with one scale for each 1x1
convolution that is named. Bytes are of the FlatBuffer, beside the float32 one's; agreement and error of the
probabilities are with the float model on what was held out; `weights` is how many times the squared error of those
kernels grows by it, each output's error beside its own weights, mean of all outputs.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Kernel = npt.NDArray[np.float32]
    Chosen = Callable[[Kernel], bool]

MANY = 144  # outputs; from here on mobilenet's expansions
NARROW, WIDE = 1.5, 2.0


def spread(kernel: Kernel) -> float:
    """The largest weight, beside the middle one of the outputs' largest."""
    largest = np.abs(kernel).max((0, 1, 2))
    return float(largest.max() / np.median(largest))


ROWS: dict[str, Chosen] = {
    "as it is": lambda _: False,
    "the widest": lambda kernel: kernel.shape[3] >= 1280,
    f"spread up to {NARROW}": lambda kernel: spread(kernel) <= NARROW,
    f"spread up to {WIDE}": lambda kernel: spread(kernel) <= WIDE,
    f"{MANY} outputs or more": lambda kernel: kernel.shape[3] >= MANY,
    "all 1x1": lambda _: True,
}


@contextmanager
def one_scale(chosen: Chosen) -> Iterator[dict[bytes, Kernel]]:
    """Give each chosen 1x1 convolution one scale while a step is written; gives their kernels."""
    plain, found = tf.nn.conv2d, {}

    def conv2d(x: Any, kernel: Any, *arguments: Any, **options: Any) -> Any:
        value = tf.get_static_value(kernel)
        if value is not None and value.shape[:2] == (1, 1) and chosen(value):
            found[value.tobytes()] = value
            highest = float(np.abs(value).max())
            kernel = tf.quantization.fake_quant_with_min_max_args(kernel, -highest, highest, narrow_range=True)
        return plain(x, kernel, *arguments, **options)

    tf.nn.conv2d = conv2d
    try:
        yield found
    finally:
        tf.nn.conv2d = plain


def growth(kernel: Kernel) -> npt.NDArray[np.float64]:
    """Tell the squared error of each output's weights with one scale, beside that with a scale of its own."""
    largest = np.abs(kernel).max((0, 1, 2))

    def error(highest: Any) -> Any:
        step = highest / 127
        return np.square(np.rint(kernel / step) * step - kernel, dtype=np.float64).mean((0, 1, 2))

    own = np.maximum(error(np.maximum(largest, 1e-9)), 1e-30)
    return np.asarray(error(largest.max()) / own)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--precision", choices=["int8", "mixed"], default="int8")
    told = parser.parse_args()

    from converters.convert import convert, network_of, prepare
    from converters.fidelity import Gate
    from converters.reference import roll_reference
    from runtime.artifact import read_artifact
    from toolkit.conversion import ConversionRequest, workpiece_of_run
    from toolkit.training.run_folder import Run

    # What fails is measured like the rest.
    gate = Gate(min_agreement=0, max_accuracy_drop=1)
    piece = workpiece_of_run(
        Run.load(told.run), ConversionRequest(precision=told.precision, gate=gate, frames=told.frames)
    )
    config = replace(piece.config, precision=told.precision)
    reference = roll_reference(
        piece.step_model,
        piece.fidelity,
        labels=config.labels,
        reset=config.reset,
        decision=config.decision,
        frames=told.frames,
    )
    float_bytes = len(network_of(piece.step_model, "float32"))
    prepared = prepare(
        piece.model, piece.step_model, config, calibration=piece.calibration, precisions=[told.precision]
    )
    print(f"{'one scale for':<20}{'bytes':>10}{'ratio':>8}{'weights':>9}{'agreement':>11}{'rmse':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in ROWS.items():
            path = Path(folder, "network.tflite")
            with one_scale(chosen) as kernels:
                spec = convert(prepared, path, config, fidelity=piece.fidelity, reference=reference).spec
            size, found = len(read_artifact(path).content), spec.fidelity
            more = np.concatenate([growth(kernel) for kernel in kernels.values()]).mean() if kernels else 1.0
            if found is not None:
                print(
                    f"{name:<20}{size:>10,}{size / float_bytes:>8.4f}{more:>9.1f}{found.agreement:>11.4f}"
                    f"{found.rmse:>8.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
