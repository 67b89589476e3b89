"""The training loop: the same numbers whether it ran through or was stopped and resumed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from runtime.errors import ConfigError
from toolkit.training.checkpoints import Checkpoint
from toolkit.training.motion import MotionTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from toolkit.data.dataset import Clip
    from toolkit.training.batches import Batch, Batches
    from toolkit.training.network import Network
    from toolkit.training.schedule import TrainConfig

CHECKPOINT_EVERY_S = 30.0
"""Within an epoch a checkpoint is written this often, so that no stop costs more."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One epoch of the history.

    Attributes:
        phase: `train`, `bounded` or `pruned`.
        epoch: from 1, in its phase.
        rate: the learning rate of its last step.
        loss: mean weighted cross-entropy of the frames trained on.
        accuracy: weighted fraction of the frames trained on whose argmax was right.
        val_loss: see `Answers.loss`; None where no clips were looked at.
        val_accuracy: fraction of the clips held out that were told right; None as above.
        seconds: since the phase began, stops left out.
    """

    phase: str
    epoch: int
    rate: float
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


def seconds_of(rows: Sequence[Row]) -> float:
    """Add the phases' times: a row's own counts from its phase's beginning."""
    last = {row.phase: row.seconds for row in rows}
    return sum(last.values())


class Watcher(Protocol):
    """Is told how training goes; what it raises ends the training, which can be resumed."""

    def step(self, *, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """After every step; `epoch` of `epochs` and `step` of `steps` in it, both from 1."""

    def epoch(self, row: Row, history: Sequence[Row]) -> None:
        """After every epoch, before its checkpoint is written."""


class Silent:
    """A `Watcher` that says nothing."""

    def step(self, *, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """See `Watcher`."""

    def epoch(self, row: Row, history: Sequence[Row]) -> None:
        """See `Watcher`."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What the loop has to say at its end; the weights are in the network.

    Attributes:
        history: of this phase.
        kept: `last` weights, or those of the `best` epoch.
    """

    history: tuple[Row, ...]
    kept: str


class Loop:
    """One phase of training.

    Args:
        network: is trained in place.
        batches: see `Batches`.
        held: clips that are looked at; see `TrainConfig.looks`.
        config: see `TrainConfig`.
        phase: its name.
        checkpoint: file of this phase to write to, and to resume from where it exists; None for neither.
        watcher: see `Watcher`.
        after_step: called after every step, with the number of steps done.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        network: Network,
        batches: Batches,
        held: Sequence[Clip],
        config: TrainConfig,
        *,
        phase: str = "train",
        checkpoint: Path | None = None,
        watcher: Watcher | None = None,
        after_step: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._network, self._batches, self._held, self._config = network, batches, held, config
        self._phase, self._path = phase, checkpoint
        self._watcher = watcher or Silent()
        self._after_step = after_step
        self._clock = clock
        self._optimizer = config.make_optimizer()
        units = [int(state.shape[-1]) for state in network.initial_states(1)]
        # What forgets cannot tell where anything was.
        self._motion = MotionTask(units[0]) if config.motion and units else None
        self._variables = [*network.trainable, *(self._motion.trainable if self._motion else ())]
        self._optimizer.build(self._variables)
        self._averages = [tf.Variable(variable) for variable in network.trainable] if config.averaging else []
        self._states: list[Any] = []
        self._history: list[Row] = []
        self._best: list[Any] = []
        self._sums = [0.0, 0.0, 0.0]
        self._epoch = self._step = 0
        self._seconds, self._since_s = 0.0, clock()
        self._train: Any = None

    def run(self) -> Fitted:
        """Train to the end of the schedule, or until nothing gets better.

        Raises:
            ConfigError: where the loss is no number any more.
        """
        self._resume()
        self._since_s = saved_s = self._clock()
        steps = len(self._batches)
        with ThreadPoolExecutor(1, "batches") as pool:
            coming = pool.submit(self._batches.batch, self._epoch, self._step)
            while self._epoch < self._config.epochs and not self._is_stale():
                batch = coming.result()
                following = (self._epoch, self._step + 1) if self._step + 1 < steps else (self._epoch + 1, 0)
                coming = pool.submit(self._batches.batch, *following)
                self._one_step(batch, steps)
                if self._step == steps:
                    self._close_epoch()
                elif self._clock() - saved_s < CHECKPOINT_EVERY_S:
                    continue
                self._save()
                saved_s = self._clock()
        kept = "last"
        if self._config.patience and self._best:
            self._network.model.set_weights(self._best)
            kept = "best"
        else:
            self._exchange()
        return Fitted(history=tuple(self._history), kept=kept)

    def _one_step(self, batch: Batch, steps: int) -> None:
        rows = len(batch.frames)
        done, total = self._epoch * steps + self._step, self._config.epochs * steps
        self._optimizer.learning_rate = self._config.rate(done, total)
        states = self._starting_states(batch, rows)
        names = ("frames", "labels", "weights", "still", "order", "warps")
        given = {name: value for name in names if (value := getattr(batch, name)) is not None}
        # The usual start of a running mean: (1 + n) / (10 + n) until that is more than the constant.
        remember = min(self._config.averaging, (1 + done) / (10 + done))
        if self._train is None:
            self._train = tf.function(self._train_step, input_signature=_signature(given, states))
        shares = tf.constant([remember, self._config.motion_at(done, total)], tf.float32)
        loss, right, weight, self._states = self._train(given, states, shares)
        weighed = float(weight)
        self._sums = [self._sums[0] + float(loss) * weighed, self._sums[1] + float(right), self._sums[2] + weighed]
        if not np.isfinite(self._sums[0]):
            raise ConfigError(
                f"The loss is {float(loss)} in epoch {self._epoch + 1}; it must be a number. "
                f"Use a --learning-rate below {self._config.learning_rate:g}."
            )
        self._step += 1
        if self._after_step is not None:
            self._after_step(self._epoch * steps + self._step)
        self._watcher.step(
            phase=self._phase, epoch=self._epoch + 1, epochs=self._config.epochs, step=self._step, steps=steps
        )

    def _starting_states(self, batch: Batch, rows: int) -> list[Any]:
        zero = self._network.initial_states(rows)
        if not self._states or (batch.start < 0).all():
            return zero
        places = np.maximum(batch.start, 0)
        return [
            tf.where((batch.start >= 0)[:, None], tf.gather(before, places), nothing)
            for before, nothing in zip(self._states, zero, strict=True)
        ]

    def _train_step(self, batch: dict[str, Any], states: list[Any], shares: Any) -> tuple[Any, Any, Any, list[Any]]:
        network, labels, weights = self._network, batch["labels"], batch["weights"]
        remember, motion = tf.unstack(shares)
        seen = network.seen(batch["frames"], batch["still"], batch["order"], batch.get("warps"))
        with tf.GradientTape() as tape:
            outputs, states = network.remembered(seen, states, training=True)
            logits = network.judged(outputs)
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            total = tf.reduce_sum(weights)
            loss = tf.reduce_sum(entropy * weights) / tf.maximum(total, 1e-6)
            aim = loss if self._motion is None else loss + motion * self._motion.loss(network.moving(seen), outputs)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(aim, self._variables), self._config.clip_norm)
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        if self._averages:
            for average, variable in zip(self._averages, network.trainable, strict=True):
                average.assign(remember * average + (1 - remember) * variable)
        hits = tf.cast(tf.argmax(logits, -1, output_type=tf.int32) == labels, tf.float32)
        return loss, tf.reduce_sum(hits * weights), total, states

    def _exchange(self) -> None:
        """Put the running means where the weights are, and the weights where the means were."""
        if self._averages:
            for average, variable in zip(self._averages, self._network.trainable, strict=True):
                kept = variable.numpy()
                variable.assign(average)
                average.assign(kept)

    def _close_epoch(self) -> None:
        self._exchange()
        answers = self._network.answers(self._held) if self._held and self._config.looks_at(self._epoch) else None
        loss, right, weight = self._sums
        row = Row(
            phase=self._phase,
            epoch=self._epoch + 1,
            rate=float(self._optimizer.learning_rate.numpy()),
            loss=loss / max(weight, 1e-6),
            accuracy=right / max(weight, 1e-6),
            val_loss=None if answers is None else answers.loss,
            val_accuracy=None if answers is None else answers.accuracy,
            seconds=round(self._seconds + self._clock() - self._since_s, 3),
        )
        self._history.append(row)
        if self._config.patience and self._best_epoch() == len(self._history) - 1:
            self._best = self._network.model.get_weights()
        self._exchange()
        self._epoch, self._step, self._sums = self._epoch + 1, 0, [0.0, 0.0, 0.0]
        self._watcher.epoch(row, self._history)

    def _is_stale(self) -> bool:
        if not self._config.patience or not self._history:
            return False
        return len(self._history) - 1 - self._best_epoch() >= self._config.patience

    def _best_epoch(self) -> int:
        losses = [row.loss if row.val_loss is None else row.val_loss for row in self._history]
        return losses.index(min(losses))

    def _save(self) -> None:
        if self._path is None:
            return
        meta = {
            "epoch": self._epoch,
            "step": self._step,
            "sums": self._sums,
            "seconds": self._seconds + self._clock() - self._since_s,
            "history": [asdict(row) for row in self._history],
        }
        arrays = {
            "weights": self._network.model.get_weights(),
            "optimizer": [variable.numpy() for variable in self._optimizer.variables],
            "averages": [average.numpy() for average in self._averages],
            "states": [state.numpy() for state in self._states],
            "motion": [variable.numpy() for variable in self._motion.trainable] if self._motion else [],
            "best": self._best,
        }
        Checkpoint(meta=meta, arrays=arrays).save(self._path)

    def _resume(self) -> None:
        if self._path is None or not self._path.exists():
            return
        saved = Checkpoint.load(self._path)
        self._network.model.set_weights(saved.arrays["weights"])
        for variable, value in zip(self._optimizer.variables, saved.arrays["optimizer"], strict=True):
            variable.assign(value)
        for average, value in zip(self._averages, saved.arrays.get("averages", ()), strict=True):
            average.assign(value)
        if self._motion is not None:
            self._motion.restore(saved.arrays["motion"])
        self._states = [tf.constant(state) for state in saved.arrays.get("states", ())]
        self._best = list(saved.arrays.get("best", ()))
        self._history = [Row(**row) for row in saved.meta["history"]]
        self._epoch, self._step = saved.meta["epoch"], saved.meta["step"]
        self._sums, self._seconds = list(saved.meta["sums"]), saved.meta["seconds"]


def _signature(batch: dict[str, Any], states: list[Any]) -> tuple[Any, ...]:
    """The types of a step for any number of rows and frames: one trace serves clips of all lengths."""
    given = {name: tf.TensorSpec([None, None, *each.shape[2:]], each.dtype) for name, each in batch.items()}
    return given, [tf.TensorSpec([None, *state.shape[1:]], state.dtype) for state in states], tf.TensorSpec([2])
