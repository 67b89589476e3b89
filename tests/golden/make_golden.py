"""Make the golden artifacts, and what they answer to a fixed sequence of frames.

    python tests/golden/make_golden.py

Run it again only when the format changes: a reader of this format must go on reading the bytes that lie here.
`tiny.tflite` is drawn by hand; the other two come from TensorFlow's converter.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import drawing
import numpy as np
import tensorflow as tf

from runtime.engine import Engine
from runtime.spec import CalibrationSpec, InputSpec, Spec, StateSpec

HERE = Path(__file__).parent
HEIGHT, WIDTH, UNITS = 12, 16, 8
LABELS = ("still", "left", "right", "both")
FRAMES = 24


def frame(number: int, shape: tuple[int, ...]) -> Any:
    """A picture of stripes that wander and, every eight frames, jump."""
    rows, columns, channels = np.ogrid[: shape[1], : shape[2], : shape[3]]
    picture = (rows * 13 + (columns + number) * 37 + channels * 5 + number // 8 * 101) % 256
    return picture.astype(np.uint8)


class Step(tf.Module):
    """A convolution, a cell and a head with random weights; with a range for each tensor where it is to be int8."""

    def __init__(self, cell: str, *, ranged: bool) -> None:
        super().__init__()
        self.cell, self.ranged = cell, ranged
        rng = np.random.default_rng(7)
        gates = {"lstm": 4, "gru": 3}[cell]
        shapes = {"kernel": (3, 3, 1, 6), "w": (6, gates * UNITS), "u": (UNITS, gates * UNITS), "head": (UNITS, 4)}
        self.weights = {name: tf.constant(rng.normal(0, 0.6, shape), tf.float32) for name, shape in shapes.items()}

    def limit(self, x: Any, low: float, high: float) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(x, low, high) if self.ranged else x

    def features(self, x: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(self.limit(x, 0, 1), self.weights["kernel"], 2, "SAME"))
        return self.limit(tf.reduce_mean(self.limit(x, 0, 4), (1, 2)), 0, 4)

    def probabilities(self, h: Any) -> Any:
        return tf.nn.softmax(self.limit(h @ self.weights["head"], -4, 4))

    def products(self, x: Any, h: Any) -> tuple[Any, Any]:
        return self.limit(x @ self.weights["w"], -6, 6), self.limit(h @ self.weights["u"], -6, 6)

    def lstm(self, frame: Any, h: Any, c: Any, previous: Any, started: Any) -> dict[str, Any]:
        picture = tf.cast(frame, tf.float32)
        moved = tf.minimum(4 * tf.abs(picture - previous), 255.0) * started
        x, h = self.products(self.features(moved * (1 / 255)), self.limit(h, -1, 1))
        i, f, g, o = tf.split(self.limit(x + h, -6, 6), 4, -1)
        i, f, o = (self.limit(tf.sigmoid(gate), 0, 255 / 256) for gate in (i, f, o))
        g = self.limit(tf.tanh(g), -1, 127 / 128)
        c = self.limit(self.limit(f * self.limit(c, -4, 4), -4, 4) + self.limit(i * g, -1, 127 / 128), -4, 4)
        h = self.limit(o * self.limit(tf.tanh(c), -1, 127 / 128), -1, 1)
        states = {"h": h, "c": c, "previous": picture, "started": tf.ones([1, 1])}
        return {"probabilities": self.probabilities(h), **states}

    def gru(self, frame: Any, h: Any) -> dict[str, Any]:
        x, u = self.products(self.features(tf.cast(frame, tf.float32) * (1 / 255)), h)
        (xz, xr, xn), (uz, ur, un) = tf.split(x, 3, -1), tf.split(u, 3, -1)
        z = tf.sigmoid(xz + uz)
        h = z * h + (1 - z) * tf.tanh(xn + tf.sigmoid(xr + ur) * un)
        return {"probabilities": self.probabilities(h), "h": h}


def convert(cell: str, states: tuple[StateSpec, ...], *, ranged: bool) -> bytes:
    """Convert a step whose signature has the frame and these states."""
    module = Step(cell, ranged=ranged)
    tensors = {state.name: tf.TensorSpec(state.shape, tf.float32, name=state.name) for state in states}
    tensors["frame"] = tf.TensorSpec((1, HEIGHT, WIDTH, 1), tf.uint8, name="frame")
    step = tf.function(getattr(module, cell)).get_concrete_function(**tensors)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"step": step})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["step"])
        if ranged:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content: bytes = converter.convert()
    return content


def main() -> None:
    """Write artifacts and answers."""
    recurrent = tuple(StateSpec(name=name, shape=(1, UNITS)) for name in ("h", "c"))
    difference = (StateSpec(name="previous", shape=(1, HEIGHT, WIDTH, 1)), StateSpec(name="started", shape=(1, 1)))
    picture = {"height": HEIGHT, "width": WIDTH, "channels": 1, "colour": "gray"}
    networks: dict[str, tuple[bytes, dict[str, Any]]] = {"tiny": (drawing.tiny(), {})}
    for name, states, kind in (
        ("lstm-int8", recurrent + difference, "difference"),
        ("gru-float32", recurrent[:1], "picture"),
    ):
        cell, precision = name.split("-")
        values: dict[str, Any] = {"states": states, "labels": LABELS, "name": name, "precision": precision}
        values |= {"input": InputSpec(**picture, kind=kind), "fps": 15.0, "made": {"by": "tests/golden/make_golden.py"}}  # type: ignore[arg-type]  # a dict of both
        if precision == "int8":
            values["calibration"] = CalibrationSpec(source="fixed ranges", frames=0)
        networks[name] = (convert(cell, states, ranged=precision == "int8"), values)
    answers: dict[str, Any] = {}
    for name, (content, values) in networks.items():
        spec: Spec = drawing.spec_for(content, **values)
        path = HERE / f"{name}.tflite"
        path.write_bytes(drawing.artifact(content, spec))
        stepper = Engine.open(path, interpreter="litert").stepper()
        steps = [stepper.step(frame(number, spec.input.shape)).tolist() for number in range(FRAMES)]
        answers[name] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "probabilities": steps}
        print(name, path.stat().st_size, "bytes", steps[3], steps[-1])
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
