"""What a model must beat before anybody believes that it remembers.

Two models are trained beside every one that has a cell: its encoder on single frames, without memory, and the same
model on clips whose frames come in drawn order. What they reach, the clips' order has not contributed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import tf_keras

from toolkit.models.build import build_model
from toolkit.training.batches import ClipBatches
from toolkit.training.loop import Loop
from toolkit.training.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from toolkit.data.dataset import Clip
    from toolkit.models.config import ModelConfig
    from toolkit.training.loop import Watcher
    from toolkit.training.schedule import TrainConfig
    from toolkit.training.warping import WarpConfig

_SHUFFLING_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What one of them reached.

    Attributes:
        accuracy: a fraction.
        seconds: of its training.
    """

    accuracy: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Trains both, on the data and with the settings of the model that they stand beside.

    Attributes:
        model: what that one is made of.
        train: how it was trained; `epochs` are the baselines' own.
        clips: what it was trained on.
        held: clips held out.
        warp: see `WarpConfig`.
        rise_frames: see `ClipBatches`.
        weights: see `build_model`.
        checkpoint: the file of a phase, by its name; None for no checkpoints.
    """

    model: ModelConfig
    train: TrainConfig
    clips: Sequence[Clip]
    held: Sequence[Clip]
    warp: WarpConfig | None = None
    rise_frames: int = 1
    weights: Path | None = None
    checkpoint: Callable[[str], Path] | None = None

    def single_frame(self, watcher: Watcher | None = None) -> Baseline:
        """Train the encoder on single frames (of input `difference`: on single differences).

        Returns:
            As accuracy, the fraction of right answers over the frames of the last half of every clip held out, each
            frame alone.
        """
        network = self._network(replace(self.model, cell="none", bounds=None))
        seconds = self._train(network, "single frame", watcher, frames=2 if self.model.input == "difference" else 1)
        return Baseline(accuracy=network.answers(self.held).frame_accuracy, seconds=seconds)

    def shuffled_order(self, watcher: Watcher | None = None) -> Baseline:
        """Train the same model on clips in drawn order.

        Returns:
            Its accuracy on the clips held out, in drawn order too.
        """
        network = self._network(replace(self.model, bounds=None))
        seconds = self._train(network, "shuffled order", watcher, shuffled=True)
        accuracy = network.answers(self.held, shuffled_seed=_SHUFFLING_SEED).accuracy
        return Baseline(accuracy=accuracy, seconds=seconds)

    def _network(self, model: ModelConfig) -> Network:
        tf_keras.utils.set_random_seed(self.train.seed)
        return Network(build_model(model, weights=self.weights), scale=model.scale, offset=model.offset)

    def _train(
        self,
        network: Network,
        phase: str,
        watcher: Watcher | None,
        *,
        frames: int | None = None,
        shuffled: bool = False,
    ) -> float:
        batches = ClipBatches(
            clips=self.clips,
            batch_size=self.train.batch_size,
            seed=self.train.seed,
            rise_frames=self.rise_frames,
            frames=frames,
            shuffled=shuffled,
            warp=self.warp,
        )
        path = None if self.checkpoint is None else self.checkpoint(phase)
        fitted = Loop(network, batches, (), self.train, phase=phase, checkpoint=path, watcher=watcher).run()
        return fitted.history[-1].seconds
