"""Which precision `auto` chooses for which board.

    python benchmarks/targets.py RUN [FRAMES]

Every precision of a run is built once and held to auto's gate over a stream of what was held out; then a step of each
is counted on each board's emulated core, where the Pi lab is set up (benchmarks/pi_lab), and timed on this machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import get_args

FRAMES = 10_000


def main(run_folder: Path, frames: int) -> None:
    """Print the table."""
    from toolkit.cli.tensorflow import load_tensorflow

    load_tensorflow()
    from toolkit.conversion import ConversionRequest, workpiece_of_run
    from toolkit.evaluation.instructions import Target
    from toolkit.precision_choice import AUTO_GATE, cheapest
    from toolkit.training.run_folder import Run
    from toolkit.variants import build_variants, with_costs

    request = ConversionRequest(precision="float32", gate=AUTO_GATE, frames=frames)
    piece = workpiece_of_run(Run.load(run_folder), request)
    with tempfile.TemporaryDirectory() as folder:
        variants = build_variants(piece, Path(folder))
        names = " ".join(f"{each.precision:>11}" for each in variants)
        print(f"{'':<24}{names}   chosen")
        for name in ("bytes", "gzip_bytes", "agreement", "agreement_last", "confident_disagreements", "accuracy"):
            cells = " ".join(f"{_cell(each.row('us')[name]):>11}" for each in variants)
            print(f"{name:<24}{cells}")
        for target in (None, *get_args(Target)):
            costs, costed = with_costs(variants, target)
            if target is not None and costs.unit == "us":
                continue  # the same machine again
            best = cheapest(costed)
            cells = " ".join(f"{_cell(each.cost):>11}" for each in costed)
            print(f"{costs.unit + ' ' + (target or 'here'):<24}{cells}   {best.precision if best else 'none'}")
        for each in variants:
            if each.reason is not None:
                print(f"{each.precision} fell: {each.reason}")


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if 0 < value < 1 else f"{value:,.0f}" if value >= 1000 else f"{value:g}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else FRAMES)
    else:
        print("give a run's folder")
