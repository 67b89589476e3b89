"""Train the network of test_old_ways.py, in some seconds.

python tests/converters/make_wandering.py [SEED]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tf_keras

from tests.converters.test_old_ways import WAYS, Wandering

WINDOW_FRAMES = 64
WINDOWS = 256


def main() -> None:
    """Train on windows of streams, every frame labelled, and write the model without its optimiser."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    tf_keras.utils.set_random_seed(seed)
    (stream,) = Wandering(seed=100).chunks(WINDOWS * WINDOW_FRAMES, size=WINDOWS * WINDOW_FRAMES)
    frames = stream.frames.reshape(WINDOWS, WINDOW_FRAMES, *stream.frames.shape[1:]) / np.float32(255)
    truth = stream.labels.reshape(WINDOWS, WINDOW_FRAMES)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((None, *stream.frames.shape[1:])),
            layers.TimeDistributed(layers.Flatten()),
            layers.Dense(16, activation="relu"),
            layers.LSTM(12, return_sequences=True, name="lstm"),
            layers.Dense(len(WAYS), activation="softmax"),
        ]
    )
    model.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(frames, truth, epochs=40, batch_size=64, verbose=0)
    print(f"accuracy a frame {history.history['accuracy'][-1]:.3f}")
    clean = tf_keras.models.clone_model(model)
    clean.set_weights(model.get_weights())
    clean.save(Path(__file__).with_name("wandering.keras"))


if __name__ == "__main__":
    main()
