"""One network as framestep's explicit-state step and as TensorFlow Lite's fused LSTM.

    python benchmarks/explicit_state.py

Both come from the same tf_keras model with the same random weights. Each is invoked in turns, and its answers on one
stream are compared with the trained model's whole roll-out. The fused LSTM keeps its state inside the interpreter; its
int8 form is calibrated on a representative dataset of the same stream.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

SIDE, UNITS, CLASSES = 48, 64, 8
FRAMES = 400
ROUNDS, BLOCK = 20, 100


def build() -> Any:
    """A small encoder, an LSTM, a softmax; clips of any length."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    encoder = tf_keras.Sequential(
        [
            layers.Conv2D(8, 5, strides=2, activation="relu", input_shape=(SIDE, SIDE, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ]
    )
    clip = tf_keras.Input((None, SIDE, SIDE, 1))
    features = layers.TimeDistributed(encoder)(clip)
    memory = layers.LSTM(UNITS, return_sequences=True)(features)
    return tf_keras.Model(clip, layers.Dense(CLASSES, activation="softmax")(memory))


def explicit(model: Any, frames: Any, *, int8: bool) -> bytes:
    """Convert as framestep does."""
    from converters.graph_rewrites import rewrite
    from converters.step_model import build_step_model
    from converters.tflite import convert_saved_model

    step = build_step_model(model, scale=1 / 255, offset=0.0)
    ranges = None
    if int8:
        trace, _ = step.observe(frames, step.initial_states(), None)
        known = {tap.name: tap.fixed or tap.bound for tap in step.taps}
        measured = zip(step.taps, trace.lowest.min(0), trace.highest.max(0), strict=True)
        ranges = {tap.name: known[tap.name] or (min(float(a), 0.0), max(float(b), 1e-4)) for tap, a, b in measured}
    with tempfile.TemporaryDirectory() as folder:
        step.save(Path(folder), ranges=ranges)
        return rewrite(convert_saved_model(Path(folder), "int8" if int8 else "float32"))


def fused(model: Any, frames: Any, *, int8: bool) -> bytes:
    """Convert with the converter's own LSTM: one frame a call, batch 1."""
    import tensorflow as tf

    function = tf.function(model)
    concrete = function.get_concrete_function(tf.TensorSpec((1, 1, SIDE, SIDE, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([frame[None, None] / np.float32(255)] for frame in frames)
    content: bytes = converter.convert()
    return content


class Network:
    """An interpreter that is fed by index."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_content=content, num_threads=1)
        self.interpreter.allocate_tensors()
        signatures = self.interpreter.get_signature_list()
        self.explicit = "step" in signatures
        if self.explicit:
            runner = self.interpreter.get_signature_runner("step")
            self.states = [name for name in runner.get_input_details() if name != "frame"]
            self.inputs = {name: detail["index"] for name, detail in runner.get_input_details().items()}
            self.outputs = {name: detail["index"] for name, detail in runner.get_output_details().items()}
            shapes = {name: detail["shape"] for name, detail in runner.get_input_details().items()}
            del runner  # while it lives, invoke is refused
            for name in self.states:
                self.interpreter.set_tensor(self.inputs[name], np.zeros(shapes[name], np.float32))
        else:
            self.inputs = {"frame": self.interpreter.get_input_details()[0]["index"]}
            self.outputs = {"probabilities": self.interpreter.get_output_details()[0]["index"]}
            self.states = []

    def answer(self, frame: Any) -> Any:
        """Step a uint8 frame."""
        given = frame[None] if self.explicit else frame[None, None] / np.float32(255)
        self.interpreter.set_tensor(self.inputs["frame"], given)
        self.interpreter.invoke()
        for name in self.states:
            self.interpreter.set_tensor(self.inputs[name], self.interpreter.get_tensor(self.outputs[name]))
        return self.interpreter.get_tensor(self.outputs["probabilities"]).reshape(CLASSES)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 1)).astype(np.uint8)
    model = build()
    reference = model(frames[None] / np.float32(255)).numpy()[0]
    makers = {
        f"{name} {'int8' if int8 else 'float32'}": maker(model, frames, int8=int8)
        for int8 in (False, True)
        for name, maker in (("explicit", explicit), ("fused", fused))
    }
    networks = {name: Network(content) for name, content in makers.items()}
    answers = {name: np.stack([network.answer(frame) for frame in frames]) for name, network in networks.items()}
    times_ns: dict[str, list[int]] = {name: [] for name in networks}
    for _ in range(ROUNDS):
        for name, network in networks.items():
            for _ in range(BLOCK):
                start = time.perf_counter_ns()
                network.interpreter.invoke()
                times_ns[name].append(time.perf_counter_ns() - start)
    for name, answer in answers.items():
        error = float(np.sqrt(np.mean((answer - reference) ** 2)))
        p50 = float(np.percentile(times_ns[name], 50)) / 1e3
        print(f"{name:<18} p50 {p50:7.1f} µs   rmse {error:.1e}   {len(makers[name])} bytes")


if __name__ == "__main__":
    main()
