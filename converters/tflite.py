"""TensorFlow's converter, in a child process.

The converter can end its process with a signal (an int8 conversion of a Keras LSTM does), so it runs in one of its own:
a crash is an error with the converter's last words, and a hang ends at a time limit. This is also the only module that
touches `tf.lite`, which TensorFlow 2.21 announces for removal.

Run as a script it is the child: `python -m converters.tflite SAVED_MODEL OUTPUT RECIPE`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, TypeAlias

from runtime.errors import ConversionError

Recipe: TypeAlias = Literal["float32", "float16", "dynamic", "int8"]
"""float32: as it is. float16: weights stored so. dynamic: int8 weights, activations quantised on the fly. int8: where
the graph has fake-quant nodes, they tell the range."""

TIME_LIMIT_S = 600.0


def convert_saved_model(folder: Path, recipe: Recipe, *, time_limit_s: float = TIME_LIMIT_S) -> bytes:
    """Convert the signature `step` of a SavedModel to a FlatBuffer.

    Args:
        folder: the SavedModel.
        recipe: see `Recipe`.
        time_limit_s: after which the child is killed.

    Raises:
        ConversionError: where the child crashes, refuses, or outlasts the limit.
    """
    with tempfile.TemporaryDirectory(prefix="framestep-") as scratch:
        output = Path(scratch, "network.tflite")
        command = [sys.executable, "-m", "converters.tflite", str(folder), str(output), recipe]
        # The child finds this package wherever the parent did.
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
        try:
            child = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=time_limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise ConversionError(
                f"The converter did not end within {time_limit_s:g} s. Try another precision, or a smaller model."
            ) from None
        if child.returncode != 0 or not output.exists():
            raise ConversionError(_last_words(child.returncode, child.stderr))
        return output.read_bytes()


def _last_words(status: int, stderr: str) -> str:
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    words = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "it said nothing")
    return f"The converter ended with {how}: {words[:300]}. Try another precision."


def _convert(folder: str, output: str, recipe: str) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["step"])
    if recipe != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe == "float16":
        converter.target_spec.supported_types = [tf.float16]
    # Per-channel dense weights need FULLY_CONNECTED version 12, which tflite-runtime 2.14 lacks.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001 (no public switch)
    Path(output).write_bytes(converter.convert())


if __name__ == "__main__":
    _convert(*sys.argv[1:4])
