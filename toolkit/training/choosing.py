"""What a trained model does on a stream, chosen by measurement: when its states go back, and what becomes an event."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.stream import NO_LABEL
from runtime.errors import ConfigError
from runtime.spec import DecisionSpec, ResetSpec
from toolkit.data.streams import segments_of
from toolkit.evaluation.fit_report import fit_on, report_events
from toolkit.evaluation.settling import settled_frames
from toolkit.evaluation.streams import evaluate_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolkit.evaluation.predictors import Predictor
    from toolkit.evaluation.streams import StreamResult
    from toolkit.evaluation.validation import ValidationStream
    from toolkit.training.run_folder import Run

FALSE_ALARMS_PER_HOUR = 60.0
"""One a minute: what a validation stream of a few minutes can tell from none."""

NOISE = 2.0
"""Standard errors by which a policy must be better than a simpler one."""

WORTH = 0.005
"""Of the settled frames: where the stream is long enough to show less than that, it still is not worth a reset."""

TURNS = (2.0, 1.0, 0.5)
"""Of a clip's usual length: the turns of `every` that are tried."""

_FIXED = re.compile(r"auto|never|gap|event|every:[1-9]\d{0,8}")


@dataclass(frozen=True, kw_only=True)
class ChoosingConfig:
    """How a run's decision and its reset policy are settled once it is trained.

    Attributes:
        false_alarms_per_hour: the target of the decision, on the validation stream.
        reset: `auto` to choose by measurement, or the policy: `never`, `gap`, `event` or `every:N`.
    """

    false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR
    reset: str = "auto"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.false_alarms_per_hour) and self.false_alarms_per_hour >= 0):
            raise ConfigError(
                f"false_alarms_per_hour is {self.false_alarms_per_hour}; it must be a number of at least 0."
            )
        if not _FIXED.fullmatch(self.reset):
            raise ConfigError(f"reset is {self.reset!r}; it must be auto, never, gap, event or every:N.")

    @property
    def fixed(self) -> ResetSpec | None:
        """The policy where it is not to be chosen."""
        if self.reset == "auto":
            return None
        policy, _, frames = self.reset.partition(":")
        return ResetSpec(policy=policy, every_frames=int(frames) if frames else None)  # type: ignore[arg-type]  # the pattern has no other words


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What was settled, and what was measured for it.

    Attributes:
        reset: the policy.
        decision: fitted under that policy.
        results: JSON types: the table `resets`, and the `events`, see `report_events`.
    """

    reset: ResetSpec
    decision: DecisionSpec
    results: dict[str, Any]


def choose(
    predictor: Predictor,
    validation: ValidationStream,
    labels: tuple[str, ...],
    *,
    fps: float,
    config: ChoosingConfig,
    clip_frames: int | None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Chosen:
    """Choose the reset policy, and fit the decision under it.

    Each policy is measured by the settled frames (see `settled_frames`) that it gets right. The simplest kind wins
    that is not worse than the best by more than noise: `gap`, then `every` with the best of its turns, and `event`,
    which is bound to the decision, last. On a stream that misses no frame `never` is what `gap` is.

    Args:
        predictor: of the trained model.
        validation: see `validation_stream`.
        labels: the classes.
        fps: the stream's rate.
        config: see `ChoosingConfig`.
        clip_frames: a clip's usual length, near which `every` is tried; None for a model without states, whose policy
            does not matter.
        progress: told how many of how many roll-outs are done.
    """
    policies = _candidates(clip_frames, config.fixed)
    target = config.false_alarms_per_hour
    decision = DecisionSpec()
    measured: list[StreamResult] = []
    for policy in policies:
        result = evaluate_stream(predictor, validation.stream, labels, fps=fps, reset=policy, decision=decision)
        if not measured:
            # `event` needs a decision to be measured with: the one fitted where nothing resets.
            decision = fit_on(result, validation, fps=fps, target_per_hour=target)
        measured.append(result)
        progress(len(measured), len(policies))
    behind = [_behind(validation, measured, result) for result in measured]
    place = policies.index(config.fixed) if config.fixed else _simplest(policies, behind)
    policy, result = policies[place], measured[place]
    if policy.policy == "every":
        decision = fit_on(result, validation, fps=fps, target_per_hour=target)
    events = report_events(
        predictor,
        validation,
        labels,
        fps=fps,
        policy=policy,
        result=result,
        decision=decision,
        target_per_hour=target,
    )
    rows = zip(policies, measured, behind, strict=True)
    return Chosen(
        reset=policy,
        decision=decision,
        results={"resets": [_row(*each, chosen=each[0] == policy) for each in rows], "events": events},
    )


def store_decision(run: Run, events: Mapping[str, Any]) -> Run:
    """Write a decision that was fitted later into a run's files, and what was measured of it.

    Args:
        run: whose `run.json` and model card are written.
        events: see `report_events`.
    """
    from toolkit.training.model_card import write_card

    run = replace(run, decision=DecisionSpec(**events["decision"]), results={**run.results, "events": dict(events)})
    write_card(run)
    run.save()
    return run


def words_of(reset: ResetSpec) -> str:
    """Write a policy as `--reset` takes it."""
    return reset.policy if reset.every_frames is None else f"{reset.policy}:{reset.every_frames}"


def _candidates(clip_frames: int | None, fixed: ResetSpec | None) -> list[ResetSpec]:
    """The policies to measure, the simpler ones first; `never` takes the place of `gap` where it is asked for."""
    plain = fixed if fixed is not None and fixed.policy == "never" else ResetSpec(policy="gap")
    turns: set[int] = set()
    policies = [plain]
    if clip_frames is not None:
        turns = {max(1, round(clip_frames * share)) for share in TURNS}
        policies += [ResetSpec(policy="every", every_frames=turn) for turn in sorted(turns, reverse=True)]
        policies.append(ResetSpec(policy="event"))
    if fixed is not None and fixed not in policies:
        policies.append(fixed)
    return policies


def _behind(
    validation: ValidationStream, measured: Sequence[StreamResult], result: StreamResult
) -> tuple[float, float]:
    """By how much of the frames a policy is behind the best one, and how much of that may be noise.

    Frames of a segment stand or fall together, so the segment is what is drawn; one that came several times counts
    once.
    """
    stream = validation.stream
    counted = settled_frames(stream)
    if not counted.any():
        counted = stream.labels != NO_LABEL
    rights = [(each.probabilities.argmax(axis=1) == stream.labels) & counted for each in measured]
    best = max(rights, key=lambda right: int(right.sum()))
    own = (result.probabilities.argmax(axis=1) == stream.labels) & counted
    lost = best.astype(np.int64) - own
    by_segment = np.array([lost[first : last + 1].sum() for first, last, _ in segments_of(stream)])
    spread = float(by_segment.std() * math.sqrt(len(by_segment) * validation.rounds))
    return float(lost.sum() / counted.sum()), NOISE * spread / float(counted.sum())


def _simplest(policies: Sequence[ResetSpec], behind: Sequence[tuple[float, float]]) -> int:
    """The first kind of policy whose best is not behind by more than noise, and by no more than is worth it."""
    kinds: dict[str, list[int]] = {}
    for i, policy in enumerate(policies):
        kinds.setdefault(policy.policy, []).append(i)
    bests = [min(places, key=lambda i: behind[i][0]) for places in kinds.values()]
    return next(i for i in bests if behind[i][0] <= max(behind[i][1], WORTH))


def _row(policy: ResetSpec, result: StreamResult, behind: tuple[float, float], *, chosen: bool) -> dict[str, Any]:
    return {
        "reset": words_of(policy),
        "frame_accuracy": result.frame_accuracy,
        "frame_accuracy_settled": result.frame_accuracy_settled,
        "segment_accuracy": result.segment_accuracy,
        "resets": result.resets,
        "behind": behind[0],
        "noise": behind[1],
        "chosen": chosen,
    }
