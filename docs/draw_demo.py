"""Draw the README's picture: what the demo's int8 artifact says of the demo's film.

make demo && python docs/draw_demo.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

from runtime.engine import Engine
from runtime.pipeline import Pipeline
from runtime.preprocess import Preprocessor
from runtime.sources import open_source
from runtime.testing import ListSink

ARTIFACT = Path("demo/lstm-int8.tflite")
FILM = Path("demo/film.mp4")
PICTURE = Path(__file__).with_name("demo.png")
FRAMES = 240
SHOWN = 10


def main() -> None:
    """Run the artifact over the film, and draw it."""
    engine = Engine.open(ARTIFACT)
    kept = ListSink()
    with open_source(str(FILM)) as source:
        Pipeline(stepper=engine.stepper(), source=source, sinks=[kept], max_frames=FRAMES).run()
    prepare = Preprocessor(engine.spec.input)
    with open_source(str(FILM)) as source:
        pictures = [prepare(frame.picture)[0] for frame, _ in zip(source.frames(), range(FRAMES), strict=False)]
    figure = plt.figure(figsize=(9.6, 3.6), dpi=100)
    for column, index in enumerate(np.linspace(6, FRAMES - 1, SHOWN).astype(int)):
        axes = figure.add_subplot(2, SHOWN, column + 1)
        axes.imshow(pictures[index], cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{index}: {kept.frames[index]['label']}", fontsize=8)
        axes.axis("off")
    axes = figure.add_subplot(2, 1, 2)
    probabilities = np.array([record["probabilities"] for record in kept.frames])
    colours = plt.get_cmap("tab10")
    for number, label in enumerate(engine.spec.labels):
        axes.plot(probabilities[:, number], color=colours(number), label=label, linewidth=1)
        for event in kept.events:
            if event["event"] == label:
                axes.axvspan(event["start"], event["end"], color=colours(number), alpha=0.15, linewidth=0)
    axes.set(xlim=(0, FRAMES - 1), ylim=(0, 1.02), xlabel="frame", ylabel="probability")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False, title="shaded: events")
    figure.tight_layout()
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
