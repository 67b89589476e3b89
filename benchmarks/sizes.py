"""Bytes of each preset's network, float32 and int8, and what is left of them where four fifths of the weights are zero.

    python benchmarks/sizes.py [PRESET...]

Networks of the presets' own sizes with random weights, converted as `framestep convert` does; bytes are of the
FlatBuffer, without the spec behind it. `plain` is what the converter gives without framestep's rewrites. Pruned
networks have the four fifths of each kernel's weights that are nearest to zero set to it; the ratio of their gzip is to
the dense float32 network's.
"""

from __future__ import annotations

import gzip
import sys
from typing import Any

import numpy as np

PRESETS = ("tiny", "small", "article", "mobilenet")
CELLS = ("lstm", "gru")
CLASSES = 10
CALIBRATION_FRAMES, PERCENTILE = 60, 97.0
SPARSITY = 0.8


def alive(rng: np.random.Generator, weight: Any) -> Any:
    """Draw a kernel that keeps its activations' size, as trained ones do, or a vector of which no two are alike."""
    if weight.ndim < 2:
        # Zeros would stand in a file once for all biases, and a trained network has none.
        return weight + rng.normal(0, 0.1, weight.shape)
    # A depthwise kernel [rows, columns, channels, 1] sums over rows and columns alone.
    fan_in = np.prod(weight.shape[:2] if weight.shape[-1] == 1 else weight.shape[:-1])
    return rng.normal(0, np.sqrt(2 / fan_in), weight.shape)


def pruned(weight: Any) -> Any:
    """Set the weights nearest to zero to it."""
    if weight.ndim < 2:
        return weight
    return np.where(np.abs(weight) < np.quantile(np.abs(weight), SPARSITY), 0, weight)


def networks(model: Any, config: Any) -> dict[str, bytes]:
    """Convert a model in each of the ways that are compared."""
    from converters.calibration import calibrate, ranges_for
    from converters.convert import network_of
    from converters.step_model import build_step_model
    from runtime.spec import ResetSpec
    from toolkit.data.digits import DigitsConfig, DigitsStream

    stream = DigitsStream(config=DigitsConfig(width=config.width, height=config.height, colour=config.colour))
    found = {}
    for name in ("", "pruned "):
        if name:
            model.set_weights([pruned(weight) for weight in model.get_weights()])
        step_model = build_step_model(model, scale=config.scale, offset=config.offset)
        observation = calibrate(step_model, stream, reset=ResetSpec(), frames=CALIBRATION_FRAMES)
        ranges = ranges_for(observation, percentile=PERCENTILE).ranges
        if not name:
            found["float32"] = network_of(step_model, "float32")
            found["plain int8"] = network_of(step_model, "int8", ranges=ranges, plain=True)
        found[f"{name}int8"] = network_of(step_model, "int8", ranges=ranges)
    return found


def main(presets: tuple[str, ...]) -> None:
    """Print the table."""
    from toolkit.models.build import build_model
    from toolkit.models.config import ModelConfig
    from toolkit.training.defaults import DEFAULTS

    columns = ("weights", "float32", "gzip", "int8", "ratio", "gzip", "plain int8", "gzip", "pruned gzip", "ratio")
    print(f"{'preset':<16}" + "".join(f"{name:>12}" for name in columns))
    for preset in presets:
        defaults = DEFAULTS[preset]  # type: ignore[index]  # a preset's name
        for cell in CELLS:
            names: Any = {"preset": preset, "cell": cell, "input": defaults.input}
            config = ModelConfig(width=defaults.size[0], height=defaults.size[1], classes=CLASSES, **names)
            model = build_model(config)
            rng = np.random.default_rng(0)
            model.set_weights([alive(rng, weight) for weight in model.get_weights()])
            found = networks(model, config)
            size = {name: len(content) for name, content in found.items()}
            packed = {name: len(gzip.compress(content, mtime=0)) for name, content in found.items()}
            cells = [f"{model.count_params():,}", f"{size['float32']:,}", f"{packed['float32']:,}"]
            cells += [f"{size['int8']:,}", f"{size['int8'] / size['float32']:.3f}", f"{packed['int8']:,}"]
            cells += [f"{size['plain int8']:,}", f"{packed['plain int8']:,}"]
            cells += [f"{packed['pruned int8']:,}", f"{packed['pruned int8'] / packed['float32']:.3f}"]
            print(f"{preset + ' ' + cell:<16}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or PRESETS)
