"""Where an int8 network's ranges come from, and what that does to it on a long stream.

    python benchmarks/calibration.py [RUN]

The run's float step is compared with int8 networks made from it, over a stream of what was held out, without a reset:
ranges from states that are always zero, from clips, and from a long roll-out at several percentiles, all given as
fake-quant nodes; and the converter's own calibration on the frames and states of the same roll-out. Of each percentile
it tells the error that a simulation on the calibration stream predicts, and a star marks the one that `convert`
chooses by it; the last lines tell the one for mixed, and how the states settled whose range the model does not impose.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from converters.step_model import StepModel

FRAMES = 3000
CLIP_FRAMES = 16
REPRESENTATIVE = 1000


class Network:
    """A network with float states, stepped through its signature."""

    def __init__(self, content: bytes, step_model: StepModel) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=content)
        self._runner = self._interpreter.get_signature_runner("step")
        self._initial = step_model.initial_states()

    def answers(self, frames: Any) -> Any:
        """Step through all frames, uint8 [n, h, w, c]; give the classes."""
        states, chosen = dict(self._initial), []
        for frame in frames:
            outputs = self._runner(frame=frame[None], **states)
            states = {name: outputs[name] for name in states}
            chosen.append(int(outputs["probabilities"].argmax()))
        return np.array(chosen)


def representative(step_model: StepModel, frames: Any) -> bytes:
    """Let the converter calibrate on frames and states of a roll-out; interface and softmax stay float."""
    import tensorflow as tf

    from converters.graph_rewrites import rewrite

    states = step_model.initial_states()
    samples = []
    for frame in frames[:REPRESENTATIVE]:
        samples.append({"frame": frame[None], **states})
        _, states = step_model.roll_out(frame[None], states, None)
    with tempfile.TemporaryDirectory() as folder:
        step_model.save(Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["step"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (("step", sample) for sample in samples)
        return rewrite(converter.convert())


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    from converters.calibration import calibrate, ranges_for
    from converters.percentile import PERCENTILES, USUAL
    from converters.step_model import build_step_model
    from runtime.spec import ResetSpec
    from toolkit.data.streams import stream_of
    from toolkit.training.run_folder import Run

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/lstm")
    if not folder.is_dir():
        print(f"{folder} does not exist. Name a run, or make demo first.")
        return
    run = Run.load(folder)
    picture = run.input_spec
    step_model = build_step_model(run.model(), scale=picture.scale, offset=picture.offset)
    train, held = (stream_of(part, seed=seed) for seed, part in enumerate(run.datasets()))
    frames = np.concatenate([chunk.frames for chunk in held.chunks(FRAMES)])
    reference = step_model.roll_out(frames, step_model.initial_states(), None)[0].argmax(1)
    for name, every in (("states always zero", 1), (f"clips of {CLIP_FRAMES}", CLIP_FRAMES)):
        seen = calibrate(step_model, train, reset=ResetSpec(policy="every", every_frames=every))
        measured(name, step_model, ranges_for(seen, percentile=USUAL).ranges, frames, reference)
    start = time.monotonic()
    seen = calibrate(step_model, train, reset=ResetSpec(policy="never"))
    rolled = time.monotonic()
    chosen = ranges_for(seen).spec
    print(f"roll-out over {seen.frames} frames {rolled - start:.1f} s, choice {time.monotonic() - rolled:.1f} s")
    for percentile in PERCENTILES:
        name = f"roll-out, {percentile:g} %{' *' if percentile == chosen.percentile else ''}"
        ranges = seen.ranges(percentile)
        trial = seen.trial(ranges)
        more = f"simulated: error {trial.error:.4f}, agreement {trial.agreement:.4f}"
        measured(name, step_model, ranges, frames, reference, more=more)
    pixels = np.concatenate([chunk.frames for chunk in train.chunks(REPRESENTATIVE)])
    told("converter's own", Network(representative(step_model, pixels), step_model).answers(frames) == reference)
    print(f"mixed: {ranges_for(seen, 'mixed').spec.percentile:g} %")
    for state, way in seen.settling().items():
        print(f"{state}: {way.before} over the first half, {way.after} over all, settled after {way.settled} frames")


def measured(name: str, step_model: StepModel, ranges: Any, frames: Any, reference: Any, *, more: str = "") -> None:
    """Convert with these ranges, and print a row."""
    from converters.convert import network_of

    try:
        answers = Network(network_of(step_model, "int8", ranges=ranges), step_model).answers(frames)
    except RuntimeError:  # a range of almost nothing beside a wide one is more than XNNPACK can scale
        print(f"{name:<20} the interpreter cannot run it")
        return
    told(name, answers == reference, more)


def told(name: str, agrees: Any, more: str = "") -> None:
    """Print a row."""
    print(f"{name:<20} agreement {agrees.mean():.4f}, last 500 {agrees[-500:].mean():.4f}   {more}", flush=True)


if __name__ == "__main__":
    main()
